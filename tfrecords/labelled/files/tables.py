"""Files with columns: TSV, CSV and the like, and JSON Lines.

A file is read whole: labelled data is small beside text for pretraining, and
a mistake in its last row should be known before the first step.
"""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files import json_lines, table_form
from tfrecords.labelled.files.table_form import Cells, TableForm
from tfrecords.labelled.files.text import (
    ending,
    nearest_first,
    read_text,
    refused,
)
from tfrecords.text.json_list import Record

FORMATS = (".tsv", ".csv", ".jsonl", ".json")
BAD_ROWS = ("error", "skip")

_JSON_LINES = (".jsonl", ".ndjson")
# By their endings no text, or none of rows.
NO_TABLES = (".parquet", ".xlsx", ".xls")

# Cells no longer than this, and so many, are kept once if they are equal.
_LABEL_LENGTH, _LABELS = 40, 10_000

# A row under way: its line in the file and its cells by column name; or what
# is wrong with it.
_Row = tuple[int, dict[str, str] | UserError]


@dataclass(frozen=True)
class Reading:
    """How tables are read.

    Attributes:
      form: of those that are no JSON Lines.
      bad_rows: what is done about a row with other cells than the header, or
        without text in a cell that is wanted: error, or skip, which leaves it
        out and counts it.

    Raises:
      UserError: bad_rows is something else.
    """

    form: TableForm = TableForm()
    bad_rows: str = "error"

    def __post_init__(self):
        if self.bad_rows not in BAD_ROWS:
            raise UserError(
                f"wanted bad_rows of {' or '.join(BAD_ROWS)}, got "
                f"{self.bad_rows!r}"
            )


BY_LOOKING = Reading()


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Attributes:
      path: the file.
      lines: the line in the file on which each row ends, from 1; of a JSON list
        the number of its item.
      columns: name -> one string for each row.
      form: how the file was read, and what was left out, for the user.
    """

    path: Path
    lines: list[int]
    columns: dict[str, list[str]]
    form: str

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
    reading: Reading = BY_LOOKING,
) -> Table:
    """Reads columns of a file of cells, or of JSON Lines.

    JSON Lines have one object a line; numbers and booleans become their JSON
    text. They are known by their ending (.jsonl, .ndjson, .json), elsewhere
    (but in .tsv and .csv) by their first line. A .json file may be one list
    of objects instead. All else are cells; see
    `table_form` for what is found by looking. All are UTF-8, with or without
    a byte order mark, also packed (.gz). Empty lines are skipped.

    Args:
      path: the file.
      columns: their names; numbers from 0 where there is no header.
      lists: those of them that may hold lists in JSON Lines; they become
        JSON text.
      optional: those of them whose cells may be empty.
      reading: how it is read.

    Raises:
      UserError: no such file, not a known format, not UTF-8, no header, no
        rows, a ragged row, a column that is not there, or an empty cell;
        with file and line.
    """
    path = Path(path)
    text, as_json = _opened(path)
    if as_json:
        described = json_form(path, text)
        rows = _json_rows(path, text, columns, lists)
    else:
        settled = table_form.settle(reading.form, path, text, columns)
        described = settled.describe()
        cells = table_form.read_cells(settled, path, text)
        rows = _delimited_rows(path, cells, columns, settled)
    return _collect(path, rows, columns, optional, reading, described)


def column_names(
    path: str | os.PathLike, reading: Reading = BY_LOOKING
) -> list[str]:
    """What stands in the first row: the names, where there is a header.

    Args:
      path: a file as `read_table` takes it.
      reading: how it is read.

    Raises:
      UserError: as `read_table`, of the first row.
    """
    path = Path(path)
    text, as_json = _opened(path)
    if as_json:
        rows = json_lines.read_objects(path, text)
        return list(next(rows, (1, {}))[1])
    settled = table_form.settle(reading.form, path, text, [])
    return next(table_form.read_cells(settled, path, text), (1, []))[1]


def _opened(path: Path) -> tuple[str, bool]:
    """A file's text, and whether it is JSON."""
    form = ending(path)
    if form in NO_TABLES:
        raise refused(path, FORMATS)
    text = read_text(path)
    return text, is_json(path, form, text)


def is_json(path: Path, form: str, text: str) -> bool:
    """Whether a file holds JSON Lines, or one JSON list.

    Raises:
      UserError: it is another JSON value, of many lines.
    """
    if form in _JSON_LINES or json_lines.is_list(path, text):
        return True
    first = text.lstrip().split("\n", 1)[0].rstrip()
    if form == ".json" and first[:1] + first[-1:] != "{}":
        raise UserError(
            f"{path}: wanted a list of objects, or an object a line, and it "
            f"begins with {first[:20]!r}. pandas writes both with to_json(..., "
            'orient="records").'
        )
    return form not in (".tsv", ".csv") and first[:1] + first[-1:] == "{}"


def json_form(path: Path, text: str) -> str:
    """What kind of JSON a file is, for the user."""
    return "a JSON list" if json_lines.is_list(path, text) else "JSON Lines"


def _delimited_rows(
    path: Path,
    cells: Iterator[Cells],
    columns: Sequence[str],
    form: TableForm,
) -> Iterator[_Row]:
    line, first = next(cells, (1, []))
    if not first:
        raise UserError(
            f"{path}: the file is empty; a first line with the names of the "
            "columns was wanted."
        )
    places = places_of(f"{path}:{line}", columns, first, form)
    if not form.header:
        yield _picked(path, (line, first), places, first, form)
    for row in cells:
        yield _picked(path, row, places, first, form)


