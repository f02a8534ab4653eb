"""TFRecord files of any content: where each record lies, and what is damaged.

Records of other tools have sizes of their own, so a file is read from record
to record. Behind a damaged length the next record is where eight bytes are
followed by their own checksum.
"""

import collections
import gzip
import mmap
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.storage import checksum
from tfrecords.storage.verify import Fault

# The length, its checksum, and the data's checksum.
_LENGTH = struct.Struct("<Q")
_FRAME = layout.LENGTH_BYTES + layout.CHECKSUM_BYTES

# Records that are followed before their lengths are checked, and bytes that
# are searched for the next one: few at first, behind damage.
_AT_FIRST, _AT_ONCE = 16, 1 << 16
_LEAST_WINDOW, _MOST_WINDOW = 1 << 12, 1 << 20

# Files that are open at a time.
MOST_OPEN = 16

# The length of a record that cannot be read, in an index.
DAMAGED = -1
BAD_CHECKSUM = "its checksum does not agree with its data"


def mapped(path: Path) -> np.ndarray:
    """A file's bytes, uint8 [bytes], without reading them."""
    with open(path, "rb") as stream:
        data = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
    return np.frombuffer(data, np.uint8)


class OpenFiles(Sequence):
    """The bytes of files, of which no more than some are mapped at a time.

    A map keeps its file open, and a process may have 1,024 open files, or 64.
    """

    def __init__(self, paths: Sequence[Path], most: int = MOST_OPEN):
        self._paths = list(paths)
        self._most = most
        self._maps: collections.OrderedDict[int, np.ndarray] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> np.ndarray:
        """File `number`, uint8 [bytes]; closed once nobody has it any more."""
        if not 0 <= number < len(self._paths):
            raise IndexError(number)
        with self._lock:
            if number not in self._maps:
                while len(self._maps) >= self._most:
                    self._maps.popitem(last=False)
                self._maps[number] = mapped(self._paths[number])
            self._maps.move_to_end(number)
            return self._maps[number]


def scan(whole: np.ndarray, path: Path) -> np.ndarray:
    """Finds the records of a file, by their lengths.

    Returns:
      int64 [N, 2]: where each record's data begins, and its length.

    Raises:
      UserError: a length is damaged, or the file ends inside a record.
    """
    found, end = _sound_frames(whole, 0)
    if end < len(whole):
        there = whole[end : end + layout.LENGTH_BYTES]
        cut = len(there) < layout.LENGTH_BYTES or _agrees(there)
        raise UserError(
            f"{path}, record {len(found)}, byte {end}: "
            + (
                "the file ends inside the record, or is"
                if cut
                else "the record's length is damaged, or this is"
            )
            + " no TFRecord file. Copy it again, or take it out of the folder."
        )
    return np.array(found, np.int64).reshape(-1, 2)


def scan_whole(whole: np.ndarray, path: Path) -> tuple[np.ndarray, list[Fault]]:
    """Finds the records of a file and checks every byte.

    Returns:
      (index, faults): the index as of `scan`, with the length `DAMAGED`
      where a record cannot be read. Between two sound records at most one is
      taken to be lost.
    """
    index: list[tuple[int, int]] = []
    faults: list[Fault] = []
    offset = 0
    while offset < len(whole):
        found, end = _sound_frames(whole, offset)
        index += found
        if end == len(whole):
            break
        faults.append(_fault(path, len(index), end, "its length is damaged"))
        index.append((end + layout.LENGTH_BYTES, DAMAGED))
        offset = _next_frame(whole, end + 1)
    places = np.array(index, np.int64).reshape(-1, 2)
    for number in bad_data(whole, places).tolist():
        place = int(places[number, 0])
        faults.append(
            _fault(path, number, place - layout.LENGTH_BYTES, BAD_CHECKSUM)
        )
        places[number, 1] = DAMAGED
    return places, faults


def checksums(whole: np.ndarray, index: np.ndarray) -> np.ndarray:
    """The checksums of records' data, as the file has them; uint32 [N].

    Args:
      whole: uint8 [bytes], the file.
      index: int64 [N, 2], of `scan`; of those that are `DAMAGED` it is 0.
    """
    found = np.zeros(len(index), "<u4")
    there = index[:, 1] != DAMAGED
    found[there] = _stored(whole, index[there].sum(axis=1))
    return found


