"""The batches of a run, and how rows of them are called."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

# (dataset, steps): held-out batches, the same at every evaluation.
Validation = tuple[tf.data.Dataset, int]


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run reads.

    Attributes:
      make_batches: first batch -> distributed training batches from there.
      validation: held-out batches, if there are any.
      row_ids: batch -> ids of its rows, if they can be told.
    """

    make_batches: Callable[[int], tf.data.Dataset]
    validation: Validation | None = None
    row_ids: Callable[[int], Sequence[int]] | None = None
