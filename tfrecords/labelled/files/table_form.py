"""How a file of cells is read: found by looking at it, or as it is told.

Published files have many forms under any name: tabs or commas, a header or
none, quoting (RFC 4180) or bare quotation marks. What is not told is chosen so
that the wanted columns are there; what was chosen is told to the user.
"""

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files.text import ending

# Name in settings -> character, in the order in which they are tried.
SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "pipe": "|"}
QUOTING = ("csv", "none")

# By their ending such files are first tried with:
_BY_ENDING = {".tsv": "\t", ".csv": ","}
# So much of a file is looked at.
_LOOKED_AT = 1 << 16
_MOST_ROWS = 50
_NUMBER = re.compile("[0-9]{1,6}")
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_PLAIN_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# Names of columns that are no text and no label.
_HEADS = frozenset(
    "label labels class category target gold gold_label label_column "
    "is_duplicate quality sentiment score text sentence sentence1 sentence2 "
    "question1 question2 text_a text_b review comment".split()
)

# Where a row ends, from 1, and its cells.
Cells = tuple[int, list[str]]


@dataclass(frozen=True)
class TableForm:
    """How a file of cells is read. None: by looking at it.

    Attributes:
      separator: what is between cells: tab, comma, semicolon, pipe, or a
        character.
      header: whether the first line names the columns. Where it does not,
        columns are numbers from 0.
      quoting: csv (RFC 4180), or none: a quotation mark is text.

    Raises:
      UserError: a separator or quoting of no such form.
    """

    separator: str | None = None
    header: bool | None = None
    quoting: str | None = None

    def __post_init__(self):
        mark = self.separator
        if mark is not None:
            mark = {**SEPARATORS, "\\t": "\t"}.get(mark, mark)
            if len(mark) != 1 or mark in '"\r\n':
                raise UserError(
                    f"wanted a separator of {', '.join(SEPARATORS)}, or one "
                    f"character, got {self.separator!r}"
                )
            object.__setattr__(self, "separator", mark)
        if self.quoting not in (None, *QUOTING):
            raise UserError(
                f"wanted quoting of {' or '.join(QUOTING)}, got "
                f"{self.quoting!r}"
            )

    def describe(self) -> str:
        """In a few words; of a form that is settled."""
        names = {mark: name for name, mark in SEPARATORS.items()}
        if self.separator in names:
            apart = f"columns apart by {names[self.separator]}s"
        else:
            apart = f"columns apart by {self.separator!r}"
        return ", ".join(
            (
                apart,
                "the first line is the header"
                if self.header
                else "no header (columns are numbers from 0)",
                "cells may be quoted (CSV)"
                if self.quoting == "csv"
                else "quotation marks are text",
            )
        )


def settle(
    form: TableForm, path: Path, text: str, columns: Sequence[str]
) -> TableForm:
    """Fills in what is None by looking at a file.

    Args:
      form: what is known.
      path: the file; its ending says what is tried first.
      text: what is in it.
      columns: those that are wanted, names or numbers.

    Returns:
      the first form in which the columns are there; where there is none, the
      likeliest, so that a message about its columns can be made.
    """
    natural = _BY_ENDING.get(ending(path))
    if form.separator is not None:
        marks = [form.separator]
    else:
        marks = sorted(SEPARATORS.values(), key=lambda mark: mark != natural)
    forms = [_quoted(replace(form, separator=mark), text) for mark in marks]
    looked = [(form, _first_rows(form, text)) for form in forms]
    for least_width in (2, 1):
        for found, rows in looked:
            if rows and len(rows[0]) >= least_width:
                header = _header(found, rows, columns)
                if header is not None:
                    found = replace(found, header=header)
                    if form.quoting is None:
                        found = _mended_quoting(found, text)
                    return found
    form, rows = max(looked, key=lambda found: _evenness(found[1]))
    if form.header is None:
        form = replace(form, header=not all(map(_NUMBER.fullmatch, columns)))
    return form


def read_cells(form: TableForm, path: Path, text: str) -> Iterator[Cells]:
    """The rows of a file, header first, without empty lines.

    Args:
      form: settled.
      path: the file, for messages.
      text: what is in it.

    Raises:
      UserError: it is not quoted as CSV should be; with the line.
    """
    if form.quoting == "none":
        yield from plain_cells(form, _plain_lines(text))
    else:
        spaced = has_spaces_behind(form.separator, text)
        yield from quoted_cells(form, path, _lines(text), spaced)


