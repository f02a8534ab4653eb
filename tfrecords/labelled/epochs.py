"""Which rows make up a training batch: arithmetic on the batch's number.

Legend: B global batch, N rows of the data.
"""

from collections.abc import Callable

import numpy as np

from tfrecords import keyed_order


def batch_order(
    size: int, global_batch_size: int, seed: int
) -> Callable[[int], np.ndarray]:
    """A function: number of a global batch -> its rows, int64 [B].

    Batch g is the positions [g B, (g + 1) B) of the endless order that
    `tfrecords.keyed_order` gives. Nothing is dropped, and any batch can be
    asked for without those before.

    Args:
      size: N.
      global_batch_size: B.
      seed: of the order.
    """

    def rows(batch: int) -> np.ndarray:
        first = batch * global_batch_size
        places = np.arange(first, first + global_batch_size)
        return keyed_order.rows_at(places, size, seed)[0]

    return rows
