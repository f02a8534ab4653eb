"""Texts of several rows are asked for as an array, and kept without holes."""

import numpy as np
import pytest

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.long_texts import HEAD, WINDOWS, LongTexts
from tfbert.text.windows.texts import TextReader
from tfrecords.labelled import batches, encoded
from tfrecords.labelled.embedding.examples import text_keys
from tfrecords.labelled.encoded import WindowRows, encode_texts

TEXTS = ["a", "a b " * 9, "", "b a b a b a b a", "a b a b b a"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer("[PAD] [UNK] [CLS] [SEP] [MASK] a b ##a".split())


def dense(counts, width=3):
    """Rows that tell text, window and place; and their WindowRows."""
    rows = np.arange(counts.sum() * width).reshape(-1, width) + 1
    whole = np.zeros((*counts.shape, counts.max(), width), int)
    whole[np.arange(counts.max()) < counts[..., None]] = rows
    return whole, WindowRows(rows, counts)


@pytest.mark.parametrize("shape", [(5,), (5, 2)])
def test_asked_for_examples_it_is_the_array(shape):
    counts = np.array([1, 3, 2, 1, 4, 1, 0, 2, 1, 1][: np.prod(shape)])
    whole, kept = dense(counts.reshape(shape))
    assert (len(kept), kept.shape) == (5, whole.shape)
    for places in (np.arange(5), np.array([3, 0, 3]), np.array([2])):
        want = whole[places]
        most = np.argwhere(want.any(axis=-1))[:, -1].max() + 1
        np.testing.assert_array_equal(kept[places], want[..., :most, :])
    alike = WindowRows(kept.rows, kept.counts, all_alike=True)
    np.testing.assert_array_equal(alike[np.array([0])], whole[:1])
    assert kept.batch_shape(7) == (7, *shape[1:], None, 3)
    assert alike.batch_shape(7) == (7, *whole.shape[1:])
    per_example = counts.reshape(5, -1).sum(axis=1)
    assert kept.examples().tolist() == np.repeat(range(5), per_example).tolist()


def test_batches_have_as_many_windows_as_they_need(tokenizer):
    reader = TextReader(tokenizer, LongTexts(WINDOWS, 2, 100))
    found = encode_texts(TEXTS, None, reader, 8)
    dataset = batches.training_batches(
        found.columns, seed=0, global_batch_size=2
    )
    assert dataset.element_spec["input_ids"].shape.as_list() == [2, None, 8]
    widths = {
        batch["input_ids"].shape[1]
        for batch in dataset.take(5).as_numpy_iterator()
    }
    assert len(widths) > 1
    dataset, _ = batches.evaluation_batches(
        found.with_windows_alike().columns, global_batch_size=2
    )
    most = found.columns["input_ids"].shape[1]
    assert dataset.element_spec["input_ids"].shape == [2, most, 8]


def test_windows_of_chunks_follow_one_another(tokenizer, monkeypatch):
    reader = TextReader(tokenizer, LongTexts(WINDOWS, 2, 100))
    whole = encode_texts(TEXTS, None, reader, 8)
    assert whole.lengths.tolist() == [3, 20, 2, 10, 8]
    assert whole.columns["input_ids"].counts.tolist() == [1, 4, 1, 2, 1]
    for name, value in (("_ENCODE_AT_ONCE", 2), ("_CHARACTERS_AT_ONCE", 20)):
        monkeypatch.setattr(encoded, name, value)
        parts = encode_texts(TEXTS, None, reader, 8)
        for key in TOKEN_KEYS:
            assert parts.columns[key].tobytes() == whole.columns[key].tobytes()
        assert parts.lengths.tolist() == whole.lengths.tolist()


def test_where_no_text_is_longer_windows_are_rows(tokenizer):
    texts = TEXTS[:1] + TEXTS[2:]
    rows = [
        encode_texts(texts, None, TextReader(tokenizer, reading), 10)
        for reading in (LongTexts(HEAD), LongTexts(WINDOWS, 1, 9))
    ]
    assert rows[1].columns["input_ids"].shape == (4, 1, 10)
    single = rows[1].in_single_rows()
    for key in TOKEN_KEYS:
        np.testing.assert_array_equal(single.columns[key], rows[0].columns[key])


def test_lengths_and_cuts_are_counted(tokenizer):
    head = encode_texts(TEXTS, None, TextReader(tokenizer, LongTexts(HEAD)), 8)
    assert head.full_rows == 2
    some = TextReader(tokenizer, LongTexts(WINDOWS, 2, 2))
    assert encode_texts(TEXTS, None, some, 8).full_rows == 1


def test_texts_are_equal_where_all_windows_are():
    rows = np.array([[1, 2], [3, 4], [1, 2], [3, 4], [1, 2]])
    keys = text_keys(WindowRows(rows, np.array([2, 2, 1])))
    assert keys.tolist() == [0, 0, 1]