def quoted_cells(
    form: TableForm, path: Path, lines: Iterable[str], spaced: bool
) -> Iterator[Cells]:
    """The rows of lines as CSV quotes them; see `read_cells`.

    Args:
      form: settled.
      path: the file, for messages.
      lines: with their ends; taken as they are needed.
      spaced: whether a space behind a separator is no part of the cell.
    """
    # The limit is a global of the csv module (131,072 characters a cell).
    before = csv.field_size_limit(sys.maxsize)
    try:
        reader = csv.reader(
            lines,
            strict=True,
            delimiter=form.separator,
            skipinitialspace=spaced,
        )
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(
            f"{path}:{reader.line_num}: not valid CSV: {error}. A quotation "
            'mark inside a quoted cell is doubled (""); where quotation marks '
            "are text, set quoting to none."
        ) from error
    finally:
        csv.field_size_limit(before)


def _lines(text: str) -> Iterator[str]:
    """The lines as a file has them, with their ends.

    io.StringIO would copy the text, four bytes a character.
    """
    for found in _LINE.finditer(text):
        yield found[0]


def quotable_lines(lines: Iterable[str]) -> Iterator[str]:
    """Lines cut at line feeds, cut at carriage returns too."""
    for line in lines:
        yield from _lines(line) if "\r" in line[:-2] else (line,)


def _plain_lines(text: str) -> Iterator[str]:
    # Not str.splitlines: that also breaks at U+2028, form feeds and others,
    # which are text here.
    for found in _PLAIN_LINE.finditer(text):
        yield found[0]


def plain_cells(form: TableForm, lines: Iterable[str]) -> Iterator[Cells]:
    """The rows of lines without quoting; empty ones are none."""
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\n").removesuffix("\r")
        if line:
            yield number, line.split(form.separator)


def has_spaces_behind(separator: str, text: str) -> bool:
    """Whether a space follows each separator of the first line."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    marks = first.count(separator)
    return marks > 0 and marks == first.count(separator + " ")


def _quoted(form: TableForm, text: str) -> TableForm:
    """The form with quoting: of tabs only where the whole first line is so."""
    if form.quoting is not None:
        return form
    quoting = "csv"
    if form.separator == "\t":
        first = text.lstrip("\r\n").split("\n", 1)[0].removesuffix("\r")
        cells = first.split("\t")
        wrapped = all(len(c) > 1 and c[0] == c[-1] == '"' for c in cells)
        quoting = "csv" if wrapped else "none"
    return replace(form, quoting=quoting)


def _first_rows(form: TableForm, text: str) -> list[list[str]]:
    """The cells of the first rows that are whole."""
    sample = text[:_LOOKED_AT]
    if len(sample) < len(text):
        sample = sample[: sample.rfind("\n") + 1] or sample
    rows = []
    try:
        for _, cells in read_cells(form, Path(), sample):
            rows.append(cells)
            if len(rows) == _MOST_ROWS:
                break
    except UserError:
        # Cut off in a cell, or not CSV: reading will name the line.
        pass
    return rows


def _header(
    form: TableForm, rows: list[list[str]], columns: Sequence[str]
) -> bool | None:
    """Whether there is a header; None: the columns are not there."""
    first = rows[0]
    if form.header is not False and all(name in first for name in columns):
        return True
    if not all(map(_NUMBER.fullmatch, columns)):
        return None
    width = Counter(map(len, rows)).most_common(1)[0][0]
    if max(map(int, columns)) >= width:
        return None
    if form.header is not None:
        return form.header
    named = [first[int(name)] for name in columns if int(name) < len(first)]
    return len(rows) > 1 and any(
        cell.strip().lower() in _HEADS for cell in named
    )


def _evenness(rows: list[list[str]]) -> tuple[float, int]:
    """How like columns it looks: the share of like rows, then their width."""
    if not rows or len(rows[0]) < 2:
        return (0.0, 0)
    like = sum(len(row) == len(rows[0]) for row in rows)
    return (like / len(rows), len(rows[0]))


def _mended_quoting(form: TableForm, text: str) -> TableForm:
    """Quoting, where rows are even only with it.

    A cell that is quoted for the line break or tab in it is in pieces without.
    """
    if form.separator != "\t" or form.quoting == "csv" or '"' not in text:
        return form
    plain = plain_cells(form, _plain_lines(text))
    widths = {len(cells) for _, cells in plain}
    if len(widths) == 1:
        return form
    quoted = replace(form, quoting="csv")
    try:
        widths = {len(cells) for _, cells in read_cells(quoted, Path(), text)}
    except UserError:
        return form
    return quoted if len(widths) == 1 else form
