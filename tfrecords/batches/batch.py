"""Rows by their ids -> one masked batch, in NumPy alone."""

import numpy as np

from tfrecords import keyed_order, layout
from tfrecords.batches.mixture import Mixture
from tfrecords.masking.masking import Masking
from tfrecords.storage.legacy_2018 import StaticRecords
from tfrecords.storage.reader import Records

AnyRecords = Records | StaticRecords | Mixture


def row_ids_at(
    step: int, *, seed: int, global_batch_size: int, num_rows: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of global batch `step`.

    Returns:
      (row ids int64 [B], their epochs int64 [B])
    """
    first = step * global_batch_size
    positions = np.arange(first, first + global_batch_size, dtype=np.int64)
    return keyed_order.rows_at(positions, num_rows, seed)


def make_batch(
    records: AnyRecords,
    masking: Masking,
    row_ids: np.ndarray,
    epochs: np.ndarray,
    seed: int,
) -> dict[str, np.ndarray]:
    """Reads and masks rows.

    Args:
      records: where the rows are.
      masking: how tokens are hidden; without effect on `StaticRecords`, whose
        rows are masked.
      row_ids, epochs: int64 [B].
      seed: of the masks.

    Returns:
      The batch keys of `spec`, B rows.
    """
    if isinstance(records, StaticRecords):
        return records.batch(row_ids)
    rows = records.rows(row_ids)
    tokens = np.ascontiguousarray(rows[:, : records.sequence_length])
    classes = records.classes
    batch = structure(tokens, classes, records.manifest)
    batch |= masking.apply(tokens, row_ids, epochs, seed, classes)
    if records.has_labels:
        batch[layout.NEXT_SENTENCE_LABELS] = rows[:, records.sequence_length]
    return batch


def structure(token_ids: np.ndarray, classes, manifest) -> dict:
    """What a row's ids say about its places.

    A sequence begins at each [CLS]; its first segment ends with its first
    [SEP].

    Args:
      token_ids: int32 [B, S].
      classes: `TokenClasses`.
      manifest: of the records: are rows packed, do they hold pairs?

    Returns:
      `input_mask` and `segment_ids`, for packed rows also `sequence_ids` and
      `position_ids`; int32 [B, S].
    """
    real = token_ids != classes.pad_id
    mask = real.astype(np.int32)
    batch = {layout.INPUT_MASK: mask}
    if manifest.objective == layout.MASKED_LM:
        batch[layout.SEGMENT_IDS] = np.zeros_like(token_ids)
    else:
        # Pairs stand alone in their row: [CLS] a [SEP] b [SEP].
        ends = (token_ids == classes.sep_id).astype(np.int32)
        before = np.cumsum(ends, axis=1, dtype=np.int32) - ends
        batch[layout.SEGMENT_IDS] = before * mask
    if manifest.packed:
        starts = token_ids == classes.cls_id
        sequence = np.cumsum(starts, axis=1, dtype=np.int32)
        places = np.arange(token_ids.shape[1], dtype=np.int32)
        begin = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
        batch[layout.SEQUENCE_IDS] = sequence * mask
        batch[layout.POSITION_IDS] = ((places - begin) * mask).astype(np.int32)
    return batch
