"""Rows of like length are computed together, and come back in their order."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfbert.serving.graphs import servable
from tfbert.serving.graphs.servable import run_in_parts

PADDING = servable._PADDING_OF_A_PART
TOKENS = servable._TOKENS_AT_ONCE
STEP = servable._STEP


def task(batch, training):
    """Says what it was given: a sum, a value at each place, the shape."""
    assert training is False
    ids = tf.cast(batch["input_ids"] * batch["input_mask"], tf.float32)
    shape = tf.cast(tf.shape(ids), tf.float32)
    return {
        "sum": tf.reduce_sum(ids, axis=1),
        "places": ids,
        "pairs": tf.stack([ids, -ids], axis=2),
        "shape": tf.broadcast_to(shape, [tf.shape(ids)[0], 2]),
    }


SHAPES = {
    "sum": [None],
    "places": [None, None],
    "pairs": [None, None, 2],
    "shape": [None, 2],
}


@tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)] * 2)
def run(ids, mask):
    return run_in_parts(task, {"input_ids": ids, "input_mask": mask}, SHAPES)


def rows_of(lengths, width, seed=0):
    mask = np.arange(width) < np.reshape(lengths, [-1, 1])
    ids = np.random.default_rng(seed).integers(1, 999, mask.shape)
    # What stands in padding must not matter.
    return ids.astype(np.int32), mask.astype(np.int32)


def parts_of(lengths, width):
    """Rows and width of the part of each row, one row after the other."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    found = np.zeros([len(lengths), 2])
    while len(order):
        longest = lengths[order[0]]
        wide = min(math.ceil(max(longest, 1) / STEP) * STEP, width)
        size = padding = 0
        for row in order[: max(TOKENS // wide, 1)]:
            padding += longest - lengths[row]
            if padding > PADDING:
                break
            size += 1
        found[order[:size]] = size, wide
        order = order[size:]
    return found


LENGTHS = {
    "one": [7],
    "one without a token": [0],
    "like": [20] * 9,
    "two kinds": [3, 200, 3, 200, 3],
    "more than fit into a part": [5] * (2 * TOKENS // STEP + 3),
    "fewer fit of longer rows": [TOKENS // 3] * 7,
    "longer than a part": [TOKENS + 1] * 2 + [3],
    "at the limit": [100, 100 - PADDING, 100 - PADDING],
    "all different": list(range(1, 60)),
    "as they come": list(np.random.default_rng(1).integers(0, 300, 90)),
}


@pytest.mark.parametrize("name", LENGTHS)
def test_every_row_gets_its_own_answer(name):
    lengths = LENGTHS[name]
    ids, mask = rows_of(lengths, max(lengths) + 4)
    got = run(ids, mask)
    wanted = (ids * mask).astype(np.float32)
    np.testing.assert_array_equal(got["sum"], wanted.sum(1))
    np.testing.assert_array_equal(got["places"], wanted)
    np.testing.assert_array_equal(
        got["pairs"], np.stack([wanted, -wanted], axis=2)
    )
    np.testing.assert_array_equal(got["shape"], parts_of(lengths, ids.shape[1]))


def test_padding_is_a_few_tokens_a_part():
    lengths = np.asarray(LENGTHS["as they come"])
    ids, mask = rows_of(lengths, 512)
    rows, widths = np.asarray(run(ids, mask)["shape"]).T
    # A part's rows share its padding: summed over rows this counts parts.
    parts = (1 / rows).sum()
    most = PADDING * parts + (STEP - 1) * len(lengths)
    assert (widths - lengths).sum() <= most
    # Most of a batch of mixed lengths would be padding.
    assert widths.sum() < 0.6 * lengths.max() * len(lengths)


def test_no_rows():
    got = run(np.zeros([0, 5], np.int32), np.zeros([0, 5], np.int32))
    assert {name: value.shape for name, value in got.items()} == {
        "sum": (0,),
        "places": (0, 5),
        "pairs": (0, 5, 2),
        "shape": (0, 2),
    }
