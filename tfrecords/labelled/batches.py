"""Examples in memory -> batches, whatever the task.

Which examples make up a batch is arithmetic on the step, so that the global
batches are the same on any number of replicas and workers, and a run can
start at any step.

Legend: B batch, N examples.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tfrecords import layout
from tfrecords.batches.options import with_options
from tfrecords.batches.replicas import rows_of_replica
from tfrecords.labelled.epochs import batch_order

# Key -> one row for each example, [N, ...].
Columns = Mapping[str, np.ndarray]

# Batches of their own length have a multiple of this: fewer shapes for XLA to
# compile.
LENGTH_MULTIPLE = 16


def training_batches(
    columns: Columns,
    *,
    seed: int,
    global_batch_size: int,
    num_replicas: int = 1,
    first_replica: int = 0,
    local_replicas: int = 1,
    start_step: int = 0,
    lengths: np.ndarray | None = None,
    sequence_keys: Sequence[str] = (),
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
      lengths: tokens of each row, [N]: batches are of rows of like length,
        and as long as their longest row.
      sequence_keys: columns [N, ..., S] that are then cut to that length.

    Returns:
      A dataset of dicts: `columns`' keys and `is_real_example`, of
      B / num_replicas rows, with whole numbers as int32.

    Raises:
      UserError: the replicas cannot share the batch equally.
    """
    rows = rows_of_replica(global_batch_size, num_replicas)
    rows_of = batch_order(_size(columns), global_batch_size, seed, lengths)

    def places() -> Iterator[np.ndarray]:
        step = start_step
        while True:
            batch = rows_of(step)
            # The same on all replicas: those with less would wait.
            longest = None if lengths is None else int(lengths[batch].max())
            for replica in range(first_replica, first_replica + local_replicas):
                yield batch[replica * rows : (replica + 1) * rows], longest
            step += 1

    return _dataset(
        columns, places, rows, sequence_keys if lengths is not None else ()
    )


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
                yield np.arange(first, first + rows), None

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


def _cut(array: np.ndarray, longest: int) -> np.ndarray:
    """[..., S] without what is padding in all rows of the batch."""
    return array[..., : -(-longest // LENGTH_MULTIPLE) * LENGTH_MULTIPLE]


def _dataset(
    columns: Columns,
    places: Callable[[], Iterator[tuple[np.ndarray, int | None]]],
    rows: int,
    cut: Sequence[str] = (),
) -> tf.data.Dataset:
    """Batches of the rows at `places`, the columns `cut` to their length."""

    def batches() -> Iterator[dict[str, np.ndarray]]:
        for place, longest in places():
            batch = gather(columns, place)
            for key in cut:
                batch[key] = _cut(batch[key], longest)
            yield batch

    example = gather(columns, np.zeros(rows, np.int64))
    signature = {
        key: tf.TensorSpec(
            [*array.shape[:-1], None] if key in cut else array.shape,
            array.dtype,
        )
        for key, array in example.items()
    }
    dataset = tf.data.Dataset.from_generator(
        batches, output_signature=signature
    )
    return with_options(dataset.prefetch(4))
