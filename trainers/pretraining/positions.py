"""Positions that rows of a longer stage reach for the first time."""

import logging

import keras
import numpy as np

from trainers.step.training_model import TrainingModel

_TABLE = "position_embeddings"
_log = logging.getLogger(__name__)


def lengthen(model: TrainingModel, learnt: int, length: int) -> None:
    """Gives positions `learnt` to `length` the rows of those before.

    Position i begins as position i modulo `learnt`, which keeps what attention
    knows of neighbours (Beltagy et al. 2020, "Longformer", section 5). The
    optimizer's moments and the average of the weights go along.

    Args:
      model: compiled; nothing else of it changes.
      learnt: positions that were trained so far.
      length: tokens of the rows that come.
    """
    table = model.task.encoder.embeddings.position_embeddings
    changed = [table, *_beside(model, table)]
    places = np.arange(length) % learnt
    for variable in changed:
        rows = np.array(variable)
        rows[:length] = rows[places]
        variable.assign(rows)
    _log.info(
        f"Positions {learnt:,} to {length - 1:,} begin as copies of those "
        "before"
    )


def _beside(model: TrainingModel, table: keras.Variable) -> list:
    """The optimizer's variables of the table, and its average."""
    found = [
        variable
        for variable in model.optimizer.variables
        if _TABLE in variable.path and variable.shape == table.shape
    ]
    average = getattr(model, "average", None)
    if average is not None:
        pairs = zip(average.variables, average.averages, strict=True)
        found += [kept for followed, kept in pairs if followed is table]
    return found