def bad_data(whole: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Which records' data does not agree with its checksum.

    Args:
      whole: uint8 [bytes], the file.
      index: int64 [N, 2], of `scan`; those that are `DAMAGED` are left out.

    Returns:
      int64, ascending places in `index`.
    """
    there = np.flatnonzero(index[:, 1] != DAMAGED)
    starts, lengths = index[there].T
    found = checksum.crc32c_at(whole, starts, lengths)
    given = checksums(whole, index)[there]
    return there[checksum.masked(found) != given]


def is_compressed(path: Path) -> bool:
    """Whether a gzip file holds TFRecords, as Model Garden may write them."""
    try:
        with gzip.open(path, "rb") as stream:
            there = np.frombuffer(stream.read(layout.LENGTH_BYTES), np.uint8)
    except (OSError, EOFError, zlib.error):
        return False
    return len(there) == layout.LENGTH_BYTES and _agrees(there)


def _fault(path: Path, record: int, offset: int, problem: str) -> Fault:
    return Fault(path.name, problem, record, offset, rows=1)


def _sound_frames(
    whole: np.ndarray, offset: int
) -> tuple[list[tuple[int, int]], int]:
    """The records from `offset` on, up to one whose length is not sound.

    Returns:
      ([(start of the data, length)], where they end): at a damaged length, at
      a record that the file has not whole, or at the file's end.
    """
    found: list[tuple[int, int]] = []
    many = _AT_FIRST
    while True:
        part, end = _follow(whole, offset, many)
        sound = _sound_lengths(whole, part)
        found += part[:sound]
        if sound < len(part):
            return found, part[sound][0] - layout.LENGTH_BYTES
        if len(part) < many:
            return found, end
        # Few behind damage, so that what is followed in vain is no more than
        # what is found.
        offset, many = end, min(2 * many, _AT_ONCE)


def _follow(
    data: np.ndarray, offset: int, most: int
) -> tuple[list[tuple[int, int]], int]:
    """([(start of the data, length)] of up to `most` records, their end)."""
    found, size = [], len(data)
    while len(found) < most and offset + _FRAME <= size:
        (length,) = _LENGTH.unpack_from(data, offset)
        if offset + _FRAME + length > size:
            break
        found.append((offset + layout.LENGTH_BYTES, length))
        offset += _FRAME + length
    return found, offset


def _agrees(frame: np.ndarray) -> bool:
    """Whether a length, uint8 [12], agrees with its checksum."""
    given = _stored(frame, np.array([_LENGTH.size]))
    wanted = checksum.crc32c(frame[None, : _LENGTH.size])
    return bool(checksum.masked(wanted)[0] == given[0])


def _stored(whole: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The uint32 at each offset."""
    places = offsets[:, None] + np.arange(layout.CHECKSUM_BYTES)
    return whole[places].view("<u4").reshape(-1)


def _sound_lengths(whole: np.ndarray, found: list) -> int:
    """How many records, from the first on, have a sound length."""
    if not found:
        return 0
    starts = np.array(found, np.int64)[:, 0] - layout.LENGTH_BYTES
    lengths = whole[starts[:, None] + np.arange(_LENGTH.size)]
    given = _stored(whole, starts + _LENGTH.size)
    wrong = checksum.masked(checksum.crc32c(lengths)) != given
    return int(np.argmax(wrong)) if wrong.any() else len(found)


def _next_frame(whole: np.ndarray, offset: int) -> int:
    """Where the next sound length stands, from `offset` on, or the end."""
    width = layout.LENGTH_BYTES
    window = _LEAST_WINDOW
    while offset + _FRAME <= len(whole):
        part = whole[offset : offset + window + width]
        frames = np.lib.stride_tricks.sliding_window_view(part, width)
        wanted = checksum.masked(checksum.crc32c(frames[:, : _LENGTH.size]))
        given = _stored(part, np.arange(len(frames)) + _LENGTH.size)
        for place in np.flatnonzero(wanted == given).tolist():
            (length,) = _LENGTH.unpack_from(part, place)
            if offset + place + _FRAME + length <= len(whole):
                return offset + place
        offset += len(frames)
        window = min(2 * window, _MOST_WINDOW)
    return len(whole)
