"""Sentences and pairs of sentences with a label, as a file has them."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files import tables


@dataclass(frozen=True)
class Examples:
    """Labelled sentences or sentence pairs of one file.

    Attributes:
      path: the file they came from.
      lines: the line of each example in it.
      text_a: the sentences, or the first of each pair.
      text_b: the second of each pair; None for single sentences.
      labels: the label of each, as written in the file.
      form: how the file was read, for the user.
    """

    path: Path
    lines: list[int]
    text_a: list[str]
    text_b: list[str] | None
    labels: list[str]
    form: str = ""

    def __len__(self) -> int:
        return len(self.lines)

    def inputs(self) -> list[tuple[str, ...]]:
        """The texts of each example, to compare and to print."""
        if self.text_b is None:
            return [(text,) for text in self.text_a]
        return list(zip(self.text_a, self.text_b, strict=True))


def read_examples(
    path: str | os.PathLike,
    text_columns: Sequence[str],
    label_column: str,
    many_labels: bool = False,
    reading: tables.Reading = tables.BY_LOOKING,
) -> Examples:
    """Reads sentences (one text column) or pairs (two) and their labels.

    Args:
      path: the file.
      text_columns: one column or two: names, or numbers from 0 where the file
        has no header.
      label_column: the label's column, likewise.
      many_labels: whether its cells may be empty, and lists in .jsonl files.
      reading: how the file is read.

    Raises:
      UserError: as `tables.read_table`; or not one or two text columns, or
        one column for two purposes.
    """
    text_columns = list(text_columns)
    if len(text_columns) not in (1, 2):
        raise UserError(
            "wanted one text column (sentences) or two (pairs of sentences), "
            f"not {len(text_columns)}."
        )
    columns = [*text_columns, label_column]
    if len(set(columns)) < len(columns):
        raise UserError(
            "text and label should come from different columns, not "
            f"{', '.join(columns)}."
        )
    special = [label_column] if many_labels else []
    table = tables.read_table(path, columns, special, special, reading)
    pairs = len(text_columns) == 2
    return Examples(
        table.path,
        table.lines,
        table.columns[text_columns[0]],
        table.columns[text_columns[1]] if pairs else None,
        # Spaces around a label are an accident of the file, never a class.
        [label.strip() for label in table.columns[label_column]],
        f"{table.form}; text: {', '.join(text_columns)}; label: {label_column}",
    )
