import collections

import numpy as np
import pytest
import scipy.stats

from tfrecords import keyed_order


def mix_reference(z):
    """SplitMix64's finaliser in Python's whole numbers."""
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def test_draws_are_splitmix64():
    # The first numbers of java.util.SplittableRandom-style SplitMix64 from
    # state 1234567, as published with the generator's C source.
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    keys = np.array([1234567], np.uint64)
    drawn = keyed_order.draws(keys, np.arange(5, dtype=np.uint64))
    assert drawn.tolist() == published


def test_mix_equals_whole_number_reference_and_keeps_its_argument():
    values = np.array([0, 1, 2**63, 2**64 - 1], np.uint64)
    before = values.copy()
    assert keyed_order.mix(values).tolist() == [
        mix_reference(int(v)) for v in values
    ]
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize(
    "size", [1, 2, 3, 4, 5, 7, 16, 17, 100, 1023, 1024, 1025, 50_001]
)
def test_permute_is_a_bijection(size):
    for seed in range(3):
        key = keyed_order.epoch_key(seed, 5)
        found = keyed_order.permute(np.arange(size), size, key)
        np.testing.assert_array_equal(np.sort(found), np.arange(size))


def test_permute_of_one_place_is_that_of_many():
    key = keyed_order.epoch_key(3, 1)
    many = keyed_order.permute(np.arange(1000), 1000, key)
    for place in (0, 1, 499, 999):
        assert keyed_order.permute(np.array([place]), 1000, key) == many[place]


def test_permute_reaches_far():
    size = 10**12 + 7
    places = np.arange(10_000) * 99_999_999
    found = keyed_order.permute(places, size, keyed_order.epoch_key(0, 0))
    assert len(np.unique(found)) == len(places)
    assert found.min() >= 0 and found.max() < size
    _, p = scipy.stats.kstest(found / size, "uniform")
    assert p > 1e-4


def test_small_orders_are_equally_likely():
    counts = collections.Counter(
        tuple(
            keyed_order.permute(np.arange(4), 4, keyed_order.epoch_key(seed, 0))
        )
        for seed in range(4800)
    )
    assert len(counts) == 24
    assert scipy.stats.chisquare(list(counts.values())).pvalue > 1e-4


def test_a_place_is_sent_everywhere_and_neighbours_part():
    size, seeds = 50, 5000
    keys = [keyed_order.epoch_key(seed, 0) for seed in range(seeds)]
    pairs = np.array(
        [keyed_order.permute(np.array([10, 11]), size, key) for key in keys]
    )
    first = np.bincount(pairs[:, 0], minlength=size)
    assert scipy.stats.chisquare(first).pvalue > 1e-4
    apart = np.bincount((pairs[:, 1] - pairs[:, 0]) % size, minlength=size)
    assert apart[0] == 0
    assert scipy.stats.chisquare(apart[1:]).pvalue > 1e-4


def test_rows_at_gives_each_row_once_in_each_epoch():
    rows, epochs = keyed_order.rows_at(np.arange(3 * 97), 97, seed=1)
    np.testing.assert_array_equal(epochs, np.repeat([0, 1, 2], 97))
    by_epoch = rows.reshape(3, 97)
    for found in by_epoch:
        np.testing.assert_array_equal(np.sort(found), np.arange(97))
    assert (by_epoch[0] != by_epoch[1]).any()
    again, _ = keyed_order.rows_at(np.arange(90, 110), 97, seed=1)
    np.testing.assert_array_equal(again, rows[90:110])
    other, _ = keyed_order.rows_at(np.arange(97), 97, seed=2)
    assert (other != rows[:97]).any()


def test_rows_at_equals_permute_over_many_blocks():
    size = 3 * 4096 + 5
    positions = np.array([0, 4095, 4096, 12287, 12288, 12292, 12293, 2 * size])
    rows, epochs = keyed_order.rows_at(positions, size, seed=4)
    assert epochs.tolist() == [0] * 6 + [1, 2]
    for position, row, epoch in zip(positions, rows, epochs, strict=True):
        key = keyed_order.epoch_key(4, int(epoch))
        place = np.array([position % size])
        assert keyed_order.permute(place, size, key) == row
