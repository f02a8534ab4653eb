"""The optimization settings that only pretraining has."""

import dataclasses

from trainers.batch_plan import BatchPlan, RampStage
from trainers.config import OptimizationSettings


@dataclasses.dataclass
class PretrainingOptimization(OptimizationSettings):
    """How weights are updated.

    Args:
      batch_size: rows in a global batch, over all replicas and micro-batches.
      batch_ramp: smaller batches to begin with, stages in order, each with
        batch_size and steps; null: none.
      accumulation_steps: micro-batches that each replica cuts its share into;
        saves memory, does not change the update.
      steps: updates in all.
      learning_rate: peak, reached at the end of warm-up.
      warmup_steps: steps of linear warm-up.
      warmup_share: warm-up as a share of all steps, in the place of
        warmup_steps.
      warmup_tokens: warm-up in tokens of rows, padding included, in the place
        of warmup_steps.
      schedule: how the rate falls after warm-up, to reach its end at `steps`:
        linear, cosine, polynomial (square), inverse_sqrt or one_cycle.
      optimizer: adamw; for very large batches lamb, or nvlamb, which divides
        the gradient by its norm in the place of clipping.
      layer_decay: factor between the learning rates of a layer and of the
        layer below it; 1: the same rate for all.
      weight_decay: decoupled decay; biases and layer norms are excluded.
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: added to the square root of the second moment.
      clip_norm: largest global norm of the gradient; null: no limit.
      average_decay: of a moving average of the weights, such as 0.999, which
        is then evaluated, exported and fine-tuned; null: none.
    """

    batch_ramp: list[RampStage] | None = None
    warmup_tokens: int | None = None

    @property
    def batch_plan(self) -> BatchPlan:
        """The size of each batch."""
        return BatchPlan(self.batch_size, self.batch_ramp)
