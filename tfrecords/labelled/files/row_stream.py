"""Rows of a file of any size, one after another, with all of their columns.

What `tables` reads whole, for what works on one row at a time: memory does
not grow with the file.
"""

import hashlib
import io
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from tfbert.errors import UserError
from tfrecords.labelled.files import json_lines, table_form, tables
from tfrecords.labelled.files.table_form import TableForm
from tfrecords.labelled.files.text import (
    check_is_text,
    ending,
    no_utf8,
    unreadable,
)
from tfrecords.text import json_list
from tfrecords.text.compression import decompressed, without_compression
from tfrecords.text.files import CountedStream

# So much of a file is looked at to find its form.
_LOOKED_AT = 1 << 20
# A line is held as a whole.
_LINE_BYTES = 64 << 20
_BOM = b"\xef\xbb\xbf"


class Row(NamedTuple):
    """A row.

    Attributes:
      line: on which it ends, from 1; of a JSON list the number of its item.
      cells: all of its columns by name; values of JSON as they are.
      wanted: the text of those that were asked for.
    """

    line: int
    cells: dict[str, object]
    wanted: tuple[str, ...]


class RowStream:
    """The rows of a file: cells, JSON, or a text a line (.txt).

    Compressed files (.gz, .zst, .bz2, .xz) are unpacked on the way. What a
    file is read as is found in its first MiB; see `tables.read_table`.

    Args:
      path: the file.
      columns: those that are asked for, which must be there. Of .txt they
        name what a line holds, apart by tabs.
      lists: those of them that may hold lists in JSON Lines.
      reading: how it is read.

    Attributes:
      bytes_read: of the file, so far.
      total_bytes: of the file.
      left_out: bad rows so far.
      form: how it is read, for the user; None: not known yet.
      plain: whether quotation marks are text and cells hold no tab.

    Raises:
      UserError: there is no such file, or one of another kind.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        columns: Sequence[str],
        lists: Sequence[str] = (),
        reading: tables.Reading = tables.BY_LOOKING,
    ):
        self.path = Path(path)
        self._columns, self._lists = columns, lists
        self._reading = reading
        # By its name without what says how it is packed.
        self._bare = Path(without_compression(os.fspath(path))[0])
        if ending(self._bare) in tables.NO_TABLES:
            raise tables.refused(self._bare, (*tables.FORMATS, ".txt"))
        try:
            self._file = open(self.path, "rb")
            self.total_bytes = os.fstat(self._file.fileno()).st_size
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._counted = CountedStream(self._file)
        self._number_of = int
        self._digest = hashlib.sha256()
        self.left_out = 0
        self.form: str | None = None
        self.plain = False

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def digest(self) -> str:
        """Of all that was read for the rows so far, unpacked."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __iter__(self) -> Iterator[Row]:
        """Yields the rows, once.

        Raises:
          UserError: as `tables.read_table` does, when it comes to it.
        """
        try:
            yield from self._rows()
        except (EOFError, OSError, zlib.error) as error:
            raise UserError(
                f"{self.path}: cannot be read to its end ({error}). Copy it "
                "again."
            ) from error
        finally:
            self.close()

    def _rows(self) -> Iterator[Row]:
        stream, _ = decompressed(self._counted, os.fspath(self.path))
        head = stream.peek(_LOOKED_AT)[:_LOOKED_AT]
        check_is_text(self.path, head)
        sample = _sample(head)
        if json_lines.is_list(self._bare, sample):
            stream = json_list.as_lines(stream, os.fspath(self.path))
            self._number_of = json_list.Record
        lines = self._lines(stream)
        found, first_bad = False, None
        with closing(self._read(sample, lines)) as rows:
            for line, cells, wanted in rows:
                if not isinstance(wanted, UserError):
                    wanted = tables.checked(self.path, line, wanted, ())
                if not isinstance(wanted, UserError):
                    found = True
                    texts = tuple(wanted[name] for name in self._columns)
                    yield Row(line, cells, texts)
                elif self._reading.bad_rows == "error":
                    raise wanted
                else:
                    first_bad = first_bad or wanted
                    self.left_out += 1
        if not found:
            raise first_bad or UserError(f"{self.path}: the file has no rows.")

    def _read(self, sample: str, lines: Iterator[str]):
        """Yields (line, all cells, those wanted or what is wrong)."""
        form = ending(self._bare)
        if form == ".txt":
            self.form, self.plain = "a text on each line", True
            return self._text_rows(lines)
        if tables.is_json(self._bare, form, sample):
            self.form = tables.json_form(self._bare, sample)
            return self._objects(lines)
        settled = table_form.settle(
            self._reading.form, self._bare, sample, self._columns
        )
        self.form = settled.describe()
        self.plain = settled.quoting == "none" and settled.separator == "\t"
        if settled.quoting == "none":
            cells = table_form.plain_cells(settled, lines)
        else:
            cells = table_form.quoted_cells(
                settled,
                self.path,
                table_form.quotable_lines(lines),
                table_form.has_spaces_behind(settled.separator, sample),
            )
        return self._cell_rows(settled, cells)

    def _text_rows(self, lines: Iterator[str]):
        count, names = len(self._columns), " and ".join(self._columns)
        for number, line in enumerate(lines, start=1):
            line = line.removesuffix("\n").removesuffix("\r")
            if not line.strip():
                continue
            texts = line.split("\t", count - 1)
            cells = dict(zip(self._columns, texts, strict=False))
            if len(texts) == count:
                yield number, cells, cells
                continue
            yield (
                number,
                cells,
                UserError(
                    f"{self.path}:{number}: wanted {names}, apart by a tab; "
                    "the line has none. Mend it, or leave such lines out: "
                    "bad_rows skip."
                ),
            )

    def _objects(self, lines: Iterator[str]):
        keys = ", ".join(self._columns)
        wanted = f"a JSON object with the keys {keys}"
        for line, row in json_lines.objects_of(
            self.path, lines, wanted, self._number_of
        ):
            where = f"{self.path}:{line}"
            try:
                tables.check_columns(where, self._columns, list(row))
                cells = {
                    name: tables.json_cell(
                        where, name, row[name], name in self._lists
                    )
                    for name in self._columns
                }
            except UserError as error:
                cells = error
            yield line, row, cells

    def _cell_rows(self, form: TableForm, rows: Iterator[table_form.Cells]):
        line, first = next(rows, (1, []))
        if not first:
            raise UserError(f"{self.path}: the file has no rows.")
        where = f"{self.path}:{line}"
        places = tables.places_of(where, self._columns, first, form)
        if form.header:
            names = first
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise UserError(
                    f"{where}: two columns are named {twice[0]!r}. Rename one."
                )
        else:
            names = [str(number) for number in range(len(first))]
            rows = _behind((line, first), rows)
        for line, cells in rows:
            if len(cells) == len(first):
                wanted = {name: cells[at] for name, at in places.items()}
                yield line, dict(zip(names, cells, strict=True)), wanted
            else:
                where = f"{self.path}:{line}"
                yield line, {}, tables.ragged(where, cells, first, form)

    def _lines(self, stream: io.BufferedReader) -> Iterator[str]:
        """The lines with their ends, cut at line feeds."""
        number = self._number_of(0)
        while line := stream.readline(_LINE_BYTES):
            number = self._number_of(number + 1)
            self._digest.update(line)
            if len(line) == _LINE_BYTES and not line.endswith(b"\n"):
                raise UserError(
                    f"{self.path}:{number}: a line of more than "
                    f"{_LINE_BYTES >> 20} MiB. Is it a table of rows?"
                )
            if number == 1:
                line = line.removeprefix(_BOM)
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise no_utf8(f"{self.path}:{number}", error) from None


def _behind(first: table_form.Cells, rows: Iterator) -> Iterator:
    yield first
    yield from rows


def _sample(head: bytes) -> str:
    """The beginning of a file, cut where it is in no quoted cell."""
    text = head.removeprefix(_BOM)
    if len(head) == _LOOKED_AT:
        cut = text.rfind(b"\n") + 1
        last, quotes = cut or len(text), text.count(b'"', 0, cut)
        while cut and quotes % 2:
            before = text.rfind(b"\n", 0, cut - 1) + 1
            quotes -= text.count(b'"', before, cut)
            cut = before
        text = text[: cut or last]
    return text.decode("utf-8", "replace")
