"""The optimization settings that only pretraining has."""

import dataclasses

from trainers.settings.plan import BatchPlan, RampStage
from trainers.settings.sections import OptimizationSettings


@dataclasses.dataclass
class PretrainingOptimization(OptimizationSettings):
    """How weights are updated.

    Args:
      batch_ramp: smaller batches to begin with, stages in order, each with
        batch_size and steps; null: none.
      warmup_tokens: warm-up in tokens of rows, padding included, in the place
        of warmup_steps.
    """

    batch_ramp: list[RampStage] | None = None
    warmup_tokens: int | None = None

    @property
    def batch_plan(self) -> BatchPlan:
        """The size of each batch."""
        return BatchPlan(self.batch_size, self.batch_ramp)
