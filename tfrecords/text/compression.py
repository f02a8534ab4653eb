"""Compressed files -> their bytes, in memory that does not grow with them.

What a file holds decides, not its name. Python's own readers of bz2 and xz
take damage at the border of two streams for the end of the file, and that of
`zstandard` a file that is cut off: here both are errors.
"""

import bz2
import gzip
import io
import lzma
import os
from collections.abc import Callable

# Ending -> what to call it.
COMPRESSIONS = {
    ".gz": "gzip",
    ".zst": "Zstandard",
    ".bz2": "bzip2",
    ".xz": "xz",
}

_BUFFER_BYTES = 1 << 20

# Read from a compressed file at once.
_BLOCK_BYTES = 1 << 16

# `zstd --long=31` is the widest window there is.
_MAX_WINDOW = 1 << 31

_ZSTANDARD_FRAME = b"\x28\xb5\x2f\xfd"
# A frame of user data has one of sixteen, the first of which is 0x50.
_ZSTANDARD_SKIPPABLE = b"\x2a\x4d\x18"
_BLOCK_HEADER_BYTES = 3
_RUN_LENGTH_BLOCK = 1


def without_compression(path: str) -> tuple[str, str]:
    """(path without the ending of a compression, the ending or "")."""
    stem, ending = os.path.splitext(path)
    if ending.lower() in COMPRESSIONS:
        return stem, ending.lower()
    return path, ""


def compression_of(head: bytes) -> str:
    """The ending that belongs to data that begin with `head`, or ""."""
    if head.startswith(b"\x1f\x8b"):
        return ".gz"
    if head.startswith(_ZSTANDARD_FRAME):
        return ".zst"
    if head[1:4] == _ZSTANDARD_SKIPPABLE and head[0] >> 4 == 5:
        return ".zst"
    # The mark of a block, or that of the end: pi, and its square root.
    if head[:3] == b"BZh" and head[4:10] in (
        b"\x31\x41\x59\x26\x53\x59",
        b"\x17\x72\x45\x38\x50\x90",
    ):
        return ".bz2"
    return ".xz" if head.startswith(b"\xfd7zXZ\x00") else ""


def decompressed(
    stream: io.RawIOBase, path: str
) -> tuple[io.BufferedReader, str]:
    """What `stream` holds, decompressed, and the ending of its compression.

    Reading raises EOFError, gzip.BadGzipFile or zlib.error where the data are
    damaged or cut off.

    Raises:
      EOFError: the name tells of a compression and there are other data.
    """
    buffered = io.BufferedReader(stream, _BUFFER_BYTES)
    head = buffered.peek(16)[:16]
    found = compression_of(head)
    wrap = _READERS.get(found)
    if wrap:
        return io.BufferedReader(wrap(buffered), _BUFFER_BYTES), found
    _, named = without_compression(path)
    # Text that a server sent decompressed under its old name is text.
    if named and (not head or any(byte < 9 or byte > 126 for byte in head)):
        what = "begins otherwise" if head else "is empty"
        raise EOFError(f"it is to be {COMPRESSIONS[named]} and {what}")
    return buffered, ""


