import numpy as np
import pytest

from tfrecords import keyed_order
from tfrecords.labelled.epochs import batch_order

SIZE = 1003


def test_it_is_the_order_of_records():
    rows_of = batch_order(SIZE, 16, seed=3)
    for batch in (100, 0, 7):
        positions = np.arange(16 * batch, 16 * batch + 16)
        wanted = keyed_order.rows_at(positions, SIZE, 3)[0]
        np.testing.assert_array_equal(rows_of(batch), wanted)


@pytest.mark.parametrize("size", [1003, 40, 9])
def test_nothing_is_lost_or_doubled(size):
    rows_of = batch_order(size, 16, seed=3)
    rows = np.concatenate([rows_of(batch) for batch in range(2 * size)])
    for epoch in range(32):
        found = rows[epoch * size : epoch * size + size]
        np.testing.assert_array_equal(np.sort(found), np.arange(size))
