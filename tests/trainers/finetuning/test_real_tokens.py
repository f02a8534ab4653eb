import numpy as np
import pytest

from tfbert.layers.real_tokens import Sizes
from tfrecords.labelled.epochs import batch_order
from trainers.finetuning import real_tokens
from trainers.finetuning.real_tokens import Lengths

# Eleven rows of up to 12 tokens, and one of 512.
LENGTHS = np.array([*range(2, 13), 512])


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
    found = real_tokens.count(Lengths(LENGTHS), 512, rows_of, parts, True)
    assert (found.largest, found.pairs) == brute_force(LENGTHS, rows_of, parts)
    assert found.share == LENGTHS.sum() / (12 * 512)
    assert found.attended == (LENGTHS**2).sum() / LENGTHS.sum()
    assert "9.6% of the rows' places" in found.describe(True)
    assert "padding is not computed" in found.describe(True)


def test_of_several_sequences_each_counts():
    lengths = np.stack([LENGTHS, LENGTHS[::-1]], axis=1)
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    found = real_tokens.count(Lengths(lengths), 512, rows_of, 1, True)
    assert (found.largest, found.pairs) == brute_force(lengths, rows_of, 1)


def test_with_padding_all_places_count():
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    found = real_tokens.count(Lengths(LENGTHS), 512, rows_of, 2, False)
    assert (found.largest, found.pairs) == (2 * 512, 2 * 512**2)
    assert "padding is computed" in found.describe(False)


@pytest.mark.parametrize("parts", [1, 2])
def test_fixed_sizes_are_those_of_the_largest(parts):
    lengths = np.stack([LENGTHS, LENGTHS[::-1]], axis=1)
    rows_of = batch_order(len(LENGTHS), 4, seed=1)
    batches = [rows_of(step) for step in range(3)]
    found = real_tokens.fixed_sizes(Lengths(lengths), 512, batches, parts)
    shares = [lengths[part] for b in batches for part in np.split(b, parts)]
    tokens = max(share.sum() for share in shares)
    long = max((share == 512).sum() for share in shares)
    short = max((share < 32).sum() for share in shares)
    assert found == {8 // parts: Sizes(tokens, (short, 0, 0, 0, long))}
    more = {8 // parts: Sizes(1, (9, 1, 0, 0, 0)), 3: Sizes(5, (1, 1))}
    assert real_tokens.largest(found, more) == {
        8 // parts: Sizes(tokens, (max(short, 9), 1, 0, 0, long)),
        3: Sizes(5, (1, 1)),
    }


@pytest.mark.parametrize("parts", [1, 2])
def test_windows_count_as_what_they_are(parts):
    """As if all examples had as many, and those that are none no tokens."""
    counts = np.array([1, 3, 1, 2, 4, 1, 1, 2, 1, 1, 1, 2])
    examples = np.repeat(np.arange(12), counts)
    tokens = np.random.default_rng(0).integers(2, 513, len(examples))
    padded = np.zeros((12, 4), int)
    padded[np.arange(4) < counts[:, None]] = tokens
    rows_of = batch_order(12, 4, seed=1)
    windows, whole = Lengths(tokens, examples, 4), Lengths(padded)
    batches = [rows_of(step) for step in range(3)]
    sizes = [
        real_tokens.fixed_sizes(some, 512, batches, parts)
        for some in (windows, whole)
    ]
    assert sizes[0] == sizes[1] and list(sizes[0]) == [16 // parts]
    found = real_tokens.count(windows, 512, rows_of, parts, True)
    assert found.tokens == tokens.sum()
    assert found.largest == max(
        padded[part].sum() for b in batches for part in np.split(b, parts)
    )
    # The places of windows that are none are nobody's.
    assert found.places == len(tokens) * 512
