"""The batches of a run, and how rows of them are called."""

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

# (dataset, steps): held-out batches, the same at every evaluation.
Validation = tuple[tf.data.Dataset, int]


@dataclasses.dataclass(frozen=True)
class RunStages:
    """What is other in each stage of a run.

    Attributes:
      number: batch -> the stage that it belongs to, from 0.
      validation: batch -> held-out batches of its stage, if there are any.
      enter: called with (model, the batch of the last step, the next batch)
        before steps of a stage that has just begun.
      work: batches -> what so many of the first ones cost, in any unit.
    """

    number: Callable[[int], int]
    validation: Callable[[int], Validation | None]
    enter: Callable[[object, int, int], None]
    work: Callable[[int], float]


@dataclasses.dataclass(frozen=True)
class RunData:
    """What a run reads.

    Attributes:
      make_batches: first batch -> distributed training batches from there.
      validation: held-out batches, if there are any.
      row_ids: batch -> ids of its rows, if they can be told.
      stages: what changes on the way; None: nothing.
    """

    make_batches: Callable[[int], tf.data.Dataset]
    validation: Validation | None = None
    row_ids: Callable[[int], Sequence[int]] | None = None
    stages: RunStages | None = None

    def stage_of(self, batch: int) -> int:
        """The number of the stage that a batch belongs to, from 0."""
        return 0 if self.stages is None else self.stages.number(batch)

    def validation_of(self, batch: int) -> Validation | None:
        """The held-out batches of a batch's stage."""
        if self.stages is None:
            return self.validation
        return self.stages.validation(batch)

    def enter(self, model, before: int | None, batch: int) -> bool:
        """Prepares the model for a stage, where `batch` is of a new one.

        Args:
          model: at the step that `batch` is for.
          before: the batch of the step before; None: there was none.
          batch: the next one.

        Returns:
          whether it is of a new one.
        """
        if self.stages is None or before is None:
            return False
        begins = self.stages.number(before) != self.stages.number(batch)
        if begins:
            self.stages.enter(model, before, batch)
        return begins
