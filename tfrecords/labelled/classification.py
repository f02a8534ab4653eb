"""Classification data: the classes of sentences.

Legend: N examples.
"""

from collections.abc import Collection, Sequence

import numpy as np

from tfbert.errors import UserError
from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.files.text import nearest_first
from tfrecords.labelled.sentences import Examples


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
    return sorted_labels(found)


def sorted_labels(found: Collection[str]) -> list[str]:
    """Sorted, by value if all are whole numbers."""
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
            near = nearest_first(label, labels)
            shown = ", ".join(near[:20]) + (", ..." * (len(labels) > 20))
            raise UserError(
                f"{examples.path}:{line}: unknown label {label!r}. The model "
                f"knows {len(labels)} labels, the nearest first: {shown}. Mend "
                "or remove the row, or train with this label."
            )
    return np.array([place[label] for label in examples.labels], np.int32)


def encode(
    examples: Examples,
    encode_text: Encode,
    labels: Sequence[str],
    max_length: int,
) -> Encoded:
    """Tokenizes all examples; the columns have label_ids, int32 [N], too.

    Raises:
      UserError: a label is not among `labels`.
    """
    ids = label_ids(examples, labels)
    encoded = encode_texts(
        examples.text_a, examples.text_b, encode_text, max_length
    )
    encoded.columns["label_ids"] = ids
    return encoded
