"""Which numbers each setting of a run may have.

Looked at before TensorFlow is imported, so that a slip costs no waiting. What
depends on the data, the devices or another setting is checked where that is
known (trainers/run/run_setup.py).
"""

import dataclasses
import math
from collections.abc import Iterator

from tfbert import numpy_scalars
from tfbert.errors import UserError


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`; an open end leaves out the end itself.

    Args:
      low: the lower end.
      high: the upper end.
      low_open: whether `low` itself is left out.
      high_open: whether `high` itself is left out.
    """

    low: float
    high: float = math.inf
    low_open: bool = False
    high_open: bool = False

    def __contains__(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        above = value > self.low if self.low_open else value >= self.low
        below = value < self.high if self.high_open else value <= self.high
        return above and below

    def __str__(self) -> str:
        low = f"above {self.low:g}" if self.low_open else f"from {self.low:g}"
        if self.high == math.inf:
            return low
        to = "to below" if self.high_open else "to"
        if self.low_open:
            to = "and below" if self.high_open else "and up to"
        return f"{low} {to} {self.high:g}"


POSITIVE = Range(0, low_open=True)
NOT_NEGATIVE = Range(0)
BELOW_ONE = Range(0, 1, high_open=True)

# Lengths of averages, in Adam's sense, need a decay below 1: at 1 the moments
# stay zero for ever.
RANGES = {
    "seeds": POSITIVE,
    "model.hidden_dropout_prob": BELOW_ONE,
    "model.attention_probs_dropout_prob": BELOW_ONE,
    "data.evaluation_rows": POSITIVE,
    "data.max_length": POSITIVE,
    "data.max_windows": POSITIVE,
    "data.window_overlap": NOT_NEGATIVE,
    "data.temperature": POSITIVE,
    "data.final_masking_rate": Range(0, 0.9, low_open=True),
    "optimization.batch_size": POSITIVE,
    "optimization.accumulation_steps": POSITIVE,
    "optimization.epochs": POSITIVE,
    "optimization.steps": POSITIVE,
    "optimization.learning_rate": POSITIVE,
    "optimization.warmup_steps": NOT_NEGATIVE,
    "optimization.warmup_tokens": NOT_NEGATIVE,
    "optimization.warmup_share": BELOW_ONE,
    "optimization.decay_share": Range(0, 1, low_open=True),
    "optimization.layer_decay": POSITIVE,
    "optimization.weight_decay": NOT_NEGATIVE,
    "optimization.beta_1": BELOW_ONE,
    "optimization.beta_2": BELOW_ONE,
    "optimization.epsilon": POSITIVE,
    "optimization.clip_norm": POSITIVE,
    "optimization.average_decay": Range(0, 1, low_open=True, high_open=True),
    "runtime.devices": POSITIVE,
    "runtime.start_timeout": POSITIVE,
    "runtime.stall_timeout": POSITIVE,
    "runtime.steps_per_loop": POSITIVE,
    "runtime.evaluation_batch_size": POSITIVE,
    "runtime.evaluate_every": POSITIVE,
    "runtime.checkpoint_every": POSITIVE,
    "runtime.keep_checkpoints": POSITIVE,
    "runtime.keep_best": NOT_NEGATIVE,
    "runtime.log_every": POSITIVE,
    "runtime.max_skipped": POSITIVE,
    "runtime.early_stopping": POSITIVE,
    # A median and a deviation of fewer losses say nothing.
    "runtime.spike.window": Range(8),
    "runtime.spike.threshold": POSITIVE,
}


def check_ranges(settings) -> None:
    """Raises UserError for a number that its setting cannot have.

    Args:
      settings: all settings of a run, a dataclass of sections; a number that
        is None is left to what fills it in. NumPy's numbers become Python's,
        which can be written.

    Raises:
      UserError: names the setting, what was wanted and what came.
    """
    numpy_scalars.replace_in(settings)
    for name, value in _numbers(settings):
        check_number(name, value)


def check_number(name: str, value: float) -> None:
    """Raises UserError if the setting `name` cannot have this value."""
    wanted = RANGES.get(name)
    if wanted is not None and value not in wanted:
        raise UserError(f"wanted {name} {wanted}, got {value}")


def _numbers(settings, prefix: str = "") -> Iterator[tuple[str, float]]:
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        name = prefix + field.name
        if dataclasses.is_dataclass(value):
            yield from _numbers(value, name + ".")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value
