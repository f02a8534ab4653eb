"""Files by name, and their lines, in constant memory."""

import dataclasses
import glob
import gzip
import hashlib
import io
import os
import stat
import sys
from collections.abc import Iterator

from tfbert.errors import UserError
from tfrecords import remote

STDIN = "-"
COMPRESSIONS = (".gz", ".zst")
TEXT_ENDINGS = (".txt",)
JSON_ENDINGS = (".jsonl", ".ndjson")

# A longer document is handed on in parts, and a longer line in pieces, cut at
# white space: memory stays bounded whatever the files hold.
PART_BYTES = 4 << 20
LINE_BYTES = 1 << 20

# Read from a compressed file at once; it may grow to many times as much.
_BLOCK_BYTES = 1 << 16

_BOM = b"\xef\xbb\xbf"


@dataclasses.dataclass
class Source:
    """The account of one file: what was read from it."""

    file: str
    bytes: int = 0
    lines: int = 0
    documents: int = 0
    sha256: str = ""


def find_files(inputs: list[str]) -> list[str]:
    """The files that paths, folders and globs name, sorted, each once.

    Folders are searched to any depth for the endings named above; a path or
    glob takes any ending ("-" is the standard input). A link to a file that
    is named already is left out.

    Raises:
      UserError: a name stands for nothing, or all for nothing.
    """
    found: dict[str, str] = {}
    for name in inputs:
        if name == STDIN:
            paths = [STDIN]
        elif remote.is_remote(name):
            paths = remote.find(name)
            if paths != [name] and not glob.has_magic(name):
                paths = [path for path in paths if known_ending(path)]
        elif os.path.isdir(name):
            paths = _text_files_below(name)
        elif os.path.exists(name):
            paths = [name]
        else:
            paths = []
            for path in sorted(glob.glob(name, recursive=True)):
                is_folder = os.path.isdir(path)
                paths += _text_files_below(path) if is_folder else [path]
        if not paths:
            raise UserError(
                f"no text found at {name!r}: there is no such file, and no "
                "file below it that ends in "
                f"{', '.join(TEXT_ENDINGS + JSON_ENDINGS)} (or these with "
                f"{' or '.join(COMPRESSIONS)}). Check the spelling; "
                "quote a pattern so that the shell leaves it alone."
            )
        for path in paths:
            is_remote = remote.is_remote(path)
            found.setdefault(
                path if is_remote else os.path.realpath(path), path
            )
    return sorted(found.values())


def _text_files_below(folder: str) -> list[str]:
    paths = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        paths += [os.path.join(where, name) for name in sorted(names)]
    return [path for path in paths if known_ending(path)]


def known_ending(path: str) -> str:
    """The known ending of a file's name without compression, or ""."""
    for compression in COMPRESSIONS:
        path = path.removesuffix(compression)
    ending = os.path.splitext(path)[1].lower()
    return ending if ending in TEXT_ENDINGS + JSON_ENDINGS else ""


class CountedStream(io.RawIOBase):
    """A binary stream that counts and hashes what is read through it."""

    def __init__(self, stream):
        self._stream = stream
        self.count = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        self.digest.update(data)
        return len(data)


class _ZstandardStream(io.RawIOBase):
    """What the Zstandard frames of a stream hold.

    The library's own reader takes a file that is cut off for one that ends.
    """

    def __init__(self, stream: io.RawIOBase):
        import zstandard

        self._stream = stream
        self._library = zstandard
        self._frame = None
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        """Raises EOFError where the data is damaged or cut off."""
        while not self._ready:
            data = self._stream.read(_BLOCK_BYTES)
            if not data:
                if self._frame is not None:
                    raise EOFError("it ends inside a frame")
                return 0
            self._ready = b"".join(self._frames(data))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _frames(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._frame is None:
                # `zstd --long=31` is the widest window there is.
                engine = self._library.ZstdDecompressor(max_window_size=2**31)
                self._frame = engine.decompressobj()
            try:
                yield self._frame.decompress(data)
            except self._library.ZstdError as error:
                raise EOFError(str(error)) from None
            data = self._frame.unused_data
            if self._frame.eof:
                self._frame = None


def decompressed(stream: io.RawIOBase, path: str) -> io.BufferedIOBase:
    if path.endswith(".gz"):
        buffered = io.BufferedReader(stream, 1 << 20)
        return io.BufferedReader(gzip.GzipFile(fileobj=buffered), 1 << 20)
    if path.endswith(".zst"):
        stream = _ZstandardStream(stream)
    return io.BufferedReader(stream, 1 << 20)


def open_binary(path: str):
    """A file's bytes; those of the standard input for "-"."""
    if path == STDIN:
        return sys.stdin.buffer
    return remote.Stream(path) if remote.is_remote(path) else open(path, "rb")


def file_size(path: str) -> int:
    """Bytes of a file as far as it is known; 0 for the standard input."""
    if path == STDIN:
        return 0
    if remote.is_remote(path):
        return remote.size(path)
    return os.path.getsize(path) if os.path.exists(path) else 0


def file_state(stream, path: str) -> tuple[int, int] | None:
    """(size, time of change) of an open file; None for a pipe."""
    if remote.is_remote(path):
        return remote.state(path)
    facts = os.fstat(stream.fileno())
    if not stat.S_ISREG(facts.st_mode):
        return None
    return facts.st_size, facts.st_mtime_ns


def lines_of(
    stream: io.BufferedIOBase, source: Source
) -> Iterator[tuple[bytes, int, bool]]:
    """Yields (line, its number from 1, it ends here) of a stream.

    A line of more than LINE_BYTES comes in pieces, cut after white space if
    there is some, else between two characters.
    """
    left = b""
    number = 1
    while line := stream.readline(LINE_BYTES):
        if number == 1 and not left:
            line = line.removeprefix(_BOM)
        line = left + line
        if line.endswith(b"\n"):
            source.lines = number
            yield line, number, True
            number += 1
            left = b""
        elif len(line) < LINE_BYTES:
            left = line  # The end of the file, or a short read of a pipe.
        else:
            cut = _cut(line)
            yield line[:cut], number, False
            left = line[cut:]
    if left:
        source.lines = number
        yield left, number, True


def _cut(line: bytes) -> int:
    """Where to cut a long line: behind its last space, else a character."""
    space = max(line.rfind(b" "), line.rfind(b"\t"))
    if space > len(line) // 2:
        return space + 1
    cut = len(line)
    # Bytes 10xxxxxx go on with a character; at most three follow its first.
    for back in range(1, 4):
        if line[-back] & 0xC0 == 0xC0:
            cut = len(line) - back
            break
        if line[-back] & 0xC0 != 0x80:
            break
    return cut


def parts_of(text: bytes) -> Iterator[bytes]:
    """A document in parts of at most PART_BYTES."""
    while len(text) > PART_BYTES:
        cut = _cut(text[:PART_BYTES])
        yield text[:cut]
        text = text[cut:]
    yield text
