"""Multiple-choice data: a question, its choices, which of them is right.

Legend: N examples, K choices, S sequence.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.files import tables


@dataclass(frozen=True)
class Examples:
    """Questions of one file.

    Attributes:
      path: the file they came from.
      lines: the line of each question in it.
      questions: what is asked, or what is to be continued.
      choices: two or more for each.
      labels: the place of the right choice, from 0.
      form: how the file was read, for the user.
    """

    path: Path
    lines: list[int]
    questions: list[str]
    choices: list[list[str]]
    labels: list[int]
    form: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def inputs(self) -> list[tuple[str, ...]]:
        """Question and choices, to compare and to print."""
        pairs = zip(self.questions, self.choices, strict=True)
        return [(question, *choices) for question, choices in pairs]


def read_examples(
    path: str | os.PathLike,
    question_column: str,
    choice_columns: Sequence[str],
    label_column: str,
    reading: tables.Reading = tables.BY_LOOKING,
) -> Examples:
    """Reads questions, choices and the right choice's place.

    Args:
      path: the file.
      question_column: name of the question's column.
      choice_columns: the column that holds a JSON list of choices, or one
        column for each choice.
      label_column: the right choice, a number from 0 or a letter from A.
      reading: how the file is read.

    Raises:
      UserError: as `tables.read_table`; one column for two purposes; fewer
        than two choices; a label that names no choice; with file and line.
    """
    columns = [question_column, *choice_columns, label_column]
    table = _read(path, columns, choice_columns, reading)
    choices = _choices(table, choice_columns)
    labels = [
        _label(table.where(row), cell, len(choices[row]))
        for row, cell in enumerate(table.columns[label_column])
    ]
    questions = table.columns[question_column]
    return Examples(
        table.path,
        table.lines,
        questions,
        choices,
        labels,
        f"{table.form}; question: {question_column}; choices: "
        f"{', '.join(choice_columns)}; label: {label_column}",
    )


def _read(
    path, columns: Sequence[str], lists: Sequence[str], reading: tables.Reading
) -> tables.Table:
    if len(set(columns)) < len(columns) or not lists:
        raise UserError(
            "question, choices and label should come from different columns, "
            f"not {', '.join(columns)}."
        )
    lists = lists if len(lists) == 1 else ()
    return tables.read_table(path, columns, lists, reading=reading)


def _choices(
    table: tables.Table, choice_columns: Sequence[str]
) -> list[list[str]]:
    if len(choice_columns) > 1:
        cells = [table.columns[name] for name in choice_columns]
        return [list(choices) for choices in zip(*cells, strict=True)]
    return [
        choices_of(table.where(row), choice_columns[0], cell)
        for row, cell in enumerate(table.columns[choice_columns[0]])
    ]


def choices_of(where: str, name: str, cell: str) -> list[str]:
    """The choices of a cell that lists them.

    Raises:
      UserError: it does not.
    """
    try:
        choices = json.loads(cell)
    except (ValueError, RecursionError):
        choices = None
    if (
        not isinstance(choices, list)
        or len(choices) < 2
        or not all(isinstance(c, str) and c.strip() for c in choices)
    ):
        raise UserError(
            f"{where}: {name!r} should be a JSON list of two or more choices "
            f"with text, not {cell[:60]!r}. Where each choice has a column, "
            "name them all in data.choice_columns."
        )
    return choices


def _label(where: str, cell: str, count: int) -> int:
    cell = cell.strip()
    if len(cell) == 1 and cell.isascii() and cell.isalpha():
        label = ord(cell.upper()) - ord("A")
    else:
        label = int(cell) if cell.isdecimal() and len(cell) < 10 else -1
    if not 0 <= label < count:
        last = chr(ord("A") + count - 1)
        raise UserError(
            f"{where}: the label {cell[:40]!r} names none of {count} choices; "
            f"wanted a number from 0 to {count - 1}, or a letter from A to "
            f"{last}."
        )
    return label


def encode(examples: Examples, encode_text: Encode, max_length: int) -> Encoded:
    """Tokenizes each question with each of its choices.

    K is that of the question with the most choices; others are filled up.

    Returns:
      Columns of tokens [N, K, S], choice_mask int8 [N, K] (1 for a choice),
      label_ids int32 [N].
    """
    most = max(map(len, examples.choices))
    in_windows = getattr(encode_text, "in_windows", False)
    first, second = [], []
    for question, choices in zip(
        examples.questions, examples.choices, strict=True
    ):
        missing = most - len(choices)
        # A choice that there is not should not take the question's windows.
        first += [question] * len(choices)
        first += ["" if in_windows else question] * missing
        second += [*choices, *[""] * missing]
    encoded = encode_texts(first, second, encode_text, max_length)
    encoded = encoded.with_texts(len(examples), most)
    counts = np.array([len(choices) for choices in examples.choices])
    there = (np.arange(most) < counts[:, None]).astype(np.int8)
    encoded.columns["choice_mask"] = there
    encoded.columns["label_ids"] = np.array(examples.labels, np.int32)
    return encoded
