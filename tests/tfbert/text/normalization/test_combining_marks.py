import itertools
import unicodedata

import pytest
import tensorflow as tf
import tokenizers

from tfbert.text.normalization.characters import read_characters
from tfbert.text.normalization.combining_marks import (
    MarkOrder,
    disordered_pattern,
)

# Classes 224, 216, 9; a stripped mark with a class, one without.
MARKS = ["\u302e", "\U0001d165", "\u1b44", "\u0301", "\u0903", "\u0902"]
NORMALIZE = tokenizers.normalizers.BertNormalizer(lowercase=True)


@pytest.fixture(scope="module")
def order():
    return MarkOrder()


def test_against_the_reference(order):
    texts = ["x" + "".join(p) for p in itertools.permutations(MARKS, 4)]
    texts += [text[1:] for text in texts]
    got, _ = order(tf.constant(texts))
    barrier = "\U000ffffd"
    got = [text.decode().replace(barrier, "") for text in got.numpy()]
    assert got == [NORMALIZE.normalize_str(text) for text in texts]


def test_places(order):
    text = "x\u302e\u1b44\u302ey"
    result, source = order(tf.constant(["é", text]))
    assert result.numpy()[1].decode() == "x\u1b44\u302e\u302ey"
    rows = tf.constant([1] * 5, tf.int64)
    places = source(rows, tf.constant([0, 1, 4, 7, 10], tf.int64))
    assert places.numpy().tolist() == [0, 4, 1, 7, 10]


def test_pattern_finds_what_may_be_out_of_order():
    pattern = f".*{disordered_pattern()}.*"
    texts = ["x\u302e\u1b44", "x\u302ey\u1b44", "plain"]
    found = tf.strings.regex_full_match(texts, pattern)
    assert found.numpy().tolist() == [True, False, False]


def test_classes_are_unicode_s():
    for code, value in read_characters()["combining"].items():
        assert unicodedata.combining(chr(code)) == ord(value)
