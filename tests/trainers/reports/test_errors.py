import json

import numpy as np
import pytest

from trainers.reports import errors

CLASSES = [
    {
        "line": 2,
        "text": ["fine <b>"],
        "label": "good",
        "predicted": "good",
        "probabilities": [0.05, 0.95],
    },
    {
        "line": 3,
        "text": ["dull", "really"],
        "label": "bad",
        "predicted": "good",
        "probabilities": [0.35, 0.65],
    },
    {
        "line": 4,
        "text": ["so bad <i>"],
        "label": "bad",
        "predicted": "good",
        "probabilities": [0.1, 0.9],
    },
]


def write(folder, name, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"predictions-{name}.jsonl").write_text(text, encoding="utf-8")


def test_the_worst_error_is_the_surest():
    first, second = errors.mistakes(CLASSES)
    assert (first.line, first.text) == (4, "so bad <i>")
    assert (first.right, first.answer, first.score) == ("bad", "good", "0.9000")
    assert second.text == "dull | really"


@pytest.mark.parametrize(
    ("row", "right", "answer", "score"),
    [
        ({"label": 2.0, "predicted": 2.5}, "2", "2.5", "+0.5"),
        (
            {"label": ["a"], "predicted": [], "probabilities": [0.4, 0.1]},
            "a",
            "none",
            "",
        ),
        (
            {
                "label": 1,
                "predicted": 0,
                "choices": ["x", "y"],
                "probabilities": [0.75, 0.25],
            },
            "y",
            "x",
            "0.7500",
        ),
        (
            {"gold": ["a b"], "answer": "", "f1": 0.0},
            "a b",
            "no answer",
            "F1 0.00",
        ),
        (
            {
                "words": ["in", "Rome"],
                "label": ["O", "B-LOC"],
                "predicted": ["O", "O"],
                "scores": [0.99, 0.75],
            },
            "Rome: B-LOC",
            "Rome: O",
            "0.7500",
        ),
    ],
)
def test_every_kind_of_answer(row, right, answer, score):
    row = {"line": 5, "text": ["q"], **row}
    [found] = errors.mistakes([row])
    assert (found.right, found.answer, found.score) == (right, answer, score)
    if "label" in row:
        assert not errors.mistakes([{**row, "predicted": row["label"]}])
    else:
        assert not errors.mistakes([{**row, "f1": 1}])


def test_calibration_is_that_of_the_definition():
    pairs = np.array([(0.95, 1), (0.65, 0), (0.9, 0), (1.0, 1)], float)
    bins, error = errors.calibration(pairs)
    assert bins[0] == (0.65, 0, 1)
    assert bins[1] == pytest.approx((0.95, 2 / 3, 3))
    assert error == pytest.approx((0.65 + 3 * (0.95 - 2 / 3)) / 4)
    # Right as often as sure: no error.
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.5, 1, 20_000)
    right = draw.random(20_000) < sure
    exact = np.stack([sure, right], axis=1).astype(float)
    assert errors.calibration(exact)[1] < 0.02


def test_the_section_of_a_page(tmp_path):
    write(tmp_path, "test", CLASSES)
    with open(tmp_path / "predictions-test.jsonl", "a") as file:
        file.write('{"cut off')
    write(tmp_path, "many", [CLASSES[1]] * 30)
    files = ["evaluation-test.json", "evaluation-many.json"]
    page = errors.section(tmp_path, files)
    assert "so bad &lt;i&gt;" in page and "<i>" not in page
    assert "2 of 3 answers are wrong" in page
    assert "30 of 30 answers are wrong; the worst 20" in page
    assert "Expected calibration error" in page
    assert page.count("<svg") == 2
    assert errors.section(tmp_path, ["evaluation-none.json"]) == ""
    write(tmp_path, "long", [{**CLASSES[1], "text": ["x" * 1000]}])
    page = errors.section(tmp_path, ["evaluation-long.json"])
    assert "x" * 400 + " ..." in page and "x" * 401 not in page


def test_labels_in_another_order_are_the_same_labels():
    row = {"line": 2, "text": ["q"], "probabilities": [0.9, 0.8, 0.1]}
    right = {**row, "label": ["b", "a"], "predicted": ["a", "b"]}
    wrong = {**row, "label": ["b", "a"], "predicted": ["a", "c"]}
    assert [m.answer for m in errors.mistakes([right, wrong])] == ["a, c"]
    # Tags stand at their words.
    tags = {
        **{"line": 3, "words": ["in", "Rome"], "scores": [0.9, 0.8]},
        **{"label": ["O", "B"], "predicted": ["B", "O"]},
    }
    assert len(errors.mistakes([tags])) == 1


def test_scores_are_off_and_not_wrong(tmp_path):
    rows = [
        {"line": i, "text": ["q"], "label": 2.0, "predicted": 2.0 + i / 10}
        for i in range(30)
    ]
    write(tmp_path, "test", rows)
    page = errors.section(tmp_path, ["evaluation-test.json"])
    assert "test: of 30 scores the 20 that are farthest off" in page
    assert "wrong" not in page
