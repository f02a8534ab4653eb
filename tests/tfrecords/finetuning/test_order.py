import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.finetuning import order


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_each_epoch_is_a_permutation(size):
    places = order.places(np.arange(3 * size), size, seed=5)
    for epoch in places.reshape(3, size):
        assert sorted(epoch) == list(range(size))


def test_epochs_and_seeds_differ():
    def epoch(number, seed):
        positions = np.arange(50) + 50 * number
        return tuple(order.places(positions, 50, seed))

    orders = {epoch(n, s) for n in range(5) for s in (0, 1, 2, -1, 2**40)}
    assert len(orders) == 25


def test_a_position_does_not_depend_on_its_company():
    whole = order.places(np.arange(100), 30, seed=1)
    alone = [int(order.places(np.array(q), 30, seed=1)) for q in range(100)]
    assert whole.tolist() == alone


def test_the_order_stays_the_same_for_ever():
    places = order.places(np.arange(8), 8, seed=3).tolist()
    assert places == [1, 0, 7, 2, 6, 5, 3, 4]


def test_first_places_are_uniform():
    firsts = [
        int(order.places(np.array(epoch * 5), 5, seed=0))
        for epoch in range(2000)
    ]
    counts = np.bincount(firsts, minlength=5)
    assert abs(counts - 400).max() < 100


def test_batches_that_do_not_divide_are_refused():
    assert order.rows_of_replica(12, 3) == 4
    for batch in (0, 10):
        with pytest.raises(UserError, match=f"batch of {batch} cannot"):
            order.rows_of_replica(batch, 3)
