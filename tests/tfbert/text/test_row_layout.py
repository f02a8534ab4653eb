import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfbert.text.row_layout import lay_out

PAD, CLS, SEP = 0, 101, 102
FIRST = [list(range(1, n + 1)) for n in range(8)]
SECOND = [list(range(50, 50 + n)) for n in range(8)]


def truncate_pair(a: list, b: list, room: int) -> None:
    """The reference: google-research/bert, `_truncate_seq_pair`."""
    while len(a) + len(b) > room:
        (a if len(a) > len(b) else b).pop()


def reference_row(a, b, max_length):
    a = list(a)
    if b is None:
        del a[max_length - 2 :]
        tokens = [CLS, *a, SEP]
        segments = [0] * len(tokens)
    else:
        b = list(b)
        truncate_pair(a, b, max_length - 3)
        tokens = [CLS, *a, SEP, *b, SEP]
        segments = [0] * (len(a) + 2) + [1] * (len(b) + 1)
    left = max_length - len(tokens)
    return (
        tokens + [PAD] * left,
        [1] * len(tokens) + [0] * left,
        segments + [0] * left,
    )


def laid_out(first, second, max_length):
    def ragged(rows):
        return tf.ragged.constant(rows, dtype=tf.int32, ragged_rank=1)

    row = lay_out(
        ragged(first),
        None if second is None else ragged(second),
        max_length=max_length,
        pad_id=PAD,
        cls_id=CLS,
        sep_id=SEP,
    )
    assert {value.dtype for value in row.values()} == {tf.int32}
    return row["input_ids"], row["input_mask"], row["segment_ids"]


@pytest.mark.parametrize("max_length", range(3, 18))
def test_pairs(max_length):
    pairs = list(itertools.product(FIRST, SECOND))
    expected = [reference_row(a, b, max_length) for a, b in pairs]
    got = laid_out(*map(list, zip(*pairs, strict=True)), max_length)
    np.testing.assert_array_equal(np.stack(got, 1), expected)


@pytest.mark.parametrize("max_length", range(2, 11))
def test_single_texts(max_length):
    expected = [reference_row(a, None, max_length) for a in FIRST]
    got = laid_out(FIRST, None, max_length)
    np.testing.assert_array_equal(np.stack(got, 1), expected)


def test_empty_batch():
    assert laid_out([], [], 8)[0].shape == (0, 8)
