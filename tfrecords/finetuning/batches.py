"""Examples in memory -> batches, whatever the task.

Which examples make up a batch is arithmetic on the step, so that the global
batches are the same on any number of replicas and workers, and a run can
start at any step.

Legend: B batch, N examples.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords import order

# Key -> one row for each example, [N, ...].
Columns = Mapping[str, np.ndarray]

# 1 for an example, 0 for a row that only fills up the last batch.
REAL = "is_real_example"


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

    Step g takes positions [g B, (g + 1) B) of the endless order that
    `tfrecords.order` gives; replica r takes its equal share of them. Nothing
    is dropped: the batch that ends an epoch is filled from the next. For
    each step the worker yields a batch for each of its replicas, in order.

    Returns:
      A dataset of dicts: `columns`' keys and `is_real_example`, of
      B / num_replicas rows, with whole numbers as int32.

    Raises:
      UserError: the replicas cannot share the batch equally.
    """
    rows = rows_of_replica(global_batch_size, num_replicas)
    size = _size(columns)

    def places() -> Iterator[np.ndarray]:
        step = start_step
        while True:
            for replica in range(first_replica, first_replica + local_replicas):
                first = step * global_batch_size + replica * rows
                positions = np.arange(first, first + rows)
                yield order.rows_at(positions, size, seed)[0]
            step += 1

    return _dataset(columns, places, rows)


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
    batch[REAL] = real.astype(np.int32)
    return batch


def rows_of_replica(global_batch_size: int, num_replicas: int) -> int:
    """The rows of a global batch that one replica takes.

    Raises:
      UserError: the global batch does not divide.
    """
    if global_batch_size < 1 or global_batch_size % num_replicas:
        raise UserError(
            f"a global batch of {global_batch_size} cannot be shared equally "
            f"by {num_replicas} replicas; make it a multiple of them."
        )
    return global_batch_size // num_replicas


def _size(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def _batch_type(array: np.ndarray) -> np.ndarray:
    kind = np.float32 if array.dtype.kind == "f" else np.int32
    return array.astype(kind)


def _dataset(
    columns: Columns, places: Callable[[], Iterator[np.ndarray]], rows: int
) -> tf.data.Dataset:
    def batches() -> Iterator[dict[str, np.ndarray]]:
        for place in places():
            yield gather(columns, place)

    example = gather(columns, np.zeros(rows, np.int64))
    signature = {
        key: tf.TensorSpec(array.shape, array.dtype)
        for key, array in example.items()
    }
    return tf.data.Dataset.from_generator(
        batches, output_signature=signature
    ).prefetch(4)
