"""Files by name, and their lines, in constant memory."""

import codecs
import dataclasses
import glob
import hashlib
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator

from tfbert.errors import UserError
from tfrecords.text import formats, remote
from tfrecords.text.compression import COMPRESSIONS, decompressed

STDIN = "-"

# A longer document is handed on in parts, and a longer line in pieces, cut at
# white space: memory stays bounded whatever the files hold.
PART_BYTES = 4 << 20
LINE_BYTES = 1 << 20


@dataclasses.dataclass
class Source:
    """The account of one file: what was read from it.

    Attributes:
      format: how it was read, see `formats`.
      lines: its lines, or its rows where it is a table.
    """

    file: str
    bytes: int = 0
    lines: int = 0
    documents: int = 0
    sha256: str = ""
    format: str = ""


def find_files(
    inputs: list[str],
    leave_out: Callable[[str, str], None] = lambda reason, path: None,
) -> list[str]:
    """The files that paths, folders and globs name, sorted, each once.

    Folders are searched to any depth for the files that `formats` reads, a
    folder that is linked to as well, once; a path or glob takes any file ("-"
    is the standard input). A link to a file that is named already is left
    out.

    Args:
      inputs: the names.
      leave_out: called with (reason, path) for what folders hold besides.

    Raises:
      UserError: a name stands for nothing, or all for nothing.
    """
    found: dict[str, str] = {}
    for name in inputs:
        paths = _named(name, leave_out)
        if not paths:
            raise UserError(
                f"no text found at {name!r}: there is no such file, and no "
                f"file below it that ends in {', '.join(formats.ENDINGS)} (or "
                f"these with {', '.join(COMPRESSIONS)}) or holds JSON lines. "
                "Check the spelling; quote a pattern so that the shell leaves "
                "it alone."
            )
        for path in paths:
            is_remote = remote.is_remote(path)
            found.setdefault(
                path if is_remote else os.path.realpath(path), path
            )
    return sorted(found.values())


def _named(name: str, leave_out) -> list[str]:
    if name == STDIN:
        return [STDIN]
    if remote.is_remote(name):
        paths, below = remote.find(name)
        return paths + _chosen(below, leave_out)
    if os.path.isdir(name):
        return _below(name, leave_out)
    if os.path.exists(name):
        return [name]
    paths = []
    for path in sorted(glob.glob(name, recursive=True)):
        if os.path.isdir(path):
            paths += _below(path, leave_out)
        else:
            paths.append(path)
    return paths


def _below(folder: str, leave_out) -> list[str]:
    """The files of a folder that are read."""
    paths = []
    seen = {os.path.realpath(folder)}
    for where, folders, names in os.walk(folder, followlinks=True):
        kept = []
        for name in sorted(folders):
            path = os.path.join(where, name)
            real = os.path.realpath(path)
            if real in seen:
                continue  # Its files are read under its first name.
            if _holds(real, where):
                leave_out("link_to_a_folder_above", path)
                continue
            seen.add(real)
            kept.append(name)
        folders[:] = kept
        paths += [os.path.join(where, name) for name in sorted(names)]
    return _chosen(paths, leave_out)


def _holds(folder: str, where: str) -> bool:
    """Whether `where` lies below `folder`, so that a link there is a loop."""
    return os.path.realpath(where).startswith(folder.rstrip(os.sep) + os.sep)


def _chosen(paths: list[str], leave_out) -> list[str]:
    """Those of a folder's files that are read."""
    chosen = []
    for path in paths:
        belongs = formats.belongs(path)
        if belongs or (belongs is None and _holds_texts(path)):
            chosen.append(path)
        else:
            leave_out("no_text_file", path)
    return chosen


def _holds_texts(path: str) -> bool:
    """Whether a file whose name says little holds JSON lines or a table."""
    try:
        with open_binary(path) as stream:
            data, _ = decompressed(CountedStream(stream), path)
            return formats.is_table_or_json_lines(
                data.peek(formats.HEAD_BYTES)[: formats.HEAD_BYTES]
            )
    except (OSError, EOFError, zlib.error):
        return True  # Whoever reads it will say what is wrong.


def can_be_read_again(paths: list[str]) -> bool:
    """Whether all are files, and none a pipe or the standard input."""
    return all(remote.is_remote(path) or os.path.isfile(path) for path in paths)


class CountedStream(io.RawIOBase):
    """A binary stream that counts and hashes what is read through it."""

    def __init__(self, stream):
        self._stream = stream
        self.count = 0
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        """Fills the buffer, but for the end of the stream."""
        # One call to the system at a time: signals are answered in between.
        read = getattr(self._stream, "read1", self._stream.read)
        view, filled = memoryview(buffer), 0
        while filled < len(view) and (data := read(len(view) - filled)):
            view[filled : filled + len(data)] = data
            filled += len(data)
        self.count += filled
        self.digest.update(view[:filled])
        return filled


def read_to_end(raw, counted: CountedStream, again: bool) -> None:
    """Counts and hashes all of a file that was read here and there.

    `again` reads it from its first byte, otherwise from where it stands.
    """
    if again:
        raw.seek(0)
        counted.count, counted.digest = 0, hashlib.sha256()
    block = bytearray(LINE_BYTES)
    while counted.readinto(block):
        pass


def open_binary(path: str):
    """A file's bytes; those of the standard input for "-"."""
    if path == STDIN:
        return sys.stdin.buffer
    return remote.Stream(path) if remote.is_remote(path) else open(path, "rb")


def file_size(path: str) -> int:
    """Bytes of a file as far as it is known; 0 for the standard input."""
    if path == STDIN:
        return 0
    try:
        if remote.is_remote(path):
            return remote.size(path)
        return os.path.getsize(path)
    except OSError:
        return 0  # Whoever reads it will say what is wrong.


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
            line = line.removeprefix(codecs.BOM_UTF8)
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
    start = 0
    while len(text) - start > PART_BYTES:
        cut = start + _cut(text[start : start + PART_BYTES])
        yield text[start:cut]
        start = cut
    yield text[start:] if start else text
