"""Files with named columns: TSV, CSV and JSON Lines.

A file is read whole: labelled data is small beside text for pretraining, and
a mistake in its last row should be known before the first step.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files import json_lines
from tfrecords.labelled.files.text import (
    ending,
    nearest_first,
    read_text,
    refused,
)

FORMATS = (".tsv", ".csv", ".jsonl")

# What stands between cells where it is not what the file's ending says.
_OTHER_MARKS = {
    ";": "semicolons: write the file with commas, or with tabs as .tsv",
    "\t": "tabs: name the file .tsv",
    ",": "commas: name the file .csv",
}

# A row under way: its line in the file and its cells by column name.
_Row = tuple[int, dict[str, str]]


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
      path: the file.
      lines: the line in the file on which each row ends, from 1.
      columns: name -> one string for each row.
    """

    path: Path
    lines: list[int]
    columns: dict[str, list[str]]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, row: int) -> str:
        """`file:line` of a row, for messages."""
        return f"{self.path}:{self.lines[row]}"


def read_table(
    path: str | os.PathLike,
    columns: Sequence[str],
    lists: Sequence[str] = (),
    optional: Sequence[str] = (),
) -> Table:
    """Reads the named columns of a .tsv, .csv or .jsonl file.

    .tsv has a header line, cells apart by tabs, and no quoting: a quotation
    mark is text, as in the GLUE files. .csv has a header and quoting (RFC
    4180); if a space follows each comma of the header, such spaces are none of
    the cells'. .jsonl has one object a line; numbers and booleans become their
    JSON text. All are UTF-8, with or without a byte order mark, also packed
    (.gz). Empty lines are skipped.

    Args:
      path: the file.
      columns: their names.
      lists: those of them that may hold lists in .jsonl files; they become
        JSON text.
      optional: those of them whose cells may be empty.

    Raises:
      UserError: no such file, not a known format, not UTF-8, no header, no
        rows, a ragged row, a column that is not there, or an empty cell;
        with file and line.
    """
    path = Path(path)
    form = ending(path)
    if form not in FORMATS:
        raise refused(path, FORMATS)
    text = read_text(path)
    if form == ".jsonl":
        rows = _json_rows(path, text, columns, lists)
    elif form == ".csv":
        rows = _delimited_rows(path, _csv_cells(path, text), columns)
    else:
        rows = _delimited_rows(path, _tsv_cells(text), columns)
    return _collect(path, rows, columns, optional)


def _tsv_cells(text: str) -> Iterator[tuple[int, list[str]]]:
    # Not str.splitlines: that also breaks at U+2028, form feeds and others,
    # which are text here.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if line:
            yield number, line.split("\t")


def _csv_cells(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    # The limit is a global of the csv module (131,072 characters a cell).
    before = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(
            io.StringIO(text, newline=""),
            strict=True,
            skipinitialspace=_has_spaces_behind_commas(text),
        )
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(
            f"{path}:{reader.line_num}: not valid CSV: {error}. A quotation "
            'mark inside a quoted cell is doubled (""); a file without '
            "quoting should end in .tsv."
        ) from error
    finally:
        csv.field_size_limit(before)


def _has_spaces_behind_commas(text: str) -> bool:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    return "," in header and header.count(",") == header.count(", ")


def _delimited_rows(
    path: Path,
    cells: Iterator[tuple[int, list[str]]],
    columns: Sequence[str],
) -> Iterator[_Row]:
    line, header = next(cells, (1, []))
    if not header:
        raise UserError(
            f"{path}: the file is empty; a first line with the names of the "
            "columns was wanted."
        )
    _check_columns(f"{path}:{line}", columns, header)
    for name in columns:
        if header.count(name) > 1:
            raise UserError(
                f"{path}:{line}: two columns are named {name!r}. Rename one."
            )
    places = [header.index(name) for name in columns]
    for line, row in cells:
        if len(row) != len(header):
            raise UserError(
                f"{path}:{line}: {len(row)} cells, but the header has "
                f"{len(header)} columns ({', '.join(header)}). "
                "Mend or remove the row."
            )
        yield (
            line,
            {n: row[p] for n, p in zip(columns, places, strict=True)},
        )


def _json_rows(
    path: Path, text: str, columns: Sequence[str], lists: Sequence[str]
) -> Iterator[_Row]:
    wanted = f"a JSON object with the keys {', '.join(columns)}"
    for line, row in json_lines.read_objects(path, text, wanted):
        where = f"{path}:{line}"
        _check_columns(where, columns, list(row))
        yield (
            line,
            {n: _json_cell(where, n, row[n], n in lists) for n in columns},
        )


def _json_cell(where: str, name: str, value: object, may_be_list: bool) -> str:
    if isinstance(value, str):
        return json_lines.check_text(where, repr(name), value)
    if may_be_list and isinstance(value, list):
        return json.dumps(value)
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise UserError(
        f"{where}: {name!r} should be a string or a number, "
        f"not {json.dumps(value)[:40]}."
    )


def _check_columns(
    where: str, wanted: Sequence[str], there: Sequence[str]
) -> None:
    for name in wanted:
        if name not in there:
            listed = ", ".join(nearest_first(name, there))
            raise UserError(
                f"{where}: there is no column {name!r}. The columns are: "
                f"{listed}.{_advice(there)}"
            )


def _advice(there: Sequence[str]) -> str:
    """What to do where a header was not cut into columns."""
    if len(there) == 1:
        for mark, how in _OTHER_MARKS.items():
            if mark in there[0]:
                return f" They seem to be apart by {how}."
    return ""


def _collect(
    path: Path,
    rows: Iterator[_Row],
    columns: Sequence[str],
    optional: Sequence[str],
) -> Table:
    lines: list[int] = []
    cells: dict[str, list[str]] = {name: [] for name in columns}
    for line, row in rows:
        for name, value in row.items():
            if not value.strip() and name not in optional:
                raise UserError(
                    f"{path}:{line}: the cell of column {name!r} is empty. "
                    "Fill it or remove the row."
                )
            cells[name].append(value)
        lines.append(line)
    if not lines:
        raise UserError(f"{path}: the file has no rows.")
    return Table(path, lines, cells)
