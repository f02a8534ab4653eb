import numpy as np
import pytest

from tfrecords.labelled.epochs import batch_order
from trainers.finetuning import real_tokens

# Eleven rows of up to 12 tokens, and one of 512.
LENGTHS = np.array([*range(2, 13), 512])


def mask_of(lengths):
    return (np.arange(512) < lengths[..., None]).astype("int8")


def brute_force(lengths, rows_of, parts):
    """The most tokens, and pairs, of a micro-batch, one by one."""
    tokens, pairs = [], []
    for step in range(3):
        for part in np.split(rows_of(step), parts):
            own = lengths[part].reshape(-1)
            tokens.append(own.sum())
            pairs.append(sum(512**2 if n == 512 else 32**2 for n in own))
    return max(tokens), max(pairs)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_the_largest_micro_batch(parts):
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    found = real_tokens.count(mask_of(LENGTHS), rows_of, parts, True)
    assert (found.largest, found.pairs) == brute_force(LENGTHS, rows_of, parts)
    assert found.share == LENGTHS.sum() / (12 * 512)
    assert found.attended == (LENGTHS**2).sum() / LENGTHS.sum()
    assert "9.6% of the rows' places" in found.describe(True)
    assert "padding is not computed" in found.describe(True)


def test_of_several_sequences_each_counts():
    lengths = np.stack([LENGTHS, LENGTHS[::-1]], axis=1)
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    found = real_tokens.count(mask_of(lengths), rows_of, 1, True)
    assert (found.largest, found.pairs) == brute_force(lengths, rows_of, 1)


def test_with_padding_all_places_count():
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    found = real_tokens.count(mask_of(LENGTHS), rows_of, 2, False)
    assert (found.largest, found.pairs) == (2 * 512, 2 * 512**2)
    assert "padding is computed" in found.describe(False)