class _FilledStream(io.RawIOBase):
    """A stream whose reads come back full, except for the last."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        view, filled = memoryview(buffer), 0
        while filled < len(view):
            data = self._some(len(view) - filled)
            if not data:
                break
            view[filled : filled + len(data)] = data
            filled += len(data)
        return filled

    def _some(self, most: int) -> bytes:
        """At least one and at most so many bytes; b"" at the end."""
        raise NotImplementedError


class _Streams(_FilledStream):
    """What the bz2 or xz streams of a file hold, one behind the other."""

    def __init__(self, stream: io.BufferedReader, make: Callable, padding: int):
        """`padding`: streams may lie zeros apart, a multiple of so many."""
        self._stream = stream
        self._make = make
        self._padding = padding
        self._engine = None
        self._left = b""

    def _some(self, most: int) -> bytes:
        while True:
            if self._engine is None and not self._next_stream():
                return b""
            if self._engine.needs_input and not self._left:
                self._left = self._stream.read(_BLOCK_BYTES)
                if not self._left:
                    raise EOFError("it ends inside a stream")
            left, self._left = self._left, b""
            try:
                data = self._engine.decompress(left, most)
            except (OSError, lzma.LZMAError, ValueError) as error:
                raise EOFError(str(error)) from None
            if self._engine.eof:
                self._left = self._engine.unused_data
                self._engine = None
            if data:
                return data

    def _next_stream(self) -> bool:
        """Begins a stream; False at the end of the file."""
        zeros = 0
        while True:
            self._left = self._left or self._stream.read(_BLOCK_BYTES)
            if not self._left or not self._padding:
                break
            rest = self._left.lstrip(b"\0")
            zeros += len(self._left) - len(rest)
            self._left = rest
            if rest:
                break
        if zeros and zeros % self._padding:
            raise EOFError("what lies between its streams is damaged")
        if not self._left:
            return False
        self._engine = self._make()
        return True


class _ZstandardStream(_FilledStream):
    """What the Zstandard frames of a file hold."""

    def __init__(self, stream: io.BufferedReader):
        import zstandard

        self._frames = _FrameBorders(stream)
        self._library = zstandard
        engine = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        self._reader = engine.stream_reader(
            self._frames, read_size=_BLOCK_BYTES, read_across_frames=True
        )

    def _some(self, most: int) -> bytes:
        try:
            data = self._reader.read(most)
        except self._library.ZstdError as error:
            raise EOFError(str(error)) from None
        if not data and not self._frames.at_border:
            raise EOFError("it ends inside a frame")
        return data


class _FrameBorders:
    """Hands a Zstandard file on, and follows where its frames end.

    RFC 8878, sections 3.1.1 and 3.1.2: each frame tells how long its header
    is and each block how long it is, so nothing is decompressed here.
    """

    def __init__(self, stream: io.BufferedReader):
        self._stream = stream
        self._skip = 0
        self._wanted = 4
        self._held = b""
        self._step = self._magic
        self._checksum = 0
        self._within = False

    @property
    def at_border(self) -> bool:
        """Whether all that was read so far are whole frames."""
        return not (self._within or self._skip or self._held)

    def read(self, count: int) -> bytes:
        data = self._stream.read(count)
        place = 0
        while place < len(data):
            if self._skip:
                skipped = min(self._skip, len(data) - place)
                self._skip -= skipped
                place += skipped
                continue
            end = place + self._wanted - len(self._held)
            self._held += data[place:end]
            place = min(end, len(data))
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._step(held)
        return data

    def _expect(self, count: int, step: Callable[[bytes], None]) -> None:
        self._wanted, self._step = count, step

    def _magic(self, data: bytes) -> None:
        self._within = True
        if data == _ZSTANDARD_FRAME:
            self._expect(1, self._descriptor)
        else:
            # Damage is the decompressor's to find; a frame to skip is not.
            self._expect(4, self._skippable)

    def _skippable(self, data: bytes) -> None:
        self._skip = int.from_bytes(data, "little")
        self._end_frame()

    def _descriptor(self, data: bytes) -> None:
        flag = data[0]
        single_segment = flag >> 5 & 1
        self._checksum = 4 * (flag >> 2 & 1)
        size = (single_segment, 2, 4, 8)[flag >> 6]
        self._skip = (1 - single_segment) + (0, 1, 2, 4)[flag & 3] + size
        self._expect(_BLOCK_HEADER_BYTES, self._block)

    def _block(self, data: bytes) -> None:
        header = int.from_bytes(data, "little")
        run_length = header >> 1 & 3 == _RUN_LENGTH_BLOCK
        self._skip = 1 if run_length else header >> 3
        if header & 1:
            self._skip += self._checksum
            self._end_frame()

    def _end_frame(self) -> None:
        self._within = False
        self._expect(4, self._magic)


_READERS = {
    ".gz": lambda stream: gzip.GzipFile(fileobj=stream),
    ".zst": _ZstandardStream,
    ".bz2": lambda stream: _Streams(stream, bz2.BZ2Decompressor, 0),
    ".xz": lambda stream: _Streams(stream, lzma.LZMADecompressor, 4),
}
