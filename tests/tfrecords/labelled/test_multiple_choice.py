import json

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.labelled import multiple_choice

COLUMNS = ("question", ["choices"], "label")


def read(tmp_path, *rows, columns=COLUMNS):
    path = tmp_path / "d.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return multiple_choice.read_examples(path, *columns)


def test_lists_and_columns(tmp_path):
    found = read(
        tmp_path,
        {"question": "q", "choices": ["a", "b", "c"], "label": 2},
        {"question": "r", "choices": ["d", "e"], "label": "b"},
    )
    assert found.choices == [["a", "b", "c"], ["d", "e"]]
    assert found.labels == [2, 1]
    assert found.inputs() == [("q", "a", "b", "c"), ("r", "d", "e")]
    path = tmp_path / "d.tsv"
    path.write_text("one\ttwo\tq\tright\nx\ty\tz\t0\n", encoding="utf-8")
    again = multiple_choice.read_examples(path, "q", ["one", "two"], "right")
    assert again.choices == [["x", "y"]]
    assert again.labels == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"choices": ["a"]}, r"jsonl:1: 'choices' should be a JSON list of tw"),
        ({"choices": ["a", " "]}, "two or more choices with text"),
        ({"choices": "a, b"}, "name them all in data.choice_columns"),
        ({"label": 2}, "label '2' names none of 2 choices; wanted .* 0 to 1"),
        ({"label": "C"}, "a letter from A to B"),
        ({"label": -1}, "label '-1' names none"),
        ({"label": "\u00df"}, "label '\u00df' names none"),
        ({"label": "1" * 5000}, "label '1+' names none"),
        ({"choices": "[" * 100_000}, "should be a JSON list"),
    ],
)
def test_broken_rows_are_named(tmp_path, changes, message):
    row = {"question": "q", "choices": ["a", "b"], "label": 0}
    with pytest.raises(UserError, match=message):
        read(tmp_path, row | changes)


def test_a_column_has_one_purpose():
    with pytest.raises(UserError, match="different columns, not q, a, q"):
        multiple_choice.read_examples("d.tsv", "q", ["a"], "q")
    with pytest.raises(UserError, match="should come from different columns"):
        multiple_choice.read_examples("d.tsv", "q", [], "label")


def test_rows_are_pairs_of_question_and_choice(tmp_path):
    def encode_text(text_a, text_b, *, max_length):
        ids = np.zeros([len(text_a), max_length], np.int32)
        for row, pair in enumerate(zip(text_a, text_b, strict=True)):
            word = "".join(pair)
            ids[row, : len(word)] = [ord(letter) for letter in word]
        ones = np.int32(ids > 0)
        return {"input_ids": ids, "input_mask": ones, "segment_ids": 0 * ids}

    found = read(
        tmp_path,
        {"question": "q", "choices": ["a", "b", "c"], "label": 2},
        {"question": "r", "choices": ["d", "e"], "label": 1},
    )
    encoded = multiple_choice.encode(found, encode_text, 10)
    ids = encoded.columns["input_ids"]
    assert ids.shape == (2, 3, 8)
    assert [chr(i) for i in ids[1, :, 1]] == ["d", "e", "\0"]
    assert encoded.columns["choice_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]
    assert encoded.columns["label_ids"].tolist() == [2, 1]
    longer = encoded.with_length(12)
    assert longer.columns["input_ids"].shape == (2, 3, 12)
    assert longer.sequence_length == 12
