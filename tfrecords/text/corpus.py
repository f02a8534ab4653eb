"""Files of text -> documents, in constant memory.

Text files hold documents separated by empty lines, or one document a line;
files of JSON lines one document a line, in a field of an object, and those of
one JSON list one in each of its objects; Parquet and Arrow files one a row, in
a column. What a file holds tells which it is, see
`formats`, and whether it is compressed. Text is UTF-8.

Lines that cannot be used are rejected with a reason, or stop the reading,
naming file and line: what is left out is always known.
"""

import dataclasses
import gzip
import hashlib
import io
import json
import zlib
from collections.abc import Callable, Iterator

from tfbert.errors import UserError
from tfrecords.text import arrow, compression, files, formats, json_list

ON_BAD_TEXT = ("error", "replace", "skip")
DOCUMENTS = ("blank_line", "line")


@dataclasses.dataclass(frozen=True)
class Document:
    """A document, or a part of a very long one.

    Attributes:
      text: UTF-8, lines joined by newlines, without empty lines.
      file: where it comes from.
      line: its first line there, from 1.
      part: 0, or the number of the part of a very long document, of those
        that are kept.
    """

    text: bytes
    file: str
    line: int
    part: int = 0

    def digests(self) -> tuple[int, int]:
        """Two numbers below 2^64 that stand for the text."""
        digest = hashlib.blake2b(self.text, digest_size=16).digest()
        return (
            int.from_bytes(digest[:8], "little"),
            int.from_bytes(digest[8:], "little"),
        )


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are read.

    Attributes:
      documents: what separates documents in text files: "blank_line" or
        "line".
      text_field: the field of a JSON object, or the column of a table, that
        holds the text.
      on_bad_text: at a line that is not UTF-8 or not the JSON wanted:
        "error" stops, "skip" leaves the line out, "replace" puts U+FFFD for
        bad bytes (and leaves bad JSON out).
      format: one of `formats.CHOICES`; "auto" goes by what a file holds.
      max_line: MiB of a line of JSON, or of a text in a table, at most: it is
        read as a whole.
    """

    documents: str = "blank_line"
    text_field: str = "text"
    on_bad_text: str = "error"
    format: str = formats.AUTO
    max_line: int = 16

    def __post_init__(self):
        """Raises UserError for a choice that there is not."""
        if self.max_line < 1:
            raise UserError(
                f"max_line {self.max_line}: wanted MiB, at least 1."
            )
        for name, choices in (
            ("documents", DOCUMENTS),
            ("on_bad_text", ON_BAD_TEXT),
            ("format", formats.CHOICES),
        ):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"{name} {getattr(self, name)!r}: wanted one of {choices}."
                )


class Corpus:
    """The documents of some files.

    Attributes:
      sources: the account of each file read to its end so far.
      bytes_read: bytes of all files so far, as on disk.
      total_bytes: bytes of all files on disk.
    """

    def __init__(
        self,
        paths: list[str],
        reading: Reading,
        reject: Callable[[str, str, int], None],
    ):
        """`reject(reason, file, line)` is called for each rejected line."""
        self._paths = paths
        self._reading = reading
        self._reject = reject
        self.sources: list[files.Source] = []
        self.bytes_read = 0
        self.total_bytes = sum(map(files.file_size, paths))

    def again(self) -> "Corpus":
        """The same documents, without telling of rejected lines."""
        return Corpus(self._paths, self._reading, lambda *_: None)

    def __iter__(self) -> Iterator[Document]:
        """Yields the documents of all files, file by file.

        Raises:
          UserError: a file cannot be read, changes while it is read, or holds
            a line that cannot be used where that is an error.
        """
        for path in self._paths:
            source = files.Source(path)
            before = self.bytes_read
            try:
                for document in self._read_file(path, source, before):
                    source.documents += document.part == 0
                    yield document
            except (gzip.BadGzipFile, EOFError, zlib.error) as error:
                raise UserError(
                    f"{path}, after line {source.lines}: the compressed data "
                    f"is damaged or cut off ({error}). Fetch the file again."
                ) from None
            except OSError as error:
                raise UserError(
                    f"{path} cannot be read: {error.strerror or error}."
                ) from None
            self.bytes_read = before + source.bytes
            self.sources.append(source)

    def _read_file(self, path, source, before) -> Iterator[Document]:
        with files.open_binary(path) as raw:
            state = files.file_state(raw, path)
            counted = files.CountedStream(raw)
            for document in self._documents(raw, state, counted, source):
                source.bytes = counted.count
                self.bytes_read = before + counted.count
                yield document
            source.bytes = counted.count
            source.sha256 = counted.digest.hexdigest()
            if files.file_state(raw, path) != state:
                raise UserError(
                    f"{path} changed while it was read. Build again when "
                    "nothing writes to it."
                )

    def _documents(self, raw, state, counted, source) -> Iterator[Document]:
        """Yields what an open file holds, having found out how to read it."""
        path = source.file
        stream, packed = compression.decompressed(counted, path)
        head = stream.peek(formats.HEAD_BYTES)[: formats.HEAD_BYTES]
        source.format = formats.format_of(head, path, self._reading.format)
        is_list = source.format == formats.JSON_LIST
        if is_list:
            stream = json_list.as_lines(stream, path)
        elif source.format not in (formats.TEXT, formats.JSON_LINES):
            whole = None if packed or state is None else raw
            yield from self._rows(stream, whole, source)
            files.read_to_end(raw, counted, again=whole is not None)
            return
        lines = files.lines_of(stream, source)
        if is_list or source.format == formats.JSON_LINES:
            number_of = json_list.Record if is_list else int
            yield from self._json_documents(lines, path, number_of)
        elif self._reading.documents == "line":
            yield from self._line_documents(lines, path)
        else:
            yield from self._paragraph_documents(lines, path)

    def _rows(self, stream, whole, source) -> Iterator[Document]:
        """Yields the documents of a table."""
        path = source.file
        for number, text in arrow.texts(
            stream,
            whole,
            source.format,
            path,
            self._reading.text_field,
            self._reading.max_line << 20,
        ):
            source.lines = number
            if isinstance(text, int):
                self._too_long(path, number)
                continue
            text = self._checked(text, path, number) if text else b""
            if text is not None:
                yield from self._parts(text, path, number)

    def _paragraph_documents(self, lines, path) -> Iterator[Document]:
        held: list[bytes] = []
        size = first = part = 0
        for line, number, _ in lines:
            text = self._checked(line.strip(), path, number)
            if text is None:
                continue  # Rejected: the document goes on after it.
            if not _is_blank(text):
                if not held and not part:
                    first = number
                held.append(text)
                size += len(text) + 1
                if size < files.PART_BYTES:
                    continue
                yield Document(b"\n".join(held), path, first, part)
                part += 1
            else:
                if held:
                    yield Document(b"\n".join(held), path, first, part)
                part = 0
            held, size = [], 0
        if held:
            yield Document(b"\n".join(held), path, first, part)

    def _line_documents(self, lines, path) -> Iterator[Document]:
        part = 0
        for line, number, whole in lines:
            text = self._checked(line.strip(), path, number)
            if text and not _is_blank(text):
                yield Document(text, path, number, part)
                part += 1
            # Part 0 is the first that is kept: it says where all go.
            part = 0 if whole else part

    def _json_documents(self, lines, path, number_of) -> Iterator[Document]:
        held: list[bytes] = []
        size, limit = 0, self._reading.max_line << 20
        for line, place, whole in lines:
            number = number_of(place)
            if size <= limit < size + len(line):
                held.clear()
                self._too_long(path, number)
            size += len(line)
            if size <= limit:
                held.append(line)
            if not whole:
                continue
            line, held, size = b"".join(held).strip(), [], 0
            text = self._json_text(line, path, number) if line else None
            if text is not None:
                yield from self._parts(text, path, number)

    def _json_text(self, line: bytes, path: str, number: int) -> bytes | None:
        line = self._checked(line, path, number)
        if line is None:
            return None
        field = self._reading.text_field
        try:
            text = json.loads(line)[field]
        except (ValueError, RecursionError) as error:
            if isinstance(error, RecursionError):
                error = "it is nested too deeply"
            return self._bad("bad_json", path, number, f"is not JSON ({error})")
        except (KeyError, TypeError, IndexError):
            return self._bad(
                "no_text_field",
                path,
                number,
                f"has no field {field!r}; name the right one by --text_field",
            )
        if text is None:
            return b""
        if not isinstance(text, str):
            return self._bad(
                "text_not_a_string",
                path,
                number,
                f"has a {type(text).__name__} in {field!r}, wanted a string",
            )
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:
            if self._reading.on_bad_text != "replace":
                return self._bad(
                    "bad_utf8",
                    path,
                    number,
                    "has half a surrogate pair, which is no character",
                )
            # To UTF-16 and back joins what are pairs and replaces the rest.
            data = text.encode("utf-16", "surrogatepass")
            return data.decode("utf-16", "replace").encode("utf-8")

    def _parts(self, text: bytes, path, number) -> Iterator[Document]:
        """Yields a text that is a document, without its empty lines."""
        kept = bytearray()
        for line in io.BytesIO(text):
            line = line.strip()
            if line and not _is_blank(line):
                kept += line + b"\n"
        if not kept:
            self._reject("empty_text", path, number)
            return
        text = bytes(memoryview(kept)[:-1])
        for part, piece in enumerate(files.parts_of(text)):
            yield Document(piece, path, number, part)

    def _checked(self, line: bytes, path: str, number: int) -> bytes | None:
        """The line as UTF-8, or None where it is rejected."""
        if line.isascii():
            return line
        try:
            line.decode("utf-8")
            return line
        except UnicodeDecodeError as error:
            if self._reading.on_bad_text == "replace":
                return line.decode("utf-8", "replace").encode("utf-8")
            byte = line[error.start]
            return self._bad(
                "bad_utf8",
                path,
                number,
                f"is not UTF-8 (byte 0x{byte:02x} at column {error.start + 1})",
            )

    def _too_long(self, path: str, number: int) -> None:
        self._bad(
            "line_too_long",
            path,
            number,
            f"is longer than {self._reading.max_line} MiB. Allow more by "
            "--max_line, at the price of about ten times as much memory",
        )

    def _bad(self, reason: str, path: str, number: int, problem: str) -> None:
        """Counts a bad line, or stops at it."""
        if self._reading.on_bad_text == "error":
            of_list = isinstance(number, json_list.Record)
            where = f"{path}, {'' if of_list else 'line '}{number}"
            raise UserError(
                f"{where}: it {problem}. Mend the file, or leave "
                "such lines out with --on_bad_text skip (or put U+FFFD for bad "
                "bytes with --on_bad_text replace)."
            )
        self._reject(reason, path, number)


def _is_blank(line: bytes) -> bool:
    """Whether a line has no text; Chinese ones may hold an U+3000 or two."""
    if not line:
        return True
    # The first bytes of the white space that is not ASCII.
    return line[0] in b"\xc2\xe1\xe2\xe3" and line.decode("utf-8").isspace()
