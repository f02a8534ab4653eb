"""Which rows make up a training batch: arithmetic on the batch's number.

Legend: B global batch, N rows of the data.
"""

import functools
from collections.abc import Callable

import numpy as np

from tfrecords import keyed_order

# Batches among which rows are sorted by length.
WINDOW = 64
# Told apart from the seed's other uses.
_ORDER_OF_BATCHES = 0x5EED0B


def batch_order(
    size: int,
    global_batch_size: int,
    seed: int,
    lengths: np.ndarray | None = None,
) -> Callable[[int], np.ndarray]:
    """A function: number of a global batch -> its rows, int64 [B].

    Batch g is the positions [g B, (g + 1) B) of the endless order that
    `tfrecords.keyed_order` gives. With lengths, the rows of WINDOW
    batches (of fewer, where an epoch has fewer) are sorted by length, cut
    into batches, and the batches put into an order of their own. Either way
    nothing is dropped, and any batch can be asked for without those before.

    Args:
      size: N.
      global_batch_size: B.
      seed: of the order.
      lengths: tokens of each row, [N]; None: rows are not sorted.
    """
    if lengths is None:
        return lambda batch: _rows(
            batch * global_batch_size, global_batch_size, size, seed
        )
    # Within one epoch: a row should not meet itself in a batch.
    window = min(WINDOW, max(size // global_batch_size, 1))

    @functools.lru_cache(2)
    def of_window(number: int) -> np.ndarray:
        count = window * global_batch_size
        rows = _rows(number * count, count, size, seed)
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        key = keyed_order.fold(
            keyed_order.fold(seed, _ORDER_OF_BATCHES), number
        )
        draws = keyed_order.draws(key, np.arange(window, dtype=np.uint64))
        return rows.reshape(window, -1)[np.argsort(draws, kind="stable")]

    return lambda batch: of_window(batch // window)[batch % window]


def _rows(first: int, count: int, size: int, seed: int) -> np.ndarray:
    return keyed_order.rows_at(np.arange(first, first + count), size, seed)[0]
