"""A file that is one JSON list -> its items as lines, in constant memory.

`json.dump(rows, file)` and pandas' `to_json(orient="records")` write such
files. What reads JSON lines reads them through this; an item is held no longer
than a line is.
"""

import codecs
import io
import re

from tfbert.errors import UserError

_BLOCK_BYTES = 1 << 16
_IN_STRING = re.compile(rb'["\\]')
_IN_LIST = re.compile(rb'[",\[\]{}]')
_IN_ITEM = re.compile(rb'["\[\]{}]')
# White space between the parts of an item ends no line.
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")


class Record(int):
    """The number of an item, from 1; in messages as "record 3".

    It stands where the number of a line does elsewhere: such a list often has
    one line alone.
    """

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec) if spec else f"record {int(self)}"


def begins(head: bytes) -> bool:
    """Whether data that begin with `head` are a list."""
    return head.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")


def as_lines(stream: io.BufferedReader, path: str) -> io.BufferedReader:
    """The items of the list that a stream holds, one on a line each.

    Reading raises UserError where the list is none: with the number of the
    item.

    Args:
      stream: of UTF-8 text.
      path: where it comes from, for messages.
    """
    return io.BufferedReader(_Lines(stream, path), _BLOCK_BYTES)


class _Lines(io.RawIOBase):
    """Follows brackets and strings; what an item holds, its reader checks."""

    def __init__(self, stream: io.BufferedReader, path: str):
        self._stream, self._path = stream, path
        # How many brackets are open; -1 behind the end of the list.
        self._depth = 0
        self._in_string = self._escaped = False
        # Whether the item under way has anything in it; whose number is next.
        self._filled, self._number = False, 1
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        """Fills some of the buffer; 0 at the end."""
        while not self._left:
            data = self._stream.read(_BLOCK_BYTES)
            if not data:
                self._check_ended()
                return 0
            self._left = self._converted(data)
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def _converted(self, data: bytes) -> bytes:
        found: list[bytes] = []
        place = 0
        while place < len(data):
            if self._in_string:
                end = self._end_of_string(data, place)
                found.append(data[place:end])
                place = end
                continue
            pattern = _IN_ITEM if self._depth > 1 else _IN_LIST
            match = pattern.search(data, place)
            end = match.start() if match else len(data)
            found.append(self._between(data[place:end]))
            place = end
            if match:
                found.append(self._mark(match[0]))
                place += 1
        return b"".join(found)

    def _end_of_string(self, data: bytes, place: int) -> int:
        """Where a string ends, or the data do within it."""
        if self._escaped:
            self._escaped = False
            place += 1
        while match := _IN_STRING.search(data, place):
            if match[0] == b'"':
                self._in_string = False
                return match.end()
            place = match.end() + 1
            self._escaped = place > len(data)
        return len(data)

    def _between(self, text: bytes) -> bytes:
        """Numbers, names and white space."""
        if self._depth < 1:
            if text.removeprefix(codecs.BOM_UTF8).strip():
                raise self._outside(text)
            return b""
        if self._depth == 1:
            text = text.strip()
            self._filled |= bool(text)
        return text.translate(_ONE_LINE)

    def _mark(self, mark: bytes) -> bytes:
        """A bracket, comma or quotation mark outside of strings."""
        if self._depth < 0 or (not self._depth and mark != b"["):
            raise self._outside(mark)
        if mark == b",":
            return self._end_of_item("comma")
        if mark == b'"':
            self._in_string = self._filled = True
        elif mark in b"[{":
            self._depth += 1
            if self._depth == 1:
                return b""
            self._filled = True
        else:
            self._depth -= 1
            if not self._depth:
                self._depth = -1
                if self._filled or self._number > 1:
                    return self._end_of_item("end of the list")
                return b""
        return mark

    def _end_of_item(self, what: str) -> bytes:
        if not self._filled:
            raise UserError(
                f"{self._path}:{Record(self._number)}: nothing stands before "
                f"the {what}. Take the comma too many out."
            )
        self._filled = False
        self._number += 1
        return b"\n"

    def _check_ended(self) -> None:
        if self._depth >= 0:
            raise UserError(
                f"{self._path}:{Record(self._number)}: the JSON list does not "
                "end: the file is cut off, or a quotation mark or bracket is "
                "missing. Write or copy it again."
            )

    def _outside(self, text: bytes) -> UserError:
        shown = text.strip()[:20].decode("utf-8", "replace")
        return UserError(
            f"{self._path}: a JSON list and nothing besides it was wanted, "
            f"but there is {shown!r} outside of it."
        )
