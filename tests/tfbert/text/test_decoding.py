"""Ids of any form become text again."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS += ["un", "##well", "film", "a", "##s"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(TOKENS)


@pytest.mark.parametrize(
    "form",
    [
        lambda rows: rows,
        lambda rows: [tuple(row) for row in rows],
        lambda rows: [np.array(row) for row in rows],
        tf.ragged.constant,
        lambda rows: np.array([[*r, *[0] * (8 - len(r))] for r in rows]),
        lambda rows: tf.constant([[*r, *[0] * (8 - len(r))] for r in rows]),
    ],
)
def test_rows_of_any_form(tokenizer, form):
    rows = [[2, 8, 7, 9, 3], [2, 5, 6, 4, 1, 3], [2, 3]]
    assert tokenizer.decode(form(rows)) == [
        "a films",
        "unwell [MASK] [UNK]",
        "",
    ]


def test_one_row_is_one_text(tokenizer):
    assert tokenizer.decode([8, 7, 0, 0]) == "a film"
    assert tokenizer.decode(np.array([8, 7], np.uint16)) == "a film"
    assert tokenizer.decode(tf.constant([8, 7])) == "a film"
    assert tokenizer.decode([]) == ""
    assert tokenizer.decode(np.zeros([0, 4], int)) == []
    assert tokenizer.decode([[], [8]]) == ["", "a"]
    ids = tokenizer(["a unwell film"])
    assert tokenizer.decode(ids) == ["a unwell film"]


@pytest.mark.parametrize(
    "ids,message",
    [
        (None, "wanted ids.*got None"),
        ("film", "wanted ids.*got 'film'"),
        (7, "wanted ids.*got 7"),
        ([0.5], "got 0.5 among them"),
        ([True], "got True among them"),
        ([10], "from 0 to below 10.*got 10"),
        ([[-1]], "from 0 to below 10.*got -1"),
        ([1, [2]], "wanted ids"),
        ([[[1]]], "wanted ids"),
    ],
)
def test_what_are_no_ids_is_told(tokenizer, ids, message):
    with pytest.raises(UserError, match=message):
        tokenizer.decode(ids)
