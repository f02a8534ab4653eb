import types

import numpy as np
import pytest

from tfbert.errors import UserError
from trainers.reports.served import asking, label_answers

LABELS = {
    "words": np.array([b"a", b"b", b""], object),
    "starts": np.array([0, 2, -1]),
    "ends": np.array([1, 3, -1]),
    "labels": np.array([b"O", b"B-X", b""], object),
    "scores": np.array([0.5, 0.25, 0], np.float32),
}
SPANS = {
    "span_texts": np.array([b"b", b""], object),
    "span_starts": np.array([2, -1]),
    "span_ends": np.array([3, -1]),
    "span_labels": np.array([b"X", b""], object),
    "span_scores": np.array([0.25, 0], np.float32),
}


def test_labels():
    answer = label_answers.labels({**LABELS, **SPANS}, {})
    word = {"word": "b", "start": 2, "end": 3, "label": "B-X", "score": 0.25}
    span = {"text": "b", "start": 2, "end": 3, "label": "X", "score": 0.25}
    assert answer["words"][1:] == [word]
    assert answer["spans"] == [span]
    assert label_answers.label_cells(answer) == ["b (X)"]
    plain = label_answers.labels(LABELS, {})
    assert set(plain) == {"words"}
    assert label_answers.label_cells(plain) == ["a/O b/B-X"]


def test_roles():
    roles = {
        name.replace("span", "role"): np.stack([value, value])
        for name, value in SPANS.items()
    }
    answer = label_answers.roles(
        {
            **LABELS,
            **roles,
            "predicates": np.array([0, -1]),
            "predicate_scores": np.array([0.75, 0], np.float32),
        },
        {},
    )
    [predicate] = answer["predicates"]
    argument = {"text": "b", "start": 2, "end": 3, "label": "X", "score": 0.25}
    assert predicate == {
        "word": 0,
        "text": "a",
        "start": 0,
        "end": 1,
        "score": 0.75,
        "arguments": [argument],
    }
    assert label_answers.role_cells(answer) == ["a: X 'b'"]


def test_a_predicate_on_the_command_line_is_a_number():
    session = types.SimpleNamespace(
        inputs={"s": {"predicate": np.dtype(np.int32)}},
        outputs={"s": ["roles"]},
    )
    model = asking.Asked(session, {"inputs": ["predicate"]}, "s", "here")
    column = model._column("predicate", ["4", "0"])
    assert column.dtype == np.int32 and column.tolist() == [4, 0]
    with pytest.raises(UserError, match="predicate is a whole number"):
        model._column("predicate", ["sing"])