def _picked(
    path: Path,
    row: Cells,
    places: dict[str, int],
    first: list[str],
    form: TableForm,
) -> _Row:
    """The wanted cells of a row, or that it has too few or too many."""
    line, cells = row
    if len(cells) == len(first):
        return line, {name: cells[place] for name, place in places.items()}
    return line, ragged(f"{path}:{line}", cells, first, form)


def ragged(
    where: str, cells: list[str], first: list[str], form: TableForm
) -> UserError:
    """That a row has other cells than the first line, `first`."""
    if form.header:
        wanted = f"the header has {len(first)} columns ({', '.join(first)})"
    else:
        wanted = f"the first line has {len(first)}"
    return UserError(
        f"{where}: {len(cells)} cells, but {wanted}. Mend or remove the row, "
        f"or leave such rows out: bad_rows skip. (Read as: "
        f"{form.describe()}; separator, header and quoting can be set.)"
    )


def places_of(
    where: str, columns: Sequence[str], first: list[str], form: TableForm
) -> dict[str, int]:
    """Where in a row the wanted columns are, by name.

    Raises:
      UserError: one is not there, or two have the same name.
    """
    if form.header and all(name in first for name in columns):
        for name in columns:
            if first.count(name) > 1:
                raise UserError(
                    f"{where}: two columns are named {name!r}. Rename one."
                )
        return {name: first.index(name) for name in columns}
    numbered = all(name.isdecimal() for name in columns)
    if form.header and not numbered:
        check_columns(where, columns, first, _advice(first))
    for name in columns:
        if not name.isdecimal() or int(name) >= len(first):
            raise UserError(
                f"{where}: there is no column {name!r}. The first line has "
                f"{len(first)} cells, which are numbered from 0 where "
                "there is no header: "
                f"{', '.join(cell[:30] for cell in first[:20])}. (Read as: "
                f"{form.describe()}; separator, header and quoting can be "
                "set.)"
            )
    return {name: int(name) for name in columns}


def _json_rows(
    path: Path, text: str, columns: Sequence[str], lists: Sequence[str]
) -> Iterator[_Row]:
    wanted = f"a JSON object with the keys {', '.join(columns)}"
    for line, row in json_lines.read_objects(path, text, wanted):
        where = f"{path}:{line}"
        try:
            check_columns(where, columns, list(row))
            yield (
                line,
                {n: json_cell(where, n, row[n], n in lists) for n in columns},
            )
        except UserError as error:
            yield line, error


def json_cell(where: str, name: str, value: object, may_be_list: bool) -> str:
    """A value of an object as a cell has it.

    Raises:
      UserError: it is neither text nor a number.
    """
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


def check_columns(
    where: str, wanted: Sequence[str], there: Sequence[str], advice: str = ""
) -> None:
    """Refuses columns that lack one that is wanted.

    Raises:
      UserError: one is not there; the nearest come first.
    """
    for name in wanted:
        if name not in there:
            listed = ", ".join(n[:60] for n in nearest_first(name, there))
            raise UserError(
                f"{where}: there is no column {name!r}. The columns are: "
                f"{listed}.{advice}"
            )


def _advice(first: Sequence[str]) -> str:
    """What to do where the first line is not the header that it should be."""
    if len(first) == 1:
        return (
            " No separator was found; if it is another than "
            f"{', '.join(table_form.SEPARATORS)}, set separator."
        )
    return (
        " If the first line is a row and no header, give columns by number, "
        f"from 0 to {len(first) - 1}."
    )


def _collect(
    path: Path,
    rows: Iterator[_Row],
    columns: Sequence[str],
    optional: Sequence[str],
    reading: Reading,
    form: str,
) -> Table:
    lines: list[int] = []
    cells: dict[str, list[str]] = {name: [] for name in columns}
    bad: dict[int, UserError] = {}
    # Labels are the same few again and again.
    seen: dict[str, str] = {}
    for line, row in rows:
        row = checked(path, line, row, optional)
        if isinstance(row, UserError):
            if reading.bad_rows == "error":
                raise row
            bad[line] = row
            continue
        for name, value in row.items():
            if len(value) <= _LABEL_LENGTH and len(seen) < _LABELS:
                value = seen.setdefault(value, value)
            cells[name].append(value)
        lines.append(line)
    if not lines and bad:
        raise next(iter(bad.values()))
    if not lines:
        raise UserError(f"{path}: the file has no rows.")
    if bad:
        shown = ", ".join(map(str, list(bad)[:5])) + ", ..." * (len(bad) > 5)
        what = "records" if isinstance(next(iter(bad)), Record) else "lines"
        form += f"; {len(bad):,} bad rows left out ({what} {shown})"
    return Table(path, lines, cells, f"{path}: {form}")


def checked(
    path: Path,
    line: int,
    row: dict[str, str] | UserError,
    optional: Sequence[str],
) -> dict[str, str] | UserError:
    """The row, or what is wrong with it, an empty cell among that."""
    if isinstance(row, UserError):
        return row
    for name, value in row.items():
        if not value.strip() and name not in optional:
            return UserError(
                f"{path}:{line}: the cell of column {name!r} is empty. "
                "Fill it, remove the row, or leave such rows out: bad_rows "
                "skip."
            )
    return row
