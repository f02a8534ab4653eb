"""Files of text -> documents, in constant memory.

Text files (.txt) hold documents separated by empty lines, or one document a
line; JSON-lines files (.jsonl) one document a line, in a field of an object.
Each may be compressed by gzip (.gz) or Zstandard (.zst). Text is UTF-8.

Lines that cannot be used are rejected with a reason, or stop the reading,
naming file and line: what is left out is always known.
"""

import dataclasses
import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator

from tfbert.errors import UserError
from tfrecords import files

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
      text_field: the field of a JSON object that holds the text.
      on_bad_text: at a line that is not UTF-8 or not the JSON wanted:
        "error" stops, "skip" leaves the line out, "replace" puts U+FFFD for
        bad bytes (and leaves bad JSON out).
    """

    documents: str = "blank_line"
    text_field: str = "text"
    on_bad_text: str = "error"

    def __post_init__(self):
        """Raises UserError for a choice that there is not."""
        for name, choices in (
            ("documents", DOCUMENTS),
            ("on_bad_text", ON_BAD_TEXT),
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
            lines = files.lines_of(files.decompressed(counted, path), source)
            if files.known_ending(path) in files.JSON_ENDINGS:
                documents = self._json_documents(lines, path)
            elif self._reading.documents == "line":
                documents = self._line_documents(lines, path)
            else:
                documents = self._paragraph_documents(lines, path)
            for document in documents:
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

    def _paragraph_documents(self, lines, path) -> Iterator[Document]:
        held: list[bytes] = []
        size = first = part = 0
        for line, number, _ in lines:
            text = self._checked(line.strip(), path, number)
            if text:
                if not held and not part:
                    first = number
                held.append(text)
                size += len(text) + 1
                if size < files.PART_BYTES:
                    continue
                yield Document(b"\n".join(held), path, first, part)
                part += 1
            elif not line.strip():
                if held:
                    yield Document(b"\n".join(held), path, first, part)
                part = 0
            else:
                continue  # Rejected: the document goes on after it.
            held, size = [], 0
        if held:
            yield Document(b"\n".join(held), path, first, part)

    def _line_documents(self, lines, path) -> Iterator[Document]:
        part = 0
        for line, number, whole in lines:
            text = self._checked(line.strip(), path, number)
            if text:
                yield Document(text, path, number, part)
                part += 1
            # Part 0 is the first that is kept: it says where all go.
            part = 0 if whole else part

    def _json_documents(self, lines, path) -> Iterator[Document]:
        held: list[bytes] = []
        for line, number, whole in lines:
            held.append(line)
            if not whole:
                continue
            line, held = b"".join(held).strip(), []
            if not line:
                continue
            text = self._json_text(line, path, number)
            if text is None:
                continue
            for part, piece in enumerate(files.parts_of(text)):
                yield Document(piece, path, number, part)

    def _json_text(self, line: bytes, path: str, number: int) -> bytes | None:
        line = self._checked(line, path, number)
        if not line:
            return None
        field = self._reading.text_field
        try:
            text = json.loads(line)[field]
        except ValueError as error:
            return self._bad("bad_json", path, number, f"is not JSON ({error})")
        except (KeyError, TypeError, IndexError):
            return self._bad(
                "no_text_field",
                path,
                number,
                f"has no field {field!r}; name the right one by --text_field",
            )
        if not isinstance(text, str):
            return self._bad(
                "text_not_a_string",
                path,
                number,
                f"has a {type(text).__name__} in {field!r}, wanted a string",
            )
        try:
            data = text.encode("utf-8")
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
            data = data.decode("utf-16", "replace").encode("utf-8")
        lines = (part.strip() for part in data.split(b"\n"))
        data = b"\n".join(part for part in lines if part)
        if not data:
            self._reject("empty_text", path, number)
            return None
        return data

    def _checked(self, line: bytes, path: str, number: int) -> bytes:
        """The line as UTF-8, or b"" where it is rejected."""
        if line.isascii():
            return line
        try:
            line.decode("utf-8")
            return line
        except UnicodeDecodeError as error:
            if self._reading.on_bad_text == "replace":
                return line.decode("utf-8", "replace").encode("utf-8")
            byte = line[error.start]
            return (
                self._bad(
                    "bad_utf8",
                    path,
                    number,
                    f"is not UTF-8 (byte 0x{byte:02x} at column "
                    f"{error.start + 1})",
                )
                or b""
            )

    def _bad(self, reason: str, path: str, number: int, problem: str) -> None:
        """Counts a bad line, or stops at it."""
        if self._reading.on_bad_text == "error":
            raise UserError(
                f"{path}, line {number}: it {problem}. Mend the file, or leave "
                "such lines out with --on_bad_text skip (or put U+FFFD for bad "
                "bytes with --on_bad_text replace)."
            )
        self._reject(reason, path, number)
