"""How many rows each batch has: one size, or a ramp up to it.

The plan is arithmetic: batch g begins at the row where all batches before it
end, so a resumed run needs a batch number and nothing else.
"""

import dataclasses

from tfbert.errors import UserError


@dataclasses.dataclass
class RampStage:
    """Some steps with smaller batches.

    Args:
      batch_size: rows in a global batch.
      steps: how many batches of this size.
    """

    batch_size: int
    steps: int


class BatchPlan:
    """Sizes and first rows of batches by their number, 0 the first.

    Small batches early on make more updates of the same rows, when gradients
    agree most (McCandlish et al. 2018, section 2.3; Smith et al. 2018).

    Args:
      batch_size: rows of the batches after the ramp.
      ramp: stages in order.

    Raises:
      UserError: a stage without rows or steps.
    """

    def __init__(self, batch_size: int, ramp: list[RampStage] | None = None):
        self._stages = []  # (first batch, first row, batch size)
        batch = row = 0
        for stage in ramp or ():
            if stage.batch_size < 1 or stage.steps < 1:
                raise UserError(
                    "wanted batch_size and steps above 0 in each stage of "
                    f"optimization.batch_ramp, got {stage.batch_size} and "
                    f"{stage.steps}"
                )
            self._stages.append((batch, row, stage.batch_size))
            batch += stage.steps
            row += stage.steps * stage.batch_size
        self._stages.append((batch, row, batch_size))

    @property
    def sizes(self) -> list[int]:
        """The sizes in order."""
        return [size for _, _, size in self._stages]

    @property
    def changes(self) -> list[int]:
        """The batches at which the size changes."""
        return [first for first, _, _ in self._stages[1:]]

    def size_of(self, batch: int) -> int:
        """Rows of a batch."""
        return self._stage_of(batch)[2]

    def first_row(self, batch: int) -> int:
        """The position of a batch's first row; rows of all batches before."""
        first, row, size = self._stage_of(batch)
        return row + (batch - first) * size

    def next_change(self, batch: int) -> int | None:
        """The first batch after `batch` of another size."""
        return min((c for c in self.changes if c > batch), default=None)

    def steps_for(self, rows: float) -> int:
        """The least number of batches that hold `rows` rows."""
        for (first, row, size), end in zip(
            self._stages, [*self.changes, None], strict=True
        ):
            steps = first + max(-(-(rows - row) // size), 0)
            if end is None or steps <= end:
                break
        return int(steps)

    def _stage_of(self, batch: int) -> tuple[int, int, int]:
        return max(stage for stage in self._stages if stage[0] <= batch)
