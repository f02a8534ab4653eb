"""Cells that hold scores -> numbers to learn."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from tfbert.errors import UserError
from tfbert.score_limit import LARGEST_SCORE


def read_scores(
    cells: Sequence[str], where: Callable[[int], str], otherwise: str
) -> np.ndarray:
    """The scores, float32 [N].

    Args:
      cells: N of them.
      where: number of a cell -> where it is, for messages.
      otherwise: what else could be learnt of cells that are no numbers.

    Raises:
      UserError: a cell is no number, or none that float32 can hold and have
        a variance of.
    """
    found = []
    for place, cell in enumerate(cells):
        try:
            value = float(cell)
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise UserError(
                f"{where(place)}: {cell[:40]!r} is no number; scores are "
                f"numbers such as 3.25. {otherwise}"
            )
        if abs(value) > LARGEST_SCORE:
            raise UserError(
                f"{where(place)}: the score {cell[:40]!r} is beyond "
                f"{LARGEST_SCORE:g}, too large to learn with. Mend it, or give "
                "all scores in a larger unit."
            )
        found.append(value)
    return np.array(found, np.float32)
