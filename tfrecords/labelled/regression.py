"""Regression data: the scores of sentences.

Legend: N examples.
"""

import numpy as np

from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.files.scores import read_scores
from tfrecords.labelled.sentences import Examples


def scores(examples: Examples) -> np.ndarray:
    """The score of each example, float32 [N].

    Raises:
      UserError: a label is no number, or none that float32 can hold and
        have a variance of; with file and line.
    """
    return read_scores(
        examples.labels,
        lambda row: f"{examples.path}:{examples.lines[row]}",
        "Names of classes are learnt by the task classification.",
    )


def encode(examples: Examples, encode_text: Encode, max_length: int) -> Encoded:
    """Tokenizes all examples; the columns have scores, float32 [N], too.

    Raises:
      UserError: a label is no number.
    """
    values = scores(examples)
    encoded = encode_texts(
        examples.text_a, examples.text_b, encode_text, max_length
    )
    encoded.columns["scores"] = values
    return encoded
