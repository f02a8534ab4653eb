"""The optimization settings that only pretraining has."""

import dataclasses

from tfbert.errors import UserError
from trainers.settings.plan import BatchPlan, RampStage
from trainers.settings.sections import OptimizationSettings
from trainers.settings.stages import Stage, plan_of_stages


@dataclasses.dataclass
class PretrainingOptimization(OptimizationSettings):
    """How weights are updated.

    Args:
      stages: parts of the run in order, each with a share of its steps and
        records, batch_size or masking_rate of its own; null: one part.
      batch_ramp: smaller batches to begin with, stages in order, each with
        batch_size and steps; null: none.
      warmup_tokens: warm-up in tokens of rows, padding included, in the place
        of warmup_steps.
    """

    stages: list[Stage] | None = None
    batch_ramp: list[RampStage] | None = None
    warmup_tokens: int | None = None

    @property
    def batch_plan(self) -> BatchPlan:
        """The size of each batch.

        Raises:
          UserError: stages or ramp cannot be laid end to end.
        """
        if self.stages is None:
            return BatchPlan(self.batch_size, self.batch_ramp)
        for name in ("batch_ramp", "warmup_tokens"):
            if getattr(self, name) is not None:
                raise UserError(
                    f"wanted optimization.stages or optimization.{name}, got "
                    "both; "
                    + (
                        "give stages a batch_size each"
                        if name == "batch_ramp"
                        else "give optimization.warmup_steps or warmup_share"
                    )
                )
        return plan_of_stages(self.stages, self.steps, self.batch_size)
