"""CRC-32C, the checksum of TFRecord files, of many records at once."""

import functools

import numpy as np

# The Castagnoli polynomial, bits reversed (RFC 3720, appendix B.4).
_POLYNOMIAL = 0x82F63B78


@functools.cache
def _table() -> np.ndarray:
    """The checksum's step for each byte, uint32 [256]."""
    value = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        odd = value & np.uint32(1)
        value = (value >> np.uint32(1)) ^ odd * np.uint32(_POLYNOMIAL)
    return value


def crc32c(data: np.ndarray) -> np.ndarray:
    """The checksums of N byte strings of one length.

    Args:
      data: uint8 [N, length].

    Returns:
      uint32 [N].
    """
    table = _table()
    value = np.full(len(data), 0xFFFFFFFF, np.uint32)
    # Byte by byte, over all strings at once.
    for column in np.ascontiguousarray(data.T):
        value = table[(value ^ column) & 0xFF] ^ value >> np.uint32(8)
    return ~value


def masked(value: np.ndarray) -> np.ndarray:
    """A checksum as TFRecord files store it: rotated, plus a constant.

    Source: tensorflow/core/lib/hash/crc32c.h.
    """
    turned = value >> np.uint32(15) | value << np.uint32(17)
    return turned + np.uint32(0xA282EAD8)
