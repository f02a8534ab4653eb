"""How many rows each batch has, and which part of the run it belongs to.

The plan is arithmetic: batch g begins at the row where all batches before it
end, so a resumed run needs a batch number and nothing else.
"""

import dataclasses
from collections.abc import Hashable, Sequence
from typing import NamedTuple

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


class Part(NamedTuple):
    """Batches of one size from one source, one after the other.

    Attributes:
      number: of the part, from 0.
      first: its first batch.
      size: rows of a global batch.
      source: what is read; parts of one source read on where the last ended.
      rows_before: rows of all batches before.
      position: the place of its first row among those of its source.
    """

    number: int
    first: int
    size: int
    source: Hashable
    rows_before: int
    position: int


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
        for stage in ramp or ():
            if stage.batch_size < 1 or stage.steps < 1:
                raise UserError(
                    "wanted batch_size and steps above 0 in each stage of "
                    f"optimization.batch_ramp, got {stage.batch_size} and "
                    f"{stage.steps}"
                )
        sizes = [(stage.steps, stage.batch_size, 0) for stage in ramp or ()]
        self._lay([*sizes, (None, batch_size, 0)])

    @classmethod
    def of_stages(
        cls, stages: Sequence[tuple[int | None, int, Hashable]]
    ) -> "BatchPlan":
        """A plan of stages with sources of their own.

        Args:
          stages: (steps, batch size, source) in order; the last one goes on,
            whatever its steps.
        """
        plan = cls.__new__(cls)
        plan._lay(stages)
        return plan

    def _lay(self, stages) -> None:
        """Lays parts end to end."""
        self.parts: list[Part] = []
        batch = rows = 0
        read: dict[Hashable, int] = {}
        for number, (steps, size, source) in enumerate(stages):
            position = read.get(source, 0)
            self.parts.append(Part(number, batch, size, source, rows, position))
            batch += steps or 0
            rows += (steps or 0) * size
            read[source] = position + (steps or 0) * size

    @property
    def sizes(self) -> list[int]:
        """The sizes in order."""
        return [part.size for part in self.parts]

    @property
    def changes(self) -> list[int]:
        """The batches at which another part begins."""
        return [part.first for part in self.parts[1:]]

    def part_of(self, batch: int) -> Part:
        """The part that a batch belongs to."""
        return max(part for part in self.parts if part.first <= batch)

    def size_of(self, batch: int) -> int:
        """Rows of a batch."""
        return self.part_of(batch).size

    def first_row(self, batch: int) -> int:
        """The position of a batch's first row among those of its source."""
        part = self.part_of(batch)
        return part.position + (batch - part.first) * part.size

    def rows_before(self, batch: int) -> int:
        """Rows of all batches before, from all sources."""
        part = self.part_of(batch)
        return part.rows_before + (batch - part.first) * part.size

    def next_change(self, batch: int) -> int | None:
        """The first batch after `batch` of another part."""
        return min((c for c in self.changes if c > batch), default=None)

    def steps_for(self, rows: float) -> int:
        """The least number of batches that hold `rows` rows."""
        for part, end in zip(self.parts, [*self.changes, None], strict=True):
            missing = -(-(rows - part.rows_before) // part.size)
            steps = part.first + max(missing, 0)
            if end is None or steps <= end:
                break
        return int(steps)
