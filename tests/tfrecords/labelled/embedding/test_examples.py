import json

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.labelled.embedding.examples import (
    Columns,
    encode,
    read_examples,
)


def write(path, *rows):
    if path.suffix == ".jsonl":
        text = "".join(json.dumps(row) + "\n" for row in rows)
    else:
        text = "".join("\t".join(row) + "\n" for row in rows)
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize(
    ("head", "options", "wanted"),
    [
        ("text", {}, Columns("texts", ("text",))),
        ("id text_a text_b", {}, Columns("pairs", ("text_a", "text_b"))),
        (
            "sentence1 sentence2 score",
            {},
            Columns("scored", ("sentence1", "sentence2"), "score"),
        ),
        (
            "sentence1 sentence2 score",
            {"form": "pairs"},
            Columns("pairs", ("sentence1", "sentence2")),
        ),
        (
            "anchor positive negative",
            {},
            Columns("triples", ("anchor", "positive", "negative")),
        ),
        (
            "anchor positive negative",
            {"form": "pairs"},
            Columns("pairs", ("anchor", "positive")),
        ),
        ("q a", {"text_columns": ("q", "a")}, Columns("pairs", ("q", "a"))),
        (
            "q a grade",
            {"text_columns": ("q", "a"), "label_column": "grade"},
            Columns("scored", ("q", "a"), "grade"),
        ),
        (
            "text_a text_b label",
            {"form": "texts", "text_columns": ("text_b",)},
            Columns("texts", ("text_b",)),
        ),
        # Columns of the training file that this one does not have.
        (
            "sentence1 sentence2",
            {"text_columns": ("q", "a")},
            Columns("pairs", ("sentence1", "sentence2")),
        ),
    ],
)
def test_columns_are_found(tmp_path, head, options, wanted):
    names = head.split()
    rows = [names, [str(i) for i in range(len(names))]]
    found = read_examples(write(tmp_path / "a.tsv", *rows), **options)
    assert found.columns == wanted
    assert found.texts == [tuple(str(names.index(n)) for n in wanted.texts)]
    assert (found.scores is None) == (wanted.form != "scored")
    assert wanted.form in found.form and found.lines == [2]
    lines = [dict(zip(*rows, strict=True))]
    again = read_examples(write(tmp_path / "a.jsonl", *lines), **options)
    assert again.columns == wanted and again.texts == found.texts


def test_files_without_a_header_and_plain_lines(tmp_path):
    path = tmp_path / "sts.csv"
    path.write_text('a,"b, c",2.5\nd,e,1\n', "utf-8")
    found = read_examples(path, ("0", "1"), "2")
    assert found.texts == [("a", "b, c"), ("d", "e")]
    np.testing.assert_array_equal(found.scores, [2.5, 1])
    path = tmp_path / "lines.txt"
    path.write_text("one, two\tthree\n\nfour\r\n", "utf-8")
    found = read_examples(path)
    assert found.texts == [("one, two\tthree",), ("four",)]
    assert found.lines == [1, 3] and found.inputs() == found.texts


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        ([("a", "b")], {}, "wanted the columns text, or those of pairs"),
        ([("text", "b")], {"form": "pair"}, "data.form of pairs, tri.*'pair'"),
        ([("text", "b")], {"form": "pairs"}, "pairs wants 2 text columns, got"),
        (
            [("text_a", "text_b")],
            {"form": "scored"},
            "wants 2 text columns and one of scores",
        ),
        (
            [("a", "b", "c", "d")],
            {"text_columns": ("a", "b", "c", "d")},
            "one to three text columns",
        ),
        (
            [("a", "b"), ("1", "2")],
            {"text_columns": ("a", "b"), "label_column": "a"},
            "come from different columns",
        ),
        (
            [("text_a", "text_b", "score"), ("a", "b", "nan")],
            {},
            "a.tsv:2: 'nan' is no number; .*data.form pairs",
        ),
        ([("text_a", "text_b"), (" ", "b")], {}, "a.tsv:2: .*'text_a' is emp"),
    ],
)
def test_mistakes_are_named(tmp_path, rows, options, message):
    with pytest.raises(UserError, match=message):
        read_examples(write(tmp_path / "a.tsv", *rows), **options)


def test_nothing_to_read(tmp_path):
    (tmp_path / "a.txt").write_text("\n \n")
    with pytest.raises(UserError, match="no lines with text"):
        read_examples(tmp_path / "a.txt")
    with pytest.raises(UserError, match="parquet"):
        read_examples(tmp_path / "a.parquet")


def fake_tokenizer(texts, second, max_length):
    """A letter a token, cut; upper case is lower case."""
    ids = np.zeros((len(texts), max_length), np.int32)
    for row, text in enumerate(texts):
        for place, letter in enumerate(text.lower()[:max_length]):
            ids[row, place] = ord(letter)
    mask = (ids > 0).astype(np.int32)
    return {"input_ids": ids, "input_mask": mask, "segment_ids": 0 * mask}


def test_rows_and_keys_of_equal_texts(tmp_path):
    path = write(
        tmp_path / "a.tsv",
        ("text_a", "text_b", "score"),
        ("abc", "x" * 20, "5"),
        ("ABC", "x" * 30, "0"),
        ("c", "abc", "1"),
    )
    examples = read_examples(path)
    found = encode(examples, fake_tokenizer, 16, 0.0, 5.0)
    assert found.columns["input_ids"].shape == (3, 2, 16)
    keys = found.columns["text_keys"]
    assert keys[0, 0] == keys[1, 0] == keys[2, 1] != keys[2, 0]
    assert keys[0, 1] == keys[1, 1]  # Cut at 16 they are equal.
    np.testing.assert_allclose(found.columns["scores"], [1, 0, 0.2])
    assert found.full_rows == 2
