"""Rows of a file in windows, and windows in batches of like length.

Where a window ends depends on the rows alone, so that a file is answered in
the same batches whenever it is begun, and gets the same answers to the bit.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled import multiple_choice
from tfrecords.labelled.files import tables
from tfrecords.labelled.files.row_stream import Row, RowStream
from trainers.reports.served.asking import Asked, Input

# Batches of a window, and characters of its texts: what is held at once.
BATCHES = 16
CHARACTERS = 1 << 23


@dataclasses.dataclass(frozen=True)
class Window:
    """Rows that are answered together.

    Attributes:
      lines: where in the file each ends.
      cells: all columns of each.
      inputs: what the model is asked for each.
      left_out: bad rows of the file up to its end.
      digest: of the file up to its end.
      bytes_read: of the file up to its end.
    """

    lines: list[int]
    cells: list[dict]
    inputs: list[Input]
    left_out: int
    digest: str
    bytes_read: int


def open_rows(
    path: Path,
    model: Asked,
    columns: Sequence[str],
    reading: tables.Reading,
) -> RowStream:
    """The rows of a file for a model.

    Args:
      path: the file.
      model: which is asked about them.
      columns: those that it reads; [] for those of its training data.
      reading: how the file is read.

    Raises:
      UserError: these are too few or too many, or there is no such file.
    """
    columns = list(columns) or list(model.card.get("text_columns", []))
    count = len(model.inputs)
    if model.has_choices:
        if len(columns) < count:
            raise UserError(
                f"{path}: the model reads a question and choices; name their "
                "columns with --text_column."
            )
        lists = columns[1:] if len(columns) == 2 else ()
        return RowStream(path, columns, lists, reading)
    if not columns and path.suffix == ".txt":
        columns = list(model.inputs)
    if len(columns) != count:
        raise UserError(
            f"{path}: the model reads {count} columns of text; name them "
            f"with --text_column, not {len(columns)}."
        )
    return RowStream(path, columns, (), reading)


def windows(
    rows: RowStream, choices: str | None, batch_size: int
) -> Iterator[Window]:
    """Yields all rows of a file.

    Args:
      rows: of the file.
      choices: the column of lists of choices, or "" where each has a column;
        None: the model reads no choices.
      batch_size: rows that the model answers at once.
    """
    lines, cells, inputs, size = [], [], [], 0

    def window() -> Window:
        facts = rows.left_out, rows.digest(), rows.bytes_read
        return Window(lines, cells, inputs, *facts)

    for row in rows:
        lines.append(row.line)
        cells.append(row.cells)
        inputs.append(_input(rows, row, choices))
        size += sum(map(len, row.wanted))
        if len(lines) == BATCHES * batch_size or size >= CHARACTERS:
            yield window()
            lines, cells, inputs, size = [], [], [], 0
    if lines:
        yield window()


def _input(rows: RowStream, row: Row, choices: str | None) -> Input:
    if choices is None:
        return row.wanted
    question, *rest = row.wanted
    if choices:
        where = f"{rows.path}:{row.line}"
        rest = multiple_choice.choices_of(where, choices, rest[0])
    return question, rest


def answers(
    model: Asked,
    window: Window,
    batch_size: int,
    path: Path,
    stopped: Callable[[], bool] = lambda: False,
) -> list[dict]:
    """An answer for each row of a window, in its order.

    Args:
      model: which is asked.
      window: the rows.
      batch_size: of those that it answers at once.
      path: of the rows, for messages.
      stopped: whether nobody wants the rest any more.

    Raises:
      UserError: the model refuses one; says which.
    """
    inputs = window.inputs
    by_length = sorted(range(len(inputs)), key=lambda row: _length(inputs[row]))
    found: list[dict] = [{}] * len(inputs)
    for start in range(0, len(by_length), batch_size):
        if stopped():
            break
        places = by_length[start : start + batch_size]
        try:
            batch = model.answer_batch([inputs[place] for place in places])
        except UserError:
            batch = _one_by_one(model, window, places, path)
        for place, answer in zip(places, batch, strict=True):
            found[place] = answer
    return found


def _one_by_one(
    model: Asked, window: Window, places: Sequence[int], path: Path
) -> list[dict]:
    """The answers of a batch that was refused, or which row was to blame."""
    found = []
    for place in places:
        try:
            found += model.answer_batch([window.inputs[place]])
        except UserError as error:
            raise UserError(f"{path}:{window.lines[place]}: {error}") from error
    return found


def _length(texts: Input) -> int:
    return sum(
        len(text) if isinstance(text, str) else sum(map(len, text))
        for text in texts
    )
