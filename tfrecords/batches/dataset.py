"""Records -> batches, by arithmetic.

Position q of a run counts rows from its start. Global batch g of B rows is
positions [gB, (g+1)B), whatever the number of workers; replica r of R takes
the r-th R-th part of it. Which row stands at a position, and how it is
masked, are functions of the seed (`order`, `masking`). So there is nothing to
save and nothing to skip: a run goes on at any step in constant time, on any
number of workers, with the batches that it would have seen anyway.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords import keyed_order, layout
from tfrecords.batches import mistakes
from tfrecords.batches.batch import AnyRecords, make_batch, row_ids_at
from tfrecords.batches.options import with_options
from tfrecords.batches.replicas import rows_of_replica
from tfrecords.masking.masking import Masking
from tfrecords.storage.legacy_2018 import StaticRecords
from tfrecords.storage.reader import Records

__all__ = [
    "Masking",
    "Records",
    "evaluation_batches",
    "pretraining_batches",
    "row_ids_at",
]

# Batches made at the same time, and batches ready before they are wanted.
# The work is NumPy's, which lets go of the interpreter only in part, so more
# calls at once do not help.
_PARALLEL_CALLS = 2
_PREFETCH = 4


def batch_signature(
    records: AnyRecords,
    masking: Masking,
    batch_size: int,
    tells_real: bool = False,
) -> dict[str, tf.TensorSpec]:
    """The shapes and dtypes of a batch of `batch_size` rows.

    Where it `tells_real`, it says which rows are real examples.

    Raises:
      UserError: rows are too short for as many predictions as are asked for.
    """
    tokens = (batch_size, records.sequence_length)
    if isinstance(records, StaticRecords):
        masked = (batch_size, records.max_predictions)
    else:
        masked = (batch_size, masking.predictions(tokens[1]))
    shapes = {
        layout.INPUT_MASK: (tokens, tf.int32),
        layout.SEGMENT_IDS: (tokens, tf.int32),
        layout.INPUT_IDS: (tokens, tf.int32),
        layout.MASKED_LM_POSITIONS: (masked, tf.int32),
        layout.MASKED_LM_IDS: (masked, tf.int32),
        layout.MASKED_LM_WEIGHTS: (masked, tf.float32),
    }
    if records.manifest.packed:
        shapes[layout.SEQUENCE_IDS] = (tokens, tf.int32)
        shapes[layout.POSITION_IDS] = (tokens, tf.int32)
    if records.has_labels:
        shapes[layout.NEXT_SENTENCE_LABELS] = ((batch_size,), tf.int32)
    if tells_real:
        shapes[layout.IS_REAL_EXAMPLE] = ((batch_size,), tf.int32)
    return {key: tf.TensorSpec(*shape) for key, shape in shapes.items()}


def pretraining_batches(
    records: AnyRecords,
    masking: Masking,
    *,
    seed: int,
    global_batch_size: int,
    num_replicas: int = 1,
    first_replica: int = 0,
    local_replicas: int = 1,
    start_step: int = 0,
    first_row: int = 0,
    micro_batches: int = 1,
    masking_at: Callable[[int], Masking] | None = None,
) -> tf.data.Dataset:
    """Endless batches of one worker.

    Args:
      records: what to read.
      masking: how tokens are hidden.
      seed: of the order and the masks.
      global_batch_size: B, rows of a step on all replicas together.
      num_replicas: R, replicas of the whole run.
      first_replica: the number of this worker's first replica.
      local_replicas: replicas of this worker.
      start_step: the first step to give.
      first_row: the position of step 0's first row: what batches of another
        size took before.
      micro_batches: parts that the step will cut each batch into.

    Returns:
      A dataset of batch dicts of B / R rows: for each step, one for each of
      this worker's replicas in order, as
      `strategy.distribute_datasets_from_function` wants them. Where rows
      with labels are damaged and skipped, `is_real_example` int32 [B / R] is
      0 for them.

    Raises:
      UserError: the sizes do not fit together, or there are fewer rows than
        one global batch takes.
    """
    rows = rows_of_replica(global_batch_size, num_replicas, micro_batches)
    _check_replicas(num_replicas, first_replica, local_replicas)
    _check_enough(records, global_batch_size)

    def batch(element):
        step, local = divmod(int(element), local_replicas)
        first = first_row + (start_step + step) * global_batch_size
        first += (first_replica + local) * rows
        positions = np.arange(first, first + rows, dtype=np.int64)
        row_ids, epochs = records.rows_at(positions, seed)
        now = masking if masking_at is None else masking_at(start_step + step)
        made = make_batch(records, now, row_ids, epochs, seed)
        if damaged:
            made[layout.IS_REAL_EXAMPLE] = _sound(records, row_ids)
        return made

    # A row that could not be read has no label.
    damaged = records.has_labels and len(records.bad_rows) > 0
    signature = batch_signature(records, masking, rows, damaged)
    return _dataset(tf.int64.max, batch, signature)


def evaluation_batches(
    records: AnyRecords,
    masking: Masking,
    *,
    seed: int,
    global_batch_size: int,
    num_replicas: int = 1,
    first_replica: int = 0,
    local_replicas: int = 1,
    max_rows: int | None = None,
) -> tuple[tf.data.Dataset, int]:
    """Every row once, with the same masks each time.

    Args:
      records, masking, seed, global_batch_size, num_replicas, first_replica,
        local_replicas: as in `pretraining_batches`.
      max_rows: take only so many rows, spread over all of them (the same
        ones each time).

    Returns:
      (dataset, steps): batches as `pretraining_batches` gives them, for
      `steps` steps on every replica. The last ones are filled up with rows
      "[CLS] [SEP]" that have no predictions; where rows have next-sentence
      labels, `is_real_example` int32 [B] is 0 for them and 1 for the others.

    Raises:
      UserError: the sizes do not fit together, or there are no rows.
    """
    rows = rows_of_replica(global_batch_size, num_replicas, 1)
    _check_replicas(num_replicas, first_replica, local_replicas)
    if not records.num_rows or (max_rows is not None and max_rows < 1):
        raise UserError(
            f"no rows to evaluate in {records.path} (it has "
            f"{records.num_rows}, at most {max_rows} were asked for)."
        )
    total = min(records.num_rows, max_rows or records.num_rows)
    steps = -(-total // global_batch_size)

    def batch(element):
        step, local = divmod(int(element), local_replicas)
        first = step * global_batch_size + (first_replica + local) * rows
        positions = np.arange(first, first + rows, dtype=np.int64)
        inside = positions < total
        taken = np.where(inside, positions, 0)
        if total < records.num_rows:
            taken, _ = keyed_order.rows_at(taken, records.num_rows, seed)
        epochs = np.zeros_like(taken)
        made = make_batch(records, masking, taken, epochs, seed)
        if records.has_labels:
            made[layout.IS_REAL_EXAMPLE] = inside.astype(np.int32) * _sound(
                records, taken
            )
        return _blank(made, ~inside, records)

    signature = batch_signature(records, masking, rows, records.has_labels)
    return _dataset(steps * local_replicas, batch, signature), steps


def _sound(records: AnyRecords, row_ids: np.ndarray) -> np.ndarray:
    """int32 [B]: 1 for rows that can be read."""
    return (~np.isin(row_ids, records.bad_rows)).astype(np.int32)


def _blank(batch: dict, empty: np.ndarray, records: AnyRecords) -> dict:
    """Turns the rows where `empty` (bool [B]) into rows of no weight."""
    if not empty.any():
        return batch
    for values in batch.values():
        values[empty] = 0
    classes = records.classes
    batch[layout.INPUT_IDS][empty] = classes.pad_id
    # Two tokens, so that no softmax over an all-padding row is ever taken.
    batch[layout.INPUT_IDS][empty, :2] = classes.cls_id, classes.sep_id
    batch[layout.INPUT_MASK][empty, :2] = 1
    if records.manifest.packed:
        batch[layout.SEQUENCE_IDS][empty, :2] = 1
        batch[layout.POSITION_IDS][empty, 1] = 1
    return batch


def _dataset(
    size: int,
    batch: Callable[[int], dict[str, np.ndarray]],
    signature: dict[str, tf.TensorSpec],
) -> tf.data.Dataset:
    """The batches `batch(0)`, `batch(1)`, ..., `size` of them."""
    keys = list(signature)
    types = [signature[key].dtype for key in keys]

    def call(element):
        with mistakes.kept():
            made = batch(element)
        return [made[key] for key in keys]

    def load(element):
        values = tf.numpy_function(call, [element], types)
        for key, value in zip(keys, values, strict=True):
            value.set_shape(signature[key].shape)
        return dict(zip(keys, values, strict=True))

    # One call makes a whole batch, so nothing is batched afterwards; order
    # is kept, since a position is a promise; prefetch comes last, so that
    # the trainer finds a finished batch.
    dataset = tf.data.Dataset.range(size).map(
        load, num_parallel_calls=_PARALLEL_CALLS, deterministic=True
    )
    return with_options(dataset.prefetch(_PREFETCH))


def _check_enough(records: AnyRecords, global_batch_size: int) -> None:
    if records.num_rows < global_batch_size:
        raise UserError(
            f"{records.path} has {records.num_rows} rows, fewer than one "
            f"global batch of {global_batch_size}. Lower the batch size to at "
            f"most {records.num_rows}, or build records from more text."
        )


def _check_replicas(num_replicas, first_replica, local_replicas) -> None:
    last = first_replica + local_replicas
    if first_replica < 0 or local_replicas < 1 or last > num_replicas:
        raise UserError(
            f"replicas {first_replica} to {last - 1} of {num_replicas}: there "
            "are no such replicas."
        )
