"""Learning-rate schedules: functions of the number of updates made."""

import keras
from keras import ops

from tfbert.errors import UserError


@keras.saving.register_keras_serializable("tfbert")
class WarmupLinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Up in a straight line, down in another (Devlin et al. 2018, A.2).

    Update s (0 is the first) uses `learning_rate` times the smaller of
    (s + 1) / warmup_steps and (total_steps - s) / (total_steps -
    warmup_steps), never below 0: no update is made with a rate of 0 before
    `total_steps`.

    Args:
      learning_rate: the highest rate.
      warmup_steps: updates on the way up; 0 starts at the top.
      total_steps: updates in all.

    Raises:
      UserError: a number of steps that leaves nothing to train with.
    """

    def __init__(
        self, learning_rate: float, warmup_steps: int, total_steps: int
    ):
        super().__init__()
        if not 0 <= warmup_steps < total_steps:
            raise UserError(
                "warmup_steps must be at least 0 and below total_steps, got "
                f"warmup_steps={warmup_steps}, total_steps={total_steps}"
            )
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rest = float(self.total_steps - self.warmup_steps)
        factor = (self.total_steps - step) / rest
        if self.warmup_steps:
            factor = ops.minimum((step + 1.0) / self.warmup_steps, factor)
        factor = ops.minimum(ops.maximum(factor, 0.0), 1.0)
        return ops.multiply(factor, self.learning_rate)

    def get_config(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }
