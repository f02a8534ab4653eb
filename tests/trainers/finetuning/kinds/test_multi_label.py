"""How wrong an example with several labels is."""

import numpy as np

from tfrecords.labelled.multi_label import Examples
from trainers.finetuning.kinds.multi_label import MultiLabelEvaluation
from trainers.reports import errors

LABELS = ["a", "b", "c"]


def test_the_worst_answer_has_the_largest_miss():
    probabilities = np.array(
        [
            [0.6, 0.9999, 0.0001],  # Slightly wrong, else very sure.
            [0.1, 0.8, 0.3],  # One label too many, one too few.
            [0.9, 0.1, 0.1],  # All right.
            [0.6, 0.2, 0.3],  # As wrong as the first.
        ]
    )
    labels = [["b"], ["a"], ["a"], []]
    evaluation = MultiLabelEvaluation(
        labels=LABELS,
        examples=Examples(
            path="d.jsonl",
            lines=[1, 2, 3, 4],
            text_a=["w", "x", "y", "z"],
            text_b=None,
            labels=labels,
        ),
        gold=np.array([[name in some for name in LABELS] for some in labels]),
        logits=np.log(probabilities / (1 - probabilities)),
        step=1,
    )
    rows = list(evaluation.rows())
    assert np.allclose(
        [row["largest_miss"] for row in rows], [0.6, 0.9, 0.1, 0.6]
    )
    found = errors.mistakes(rows)
    assert [mistake.line for mistake in found] == [2, 1, 4]
    assert [mistake.score for mistake in found] == [
        "farthest label off by 0.9000",
        "farthest label off by 0.6000",
        "farthest label off by 0.6000",
    ]
