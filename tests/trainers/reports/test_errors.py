import json
import re

import pytest

from trainers.reports import errors, marked_text
from trainers.reports.marked_text import Mark

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
    assert first.line == 4 and "so bad &lt;i&gt;" in first.body
    shown = (first.right, first.answer, first.score)
    assert shown == ("bad", "good", "confidence 90.0%")
    assert "dull</p>" in second.body and "really</p>" in second.body


@pytest.mark.parametrize(
    ("row", "right", "answer", "score"),
    [
        ({"label": 2.0, "predicted": 2.5}, "2", "2.5", "off by +0.5"),
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
            "confidence 75.0%",
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
            "",
            "",
            "1 word wrong, confidence 75.0%",
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


def test_the_section_of_a_page(tmp_path):
    write(tmp_path, "test", CLASSES)
    with open(tmp_path / "predictions-test.jsonl", "a") as file:
        file.write('{"cut off')
    write(tmp_path, "many", [CLASSES[1]] * 30)
    files = {"evaluation-test.json": {}, "evaluation-many.json": {}}
    page = errors.section(tmp_path, files)
    assert "so bad &lt;i&gt;" in page and "<i>" not in page
    assert "2 of 3 answers are wrong" in page
    assert "30 of 30 answers are wrong; the worst 20" in page
    assert "Expected calibration error" in page
    assert page.count("<svg") == 2
    assert errors.section(tmp_path, {"evaluation-none.json": {}}) == ""
    write(tmp_path, "long", [{**CLASSES[1], "text": ["x" * 1000]}])
    page = errors.section(tmp_path, {"evaluation-long.json": {}})
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
    page = errors.section(tmp_path, {"evaluation-test.json": {}})
    assert "test: the 20 of 30 scores farthest off" in page
    assert page.count("<svg") == 1
    assert "wrong" not in page


WORDS = {
    "line": 7,
    "words": ["Anna", "of", "New", "York", "met", "<Bo>"],
    "label": ["B-PER", "O", "B-LOC", "I-LOC", "O", "B-PER"],
    "predicted": ["B-PER", "O", "O", "B-LOC", "O", "O"],
    "scores": [0.9, 0.8, 0.7, 0.6, 0.9, 0.5],
}


def test_spans_are_marked_in_the_sentence():
    [mistake] = errors.mistakes([WORDS])
    assert mistake.score == "3 words wrong, confidence 70.0%"
    wanted, got = mistake.body.split(">predicted<")
    kind = '<span class="kind">{}</span></mark>'.format
    assert f'<mark class="both">Anna{kind("PER")}' in wanted
    assert f'<mark class="wanted">New York{kind("LOC")}' in wanted
    assert f'<mark class="wanted">&lt;Bo&gt;{kind("PER")}' in wanted
    assert f'<mark class="both">Anna{kind("PER")}' in got
    assert f'<mark class="got">York{kind("LOC")}' in got
    assert got.count("<mark") == 2 and wanted.count("<mark") == 3
    assert "[" not in mistake.body and "B-" not in mistake.body


@pytest.mark.parametrize(
    ("about", "label"),
    [
        ({"label_scheme": "BIOES"}, ["B-X", "E-X", "S-X"]),
        ({"label_scheme": "IO"}, ["X", "X", "O"]),
        ({}, ["B-X", "I-X", "B-X"]),
    ],
)
def test_spans_are_read_in_the_scheme_of_the_run(about, label):
    row = WORDS | {"words": ["a", "b", "c"], "label": label}
    row |= {"predicted": ["O"] * 3, "scores": [0.5] * 3}
    [mistake] = errors.mistakes([row], about)
    assert '<mark class="wanted">a b<span' in mistake.body


def test_plain_tags_are_marked_at_wrong_words_alone():
    row = WORDS | {"label": list("NVNNVN"), "predicted": list("NVNVVN")}
    [mistake] = errors.mistakes([row], {"has_spans": False})
    assert mistake.body.count("<mark") == 2
    assert '<mark class="wanted">York<span class="kind">N<' in mistake.body


def test_the_predicate_of_a_role_is_shown():
    row = WORDS | {"predicate": 4}
    [mistake] = errors.mistakes([row])
    assert mistake.body.count('<b class="predicate">met</b>') == 2


def test_of_a_long_sentence_the_neighbourhood_is_shown():
    row = {
        "line": 1,
        "words": [f"w{i}" for i in range(200)],
        "label": ["O"] * 100 + ["B-X"] + ["O"] * 99,
        "predicted": ["O"] * 200,
        "scores": [0.9] * 200,
    }
    [mistake] = errors.mistakes([row])
    for word, there in (("w100", 1), ("w88", 1), ("w80", 0), ("w120", 0)):
        assert (f"{word}<" in mistake.body or f"{word} " in mistake.body) == (
            there
        )
    assert mistake.body.count("\u2026") == 4


def test_answers_are_marked_in_their_context():
    context = (
        "x" * 500 + " It was in 1887 and not in 1889, they say. " + "y" * 500
    )
    start = context.index("1889")
    row = {
        "line": 3,
        "text": ["When <was> it?", context],
        "gold": ["1887", "in 1887"],
        "answer": "1889",
        "start": start,
        "end": start + 4,
        "f1": 0.0,
    }
    [mistake] = errors.mistakes([row])
    assert "<b>When &lt;was&gt; it?</b>" in mistake.body
    assert '<mark class="wanted">1887</mark>' in mistake.body
    assert '<mark class="got">1889</mark>' in mistake.body
    assert len(mistake.body) < 700 and mistake.body.count("\u2026") == 2
    assert mistake.right == "1887 / in 1887"
    # No word is cut, and what is near one another is in one piece.
    assert "\u2026 It was" not in mistake.body
    # "No answer" marks what was wanted alone.
    row |= {"answer": "", "start": -1, "end": -1}
    [mistake] = errors.mistakes([row])
    assert 'class="got"' not in mistake.body and mistake.answer == "no answer"


def test_words_are_not_cut_and_short_gaps_are_filled():
    text = " ".join(f"word{i}" for i in range(300))
    first, second = text.index("word50 "), text.index("word100 ")
    marks = [Mark(first, first + 6, "wanted"), Mark(second, second + 7, "got")]
    shown = marked_text.marked(text, marks)
    assert shown.count("\u2026") == 2
    far = Mark(text.index("word200"), text.index("word200") + 7, "got")
    shown = marked_text.marked(text, [*marks, far])
    assert shown.count("\u2026") == 3
    assert shown.count("<mark") == 3
    words = re.sub(r"<[^>]+>", "", shown).replace("\u2026", " ").split()
    assert set(words) <= set(text.split())


def test_a_mark_over_another_has_both_styles():
    shown = marked_text.marked(
        "one two three", [Mark(0, 7, "wanted"), Mark(4, 13, "got")]
    )
    assert shown == (
        '<p class="text" dir="auto"><mark class="wanted">one </mark>'
        '<mark class="got wanted">two</mark><mark class="got"> three</mark></p>'
    )
    assert marked_text.marked("a b", []) == '<p class="text" dir="auto">a b</p>'
