"""Multi-label data: any number of labels for each text.

Legend: N examples, C classes.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfbert.errors import UserError
from tfrecords.labelled import classification, sentences
from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.files import json_lines, tables


@dataclass(frozen=True)
class Examples(sentences.Examples):
    """Sentences or pairs with a list of labels each, which may be empty."""

    labels: list[list[str]]


def read_examples(
    path: str | os.PathLike,
    text_columns: Sequence[str],
    label_column: str,
    separator: str,
    reading: tables.Reading = tables.BY_LOOKING,
) -> Examples:
    """Reads texts and their labels.

    A label cell is a list in JSON, or labels with `separator` between them;
    an empty cell has none. In .jsonl files it may be a list itself.

    Raises:
      UserError: as `sentences.read_examples`; or a list that is none of
        strings, or an empty separator; with file and line.
    """
    if not separator:
        raise UserError("wanted data.label_separator, got an empty one")
    found = sentences.read_examples(
        path, text_columns, label_column, True, reading
    )
    labels = [
        _split(f"{found.path}:{line}", cell, separator)
        for line, cell in zip(found.lines, found.labels, strict=True)
    ]
    return Examples(**{**vars(found), "labels": labels})


def _split(where: str, cell: str, separator: str) -> list[str]:
    if cell.startswith("["):
        labels = json_lines.parse(
            f"{where}: the labels {cell[:40]!r} begin like a JSON list, but",
            cell,
            "one",
        )
    else:
        labels = [label for label in cell.split(separator) if label.strip()]
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise UserError(
                f"{where}: labels should be strings, not "
                f"{json_lines.shown(label)}."
            )
    return [label.strip() for label in labels]


def label_list(examples: Examples) -> list[str]:
    """The labels that occur, sorted: by value if all are whole numbers.

    Raises:
      UserError: none occurs.
    """
    found = {label for labels in examples.labels for label in labels}
    if not found:
        raise UserError(f"{examples.path}: no example has a label.")
    return classification.sorted_labels(found)


def label_matrix(examples: Examples, labels: Sequence[str]) -> np.ndarray:
    """1 where the example has the label, int8 [N, C].

    Raises:
      UserError: a label is not among `labels`; with file and line.
    """
    pairs = [
        (row, label)
        for row, some in enumerate(examples.labels)
        for label in some
    ]
    flat = replace(
        examples,
        lines=[examples.lines[row] for row, _ in pairs],
        labels=[label for _, label in pairs],
    )
    places = classification.label_ids(flat, labels)
    matrix = np.zeros([len(examples), len(labels)], np.int8)
    matrix[[row for row, _ in pairs], places] = 1
    return matrix


def encode(
    examples: Examples,
    encode_text: Encode,
    labels: Sequence[str],
    max_length: int,
) -> Encoded:
    """Tokenizes all examples; the columns have labels, int8 [N, C], too.

    Raises:
      UserError: a label is not among `labels`.
    """
    matrix = label_matrix(examples, labels)
    encoded = encode_texts(
        examples.text_a, examples.text_b, encode_text, max_length
    )
    encoded.columns["labels"] = matrix
    return encoded
