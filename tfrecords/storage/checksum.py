"""CRC-32C, the checksum of TFRecord files, and their frames."""

from collections.abc import Iterable

import google_crc32c
import numpy as np

_MASK = 0xA282EAD8


def crc32c(data: np.ndarray) -> np.ndarray:
    """The checksums of N byte strings of one length.

    Args:
      data: uint8 [N, length].

    Returns:
      uint32 [N].
    """
    return _of(data, len(data))


def crc32c_at(
    whole: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """The checksums of parts of different lengths.

    Args:
      whole: uint8 [bytes].
      starts, lengths: int64 [N], where each part begins, and its bytes.

    Returns:
      uint32 [N].
    """
    ends = starts + lengths
    places = zip(starts.tolist(), ends.tolist(), strict=True)
    return _of((whole[start:end] for start, end in places), len(starts))


def _of(strings: Iterable[np.ndarray], count: int) -> np.ndarray:
    values = (google_crc32c.value(string.tobytes()) for string in strings)
    return np.fromiter(values, np.uint32, count)


def masked(value: np.ndarray) -> np.ndarray:
    """A checksum as TFRecord files store it: rotated, plus a constant.

    Source: tensorflow/core/lib/hash/crc32c.h.
    """
    turned = value >> np.uint32(15) | value << np.uint32(17)
    return turned + np.uint32(_MASK)


def frame(*parts: bytes) -> bytes:
    """A record of a TFRecord file that holds `parts`, joined."""
    data = b"".join(parts)
    length = len(data).to_bytes(8, "little")
    return b"".join((length, _checked(length), data, _checked(data)))


def _checked(data: bytes) -> bytes:
    value = google_crc32c.value(data)
    turned = (value >> 15 | value << 17) & 0xFFFFFFFF
    return (turned + _MASK & 0xFFFFFFFF).to_bytes(4, "little")
