"""Classification data: rows of text and label -> arrays of ids.

Legend: S sequence, N examples.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords.finetuning import tables

# A tokenizer's `encode`: (text_a, text_b or None, max_length=) -> dict.
Encode = Callable[..., dict[str, tf.Tensor]]

TOKEN_KEYS = ("input_ids", "input_mask", "segment_ids")

_ENCODE_AT_ONCE = 1024
# Sequence lengths are rounded up to a multiple of this: kernels like it.
_LENGTH_MULTIPLE = 8


@dataclass(frozen=True)
class Examples:
    """Labelled sentences or sentence pairs of one file.

    Attributes:
      path: the file they came from.
      lines: the line of each example in it.
      text_a: the sentences, or the first of each pair.
      text_b: the second of each pair; None for single sentences.
      labels: the label of each, as written in the file.
    """

    path: Path
    lines: list[int]
    text_a: list[str]
    text_b: list[str] | None
    labels: list[str]

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
) -> Examples:
    """Reads sentences (one text column) or pairs (two) and their labels.

    Raises:
      UserError: as `tables.read_table`; or not one or two text columns, or
        one column for two purposes.
    """
    text_columns = list(text_columns)
    if len(text_columns) not in (1, 2):
        raise UserError(
            "classification reads one text column (sentences) or two "
            f"(pairs of sentences), not {len(text_columns)}."
        )
    columns = [*text_columns, label_column]
    if len(set(columns)) < len(columns):
        raise UserError(
            "text and label should come from different columns, not "
            f"{', '.join(columns)}."
        )
    table = tables.read_table(path, columns)
    pairs = len(text_columns) == 2
    return Examples(
        table.path,
        table.lines,
        table.columns[text_columns[0]],
        table.columns[text_columns[1]] if pairs else None,
        # Spaces around a label are an accident of the file, never a class.
        [label.strip() for label in table.columns[label_column]],
    )


def label_list(examples: Examples) -> list[str]:
    """The labels that occur, sorted: by value if all are whole numbers.

    Raises:
      UserError: fewer than two labels occur.
    """
    found = set(examples.labels)
    if len(found) < 2:
        raise UserError(
            f"{examples.path}: every label is {found.pop()!r}; at least two "
            "classes are needed."
        )
    try:
        return sorted(found, key=lambda label: (int(label), label))
    except ValueError:
        return sorted(found)


def label_ids(examples: Examples, labels: Sequence[str]) -> np.ndarray:
    """The place of each example's label in `labels`, int32 [N].

    Raises:
      UserError: a label is not among `labels`; with file and line.
    """
    place = {label: index for index, label in enumerate(labels)}
    for line, label in zip(examples.lines, examples.labels, strict=True):
        if label not in place:
            near = tables.nearest_first(label, labels)
            shown = ", ".join(near[:20]) + (", ..." * (len(labels) > 20))
            raise UserError(
                f"{examples.path}:{line}: unknown label {label!r}. The model "
                f"knows {len(labels)} labels, the nearest first: {shown}. Mend "
                "or remove the row, or train with this label."
            )
    return np.array([place[label] for label in examples.labels], np.int32)


@dataclass(frozen=True)
class Overlap:
    """How many examples occur more than once, by their exact text.

    Attributes:
      validation_in_train: validation examples whose text is in train too.
      repeated_in_train: train examples whose text came before in train.
      conflicting_in_train: those of them whose label is another one.
    """

    validation_in_train: int
    repeated_in_train: int
    conflicting_in_train: int


def overlap(train: Examples, validation: Examples | None) -> Overlap:
    """Counts duplicates; outer white space is no difference."""
    first_label: dict[tuple[str, ...], str] = {}
    repeated = conflicting = 0
    for texts, label in zip(_normal(train), train.labels, strict=True):
        before = first_label.setdefault(texts, label)
        conflicting += before != label
        repeated += 1
    repeated -= len(first_label)
    leaked = 0
    if validation is not None:
        leaked = sum(texts in first_label for texts in _normal(validation))
    return Overlap(leaked, repeated, conflicting)


def _normal(examples: Examples) -> Iterator[tuple[str, ...]]:
    for texts in examples.inputs():
        yield tuple(text.strip() for text in texts)


@dataclass(frozen=True)
class Encoded:
    """Examples as arrays.

    Attributes:
      columns: input_ids int32, input_mask and segment_ids int8 (to save
        memory; batches have int32), [N, S]; label_ids int32 [N].
      full_rows: how many examples have `max_length` tokens or had more and
        were truncated.
    """

    columns: dict[str, np.ndarray]
    full_rows: int

    def __len__(self) -> int:
        return len(self.columns["label_ids"])

    @property
    def sequence_length(self) -> int:
        """S."""
        return self.columns["input_ids"].shape[1]

    def with_length(self, length: int) -> "Encoded":
        """The same examples with S = `length`; only padding is cut off.

        Raises:
          ValueError: tokens would be cut off.
        """
        now = self.sequence_length
        if self.columns["input_mask"][:, length:].any():
            raise ValueError(f"length {length} would cut tokens off")
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            array = columns[key]
            if length <= now:
                columns[key] = np.ascontiguousarray(array[:, :length])
            else:
                columns[key] = np.pad(array, ((0, 0), (0, length - now)))
        return Encoded(columns, self.full_rows)


def encode(
    examples: Examples,
    encode_text: Encode,
    labels: Sequence[str],
    max_length: int,
) -> Encoded:
    """Tokenizes all examples; S is what the longest needs, <= `max_length`.

    Sequences are no longer than the longest example (rounded up to a
    multiple of 8): attention leaves padding out, so more of it would cost
    time and change nothing.

    Args:
      examples: the sentences or pairs.
      encode_text: `Tokenizer.encode`.
      labels: the label list.
      max_length: longer examples are truncated.

    Raises:
      UserError: a label is not among `labels`.
    """
    ids = label_ids(examples, labels)
    parts: dict[str, list[np.ndarray]] = {key: [] for key in TOKEN_KEYS}
    for start in range(0, len(examples), _ENCODE_AT_ONCE):
        some = slice(start, start + _ENCODE_AT_ONCE)
        second = None if examples.text_b is None else examples.text_b[some]
        batch = encode_text(
            examples.text_a[some], second, max_length=max_length
        )
        for key in TOKEN_KEYS:
            kind = np.int32 if key == "input_ids" else np.int8
            parts[key].append(np.asarray(batch[key]).astype(kind))
    columns = {key: np.concatenate(parts[key]) for key in TOKEN_KEYS}
    lengths = columns["input_mask"].sum(axis=1, dtype=np.int64)
    columns["label_ids"] = ids
    whole = Encoded(columns, int((lengths == max_length).sum()))
    rounded = -(-int(lengths.max()) // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    return whole.with_length(min(max_length, rounded))
