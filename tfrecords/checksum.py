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


# Bytes whose effects are in one table.
_BLOCK = 1024
# Bytes of strings laid out at once, where they differ in length.
_LAID_OUT = 1 << 18
_REGISTER = 4
# Up to so many bytes, byte by byte is the faster way.
_SHORT = 16


@functools.cache
def _effects() -> np.ndarray:
    """What each byte does to the register, uint32 [_BLOCK, 256].

    A checksum is linear: that of a string is the exclusive or of its bytes'
    effects, and an effect depends on the byte and on how many are behind it.
    """
    rows = [_table()]
    for _ in range(_BLOCK - 1):
        last = rows[-1]
        rows.append(_table()[last & 0xFF] ^ last >> np.uint32(8))
    return np.array(rows)


def _register(data: np.ndarray) -> np.ndarray:
    """The register behind strings that it was 0 before; uint32 [N].

    Args:
      data: uint8 [N, length]; zeros at a string's beginning change nothing.
    """
    count, length = data.shape
    value = np.zeros(count, np.uint32)
    effects = _effects().reshape(-1)
    # The first block is the short one.
    first = length % _BLOCK or min(length, _BLOCK)
    begin, end = 0, first
    while begin < length:
        part = data[:, begin:end].astype(np.intp)
        size = end - begin
        # A register is as good as four bytes that the next ones are xored
        # with; of a block that is shorter there is none before.
        carried = value.view(np.uint8).reshape(count, _REGISTER)
        part[:, :_REGISTER] ^= carried[:, : min(size, _REGISTER)]
        part += np.arange(size - 1, -1, -1) * 256
        value = np.bitwise_xor.reduce(effects[part], axis=1)
        begin, end = end, end + _BLOCK
    return value


def crc32c(data: np.ndarray) -> np.ndarray:
    """The checksums of N byte strings of one length.

    Args:
      data: uint8 [N, length].

    Returns:
      uint32 [N].
    """
    count, length = data.shape
    if length <= _SHORT:
        return _byte_by_byte(data)
    data = data.copy()
    # The register is all ones at the beginning.
    data[:, :_REGISTER] ^= 0xFF
    return ~_register(data)


def _byte_by_byte(data: np.ndarray) -> np.ndarray:
    """`crc32c`, a step for each byte of all strings."""
    table = _table()
    value = np.full(len(data), 0xFFFFFFFF, np.uint32)
    for column in np.ascontiguousarray(data.T):
        value = table[(value ^ column) & 0xFF] ^ value >> np.uint32(8)
    return ~value


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
    made = np.zeros(len(starts), np.uint32)
    order = np.argsort(lengths, kind="stable")
    begin = 0
    while begin < len(order):
        # Those of like length together, as many as fit.
        most = max(1, _LAID_OUT // max(1, int(lengths[order[begin]])))
        some = order[begin : begin + most]
        while len(some) > 1 and len(some) * lengths[some[-1]] > 2 * _LAID_OUT:
            some = some[: len(some) // 2]
        made[some] = _laid_out(whole, starts[some], lengths[some])
        begin += len(some)
    return made


def _laid_out(
    whole: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    longest = int(lengths.max())
    if lengths.min() < _REGISTER:
        return np.array(
            [
                crc32c(whole[None, start : start + length])[0]
                for start, length in zip(starts, lengths, strict=True)
            ],
            np.uint32,
        )
    # Zeros before the shorter ones.
    behind = np.arange(-longest, 0)
    places = (starts + lengths)[:, None] + behind
    data = whole[np.maximum(places, 0)]
    first = behind + lengths[:, None]
    data[first < 0] = 0
    data ^= ((first >= 0) & (first < _REGISTER)).astype(np.uint8) * 0xFF
    return ~_register(data)


def masked(value: np.ndarray) -> np.ndarray:
    """A checksum as TFRecord files store it: rotated, plus a constant.

    Source: tensorflow/core/lib/hash/crc32c.h.
    """
    turned = value >> np.uint32(15) | value << np.uint32(17)
    return turned + np.uint32(0xA282EAD8)
