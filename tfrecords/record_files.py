"""TFRecord files of any content: where each record lies, and what is damaged.

Records of other tools have sizes of their own, so a file is read from record
to record. Behind a damaged length the next record is where eight bytes are
followed by their own checksum.
"""

import mmap
import struct
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfrecords import checksum, spec
from tfrecords.verify import Fault

# The length, its checksum, and the data's checksum.
_LENGTH = struct.Struct("<Q")
_FRAME = spec.LENGTH_BYTES + spec.CHECKSUM_BYTES

# Records whose checksums are worked out at once, and bytes searched at once.
_BATCH = 1024
_WINDOW = 1 << 20

# The length of a record that cannot be read, in an index.
DAMAGED = -1


def mapped(path: Path) -> mmap.mmap:
    """A file's bytes, without reading them."""
    with open(path, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def scan(data: mmap.mmap, path: Path) -> np.ndarray:
    """Finds the records of a file, by their lengths alone.

    Returns:
      int64 [N, 2]: where each record's data begins, and its length.

    Raises:
      UserError: the file ends inside a record.
    """
    found, end = _follow(data, 0)
    if end < len(data):
        raise UserError(
            f"{path}, record {len(found)}, byte {end}: the file ends "
            "inside the record, or is no TFRecord file. Copy it again, or "
            "take it out of the folder."
        )
    return np.array(found, np.int64).reshape(-1, 2)


def scan_whole(data: mmap.mmap, path: Path) -> tuple[np.ndarray, list[Fault]]:
    """Finds the records of a file and checks every byte.

    Returns:
      (index, faults): the index as of `scan`, with the length `DAMAGED`
      where a record cannot be read. Between two sound records at most one is
      taken to be lost.
    """
    whole = np.frombuffer(data, np.uint8)
    index: list[tuple[int, int]] = []
    faults: list[Fault] = []
    offset = 0
    while offset < len(data):
        found, end = _follow(data, offset)
        sound = _sound_lengths(whole, found)
        index += found[:sound]
        if sound == len(found) and end == len(data):
            break
        bad = found[sound][0] - spec.LENGTH_BYTES if sound < len(found) else end
        faults.append(_fault(path, len(index), bad, "its length is damaged"))
        index.append((bad + spec.LENGTH_BYTES, DAMAGED))
        offset = _next_frame(whole, bad + 1)
    for number in _bad_data(whole, index):
        place = index[number][0]
        faults.append(
            _fault(
                path,
                number,
                place - spec.LENGTH_BYTES,
                "its checksum does not agree with its data",
            )
        )
        index[number] = (place, DAMAGED)
    return np.array(index, np.int64).reshape(-1, 2), faults


def _fault(path: Path, record: int, offset: int, problem: str) -> Fault:
    return Fault(path.name, problem, record, offset, rows=1)


def _follow(data, offset: int) -> tuple[list[tuple[int, int]], int]:
    """([(start of the data, length)] from `offset` on, where they end)."""
    found, size = [], len(data)
    while offset + _FRAME <= size:
        (length,) = _LENGTH.unpack_from(data, offset)
        if offset + _FRAME + length > size:
            break
        found.append((offset + spec.LENGTH_BYTES, length))
        offset += _FRAME + length
    return found, offset


def _stored(whole: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The uint32 at each offset."""
    places = offsets[:, None] + np.arange(spec.CHECKSUM_BYTES)
    return whole[places].view("<u4").reshape(-1)


def _sound_lengths(whole: np.ndarray, found: list) -> int:
    """How many records, from the first on, have a sound length."""
    if not found:
        return 0
    starts = np.array(found, np.int64)[:, 0] - spec.LENGTH_BYTES
    lengths = whole[starts[:, None] + np.arange(_LENGTH.size)]
    given = _stored(whole, starts + _LENGTH.size)
    wrong = checksum.masked(checksum.crc32c(lengths)) != given
    return int(np.argmax(wrong)) if wrong.any() else len(found)


def _next_frame(whole: np.ndarray, offset: int) -> int:
    """Where the next sound length stands, from `offset` on, or the end."""
    width = spec.LENGTH_BYTES
    while offset + _FRAME <= len(whole):
        part = whole[offset : offset + _WINDOW + width]
        frames = np.lib.stride_tricks.sliding_window_view(part, width)
        wanted = checksum.masked(checksum.crc32c(frames[:, : _LENGTH.size]))
        given = _stored(part, np.arange(len(frames)) + _LENGTH.size)
        for place in np.flatnonzero(wanted == given).tolist():
            (length,) = _LENGTH.unpack_from(part, place)
            if offset + place + _FRAME + length <= len(whole):
                return offset + place
        offset += len(frames)
    return len(whole)


def _bad_data(whole: np.ndarray, index: list) -> list[int]:
    """The numbers of the records whose data is damaged, ascending."""
    if not index:
        return []
    starts, lengths = np.array(index, np.int64).T
    bad: list[int] = []
    for length in np.unique(lengths[lengths != DAMAGED]).tolist():
        numbers = np.flatnonzero(lengths == length)
        for first in range(0, len(numbers), _BATCH):
            some = numbers[first : first + _BATCH]
            data = whole[starts[some, None] + np.arange(length)]
            given = _stored(whole, starts[some] + length)
            wrong = checksum.masked(checksum.crc32c(data)) != given
            bad += some[wrong].tolist()
    return sorted(bad)
