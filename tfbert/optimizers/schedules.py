"""Learning-rate schedules: functions of the number of updates made.

All of them warm up, in a straight line, and then fall; they differ in how.
"""

import math

import keras
from keras import ops

from tfbert.errors import UserError


class WarmupSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """Up in a straight line, then down by `fall`, which a subclass gives.

    Update s (0 is the first) uses `learning_rate` times the smaller of
    rise((s + 1) / warmup_steps) and fall(p), where rise(x) = x and
    p = (s - warmup_steps) / (total_steps - warmup_steps), kept within 0 and
    1, is the share of the way down that is done. No update before
    `total_steps` has p = 1.

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

    def rise(self, progress):
        """The share of the peak rate on the way up, at 0 to 1 of it."""
        return progress

    def fall(self, progress):
        """The share of the peak rate at `progress` (float32, 0 to 1)."""
        raise NotImplementedError(f"{type(self).__name__} must define fall()")

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rest = float(self.total_steps - self.warmup_steps)
        progress = (step - self.warmup_steps) / rest
        factor = self.fall(ops.minimum(ops.maximum(progress, 0.0), 1.0))
        if self.warmup_steps:
            up = ops.minimum((step + 1.0) / self.warmup_steps, 1.0)
            factor = ops.minimum(self.rise(up), factor)
        return ops.multiply(factor, self.learning_rate)

    def get_config(self) -> dict:
        return {
            "learning_rate": self.learning_rate,
            "warmup_steps": self.warmup_steps,
            "total_steps": self.total_steps,
        }


@keras.saving.register_keras_serializable("tfbert")
class WarmupLinearDecay(WarmupSchedule):
    """Down in a straight line to 0 (Devlin et al. 2018, A.2)."""

    def fall(self, progress):
        return 1.0 - progress


@keras.saving.register_keras_serializable("tfbert")
class WarmupCosineDecay(WarmupSchedule):
    """Down by half a cosine to 0 (Loshchilov & Hutter 2017, eq. 5)."""

    def fall(self, progress):
        return 0.5 * (1.0 + ops.cos(math.pi * progress))


@keras.saving.register_keras_serializable("tfbert")
class WarmupPolynomialDecay(WarmupSchedule):
    """Down by (1 - p)^2 to 0."""

    def fall(self, progress):
        return ops.square(1.0 - progress)


@keras.saving.register_keras_serializable("tfbert")
class WarmupInverseSquareRoot(WarmupSchedule):
    """Down by the square root of the number of updates.

    Vaswani et al. 2017, section 5.3; it does not end at 0, so that a run can
    be made longer without being made anew. Without warm-up it falls from the
    first update on.
    """

    def fall(self, progress):
        first = max(self.warmup_steps, 1)
        rest = self.total_steps - self.warmup_steps
        # p rest updates have been made since the top.
        return ops.rsqrt(1.0 + progress * (rest / first))


@keras.saving.register_keras_serializable("tfbert")
class WarmupOneCycle(WarmupSchedule):
    """One cycle: from a 25th up to the peak, then down to almost nothing.

    Smith & Topin 2018, section 3, with the proportions that fastai made usual
    (also PyTorch's OneCycleLR): up in a straight line from 1/25 of the peak,
    and down by half a cosine to 1/250,000 of it. The way up is long, a third
    or so of all steps. Momentum does not cycle here.
    """

    first_share = 1 / 25
    last_share = 1 / 250_000

    def rise(self, progress):
        return self.first_share + (1.0 - self.first_share) * progress

    def fall(self, progress):
        cosine = 0.5 * (1.0 + ops.cos(math.pi * progress))
        return self.last_share + (1.0 - self.last_share) * cosine


# Of WarmupStableDecay, where nobody says.
DECAY_SHARE = 0.2


def decay_steps(decay_share: float, total_steps: int) -> int:
    """The updates of WarmupStableDecay's decay, one at least."""
    return max(1, round(decay_share * total_steps))


@keras.saving.register_keras_serializable("tfbert")
class WarmupStableDecay(WarmupSchedule):
    """The peak rate for most of the run, then down to 0 (Hu et al. 2024).

    The last `decay_share` of all updates decay, by 1 - sqrt(share of the decay
    done) (Hägele et al. 2024, section 4, where it ends lower than a straight
    line). What comes before does not depend on where the run ends, so one run
    can be ended in several places: see `pretrain --branch`.

    Args:
      learning_rate, warmup_steps, total_steps: see WarmupSchedule.
      decay_share: above 0; the decay begins after warm-up.

    Raises:
      UserError: as WarmupSchedule; the decay would begin during warm-up.
    """

    def __init__(
        self,
        learning_rate: float,
        warmup_steps: int,
        total_steps: int,
        decay_share: float = DECAY_SHARE,
    ):
        super().__init__(learning_rate, warmup_steps, total_steps)
        self.decay_share = decay_share
        self.decay_steps = decay_steps(decay_share, total_steps)
        if not 0 < decay_share <= 1 or (
            self.decay_steps > total_steps - warmup_steps
        ):
            raise UserError(
                "wanted optimization.decay_share above 0, and a decay that "
                f"begins after warm-up, got {decay_share:g} of {total_steps} "
                f"steps, {warmup_steps} of them warm-up"
            )

    def fall(self, progress):
        rest = self.total_steps - self.warmup_steps
        # Whole steps: of a rounding error the root would be no small one.
        behind = ops.round(progress * rest) - (rest - self.decay_steps)
        return 1.0 - ops.sqrt(ops.maximum(behind / self.decay_steps, 0.0))

    def get_config(self) -> dict:
        return {**super().get_config(), "decay_share": self.decay_share}


# Names in the settings.
SCHEDULES: dict[str, type[WarmupSchedule]] = {
    "linear": WarmupLinearDecay,
    "cosine": WarmupCosineDecay,
    "polynomial": WarmupPolynomialDecay,
    "inverse_sqrt": WarmupInverseSquareRoot,
    "one_cycle": WarmupOneCycle,
    "stable_decay": WarmupStableDecay,
}
