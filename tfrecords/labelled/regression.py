"""Regression data: the scores of sentences.

Legend: N examples.
"""

import math

import numpy as np

from tfbert.errors import UserError
from tfbert.score_limit import LARGEST_SCORE
from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.sentences import Examples


def scores(examples: Examples) -> np.ndarray:
    """The score of each example, float32 [N].

    Raises:
      UserError: a label is no number, or none that float32 can hold and
        have a variance of; with file and line.
    """
    found = []
    for line, label in zip(examples.lines, examples.labels, strict=True):
        try:
            value = float(label)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(
                f"{examples.path}:{line}: {label[:40]!r} is no number; "
                "regression learns numbers such as 3.25. Names of "
                "classes are learnt by the task classification."
            )
        if abs(value) > LARGEST_SCORE:
            raise UserError(
                f"{examples.path}:{line}: the score {label[:40]!r} is beyond "
                f"{LARGEST_SCORE:g}, too large to learn with. Mend it, or give "
                "all scores in a larger unit."
            )
        found.append(value)
    return np.array(found, np.float32)


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
