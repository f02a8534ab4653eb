"""Examples in memory -> batches, whatever the task.

Which examples make up a batch is arithmetic on the step, so that the global
batches are the same on any number of replicas and workers, and a run can
start at any step.

Legend: B batch, N examples.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfrecords import layout
from tfrecords.batches.options import with_options
from tfrecords.batches.replicas import rows_of_replica
from tfrecords.labelled.encoded import WindowRows
from tfrecords.labelled.epochs import batch_order

# Key -> one row for each example, [N, ...].
Columns = Mapping[str, np.ndarray | WindowRows]


def training_batches(
    columns: Columns,
    *,
    seed: int,
    global_batch_size: int,
    num_replicas: int = 1,
    first_replica: int = 0,
    local_replicas: int = 1,
    start_step: int = 0,
) -> tf.data.Dataset:
    """Endless batches of one worker, in a new order each epoch.

    Step g takes the rows that `batch_order` says; replica r takes its equal
    share of them. Nothing is dropped: the batch that ends an epoch is filled
    from the next. For each step the worker yields a batch for each of its
    replicas, in order.

    Args:
      columns: [N, ...] each.
      seed: of the order.
      global_batch_size: B, over all replicas.
      num_replicas: over all workers.
      first_replica: the worker's first.
      local_replicas: how many it has.
      start_step: the first batch's number.

    Returns:
      A dataset of dicts: `columns`' keys and `is_real_example`, of
      B / num_replicas rows, with whole numbers as int32.

    Raises:
      UserError: the replicas cannot share the batch equally.
    """
    rows = rows_of_replica(global_batch_size, num_replicas)
    rows_of = batch_order(_size(columns), global_batch_size, seed)

    def places() -> Iterator[np.ndarray]:
        step = start_step
        while True:
            batch = rows_of(step)
            for replica in range(first_replica, first_replica + local_replicas):
                yield batch[replica * rows : (replica + 1) * rows]
            step += 1

    # It has no end; said so, shapes stay static under several workers.
    return _dataset(columns, places, rows).repeat()


def evaluation_batches(
    columns: Columns,
    *,
    global_batch_size: int,
    num_replicas: int = 1,
    first_replica: int = 0,
    local_replicas: int = 1,
) -> tuple[tf.data.Dataset, int]:
    """Every example once, in the order of the file.

    The last global batch is filled with rows whose `is_real_example` is 0,
    so that every replica has the same number of batches.

    Returns:
      The worker's batches as in `training_batches`, and the steps.

    Raises:
      UserError: the replicas cannot share the batch equally.
    """
    rows = rows_of_replica(global_batch_size, num_replicas)
    steps = -(-_size(columns) // global_batch_size)

    def places() -> Iterator[np.ndarray]:
        for step in range(steps):
            for replica in range(first_replica, first_replica + local_replicas):
                first = step * global_batch_size + replica * rows
                yield np.arange(first, first + rows)

    return _dataset(columns, places, rows), steps


def gather(columns: Columns, places: np.ndarray) -> dict[str, np.ndarray]:
    """The batch of the rows at `places` [B]; those >= N are padding."""
    real = places < _size(columns)
    # Padding repeats a true row rather than being all zeros: attention over
    # no token at all is a mean over nothing.
    inside = np.where(real, places, 0)
    batch = {key: _batch_type(array[inside]) for key, array in columns.items()}
    # 0 for a row that only fills up the last batch.
    batch[layout.IS_REAL_EXAMPLE] = real.astype(np.int32)
    return batch


def _size(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _batch_type(array: np.ndarray) -> np.ndarray:
    kind = np.float32 if array.dtype.kind == "f" else np.int32
    return array.astype(kind)


def _shape(column, array: np.ndarray) -> tuple[int | None, ...]:
    """The shape of batches like this one; of windows there are more or less."""
    if isinstance(column, WindowRows):
        return column.batch_shape(len(array))
    return array.shape


def _dataset(
    columns: Columns, places: Callable[[], Iterator[np.ndarray]], rows: int
) -> tf.data.Dataset:
    """Batches of the rows at `places`."""

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for place in places():
            yield gather(columns, place)

    example = gather(columns, np.zeros(rows, np.int64))
    signature = {
        key: tf.TensorSpec(_shape(columns.get(key), array), array.dtype)
        for key, array in example.items()
    }
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=signature
    )
    return with_options(dataset.prefetch(4))
