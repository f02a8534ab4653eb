"""How often each token stands in records, and what that alone is worth."""

import numpy as np

from tfrecords import layout
from tfrecords.batches.batch import AnyRecords
from tfrecords.storage.legacy_2018 import StaticRecords

# Read at a time.
_ROWS = 1024


def unigram_entropy(
    records: AnyRecords, max_rows: int | None = None, seed: int = 0
) -> float:
    """Entropy of the tokens that may be masked, in nats.

    The loss of the best guess that knows how often each token stands in
    these very rows, and nothing of its neighbours: what a masked LM has to
    beat to show that it reads the context.

    Args:
      records: where the rows are.
      max_rows: at most this many, those that a run with `seed` reads first;
        None: all. Few rows give a little less than all of them.
      seed: of the run.
    """
    rows = min(records.num_rows, max_rows or records.num_rows)
    classes = records.classes
    counts = np.zeros(classes.vocab_size, np.int64)
    for first in range(0, rows, _ROWS):
        places = np.arange(first, min(first + _ROWS, rows), dtype=np.int64)
        row_ids, _ = records.rows_at(places, seed)
        tokens = _tokens(records, row_ids)
        counts += np.bincount(tokens.ravel(), minlength=len(counts))
    counts = counts[classes.maskable]
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())


def _tokens(records: AnyRecords, row_ids: np.ndarray) -> np.ndarray:
    """The token ids of rows before they were masked, int32 [B, S]."""
    if not isinstance(records, StaticRecords):
        return records.tokens(row_ids)
    batch = records.batch(row_ids)
    tokens = batch[layout.INPUT_IDS].copy()
    rows, places = np.nonzero(batch[layout.MASKED_LM_WEIGHTS] > 0)
    hidden = batch[layout.MASKED_LM_POSITIONS][rows, places]
    tokens[rows, hidden] = batch[layout.MASKED_LM_IDS][rows, places]
    return tokens
