"""How a step learns, and how it is computed: what a TrainingModel is told."""

import dataclasses

from tfbert import numpy_scalars


@dataclasses.dataclass(frozen=True)
class Rule:
    """What becomes of a reduced gradient; another rule, another result.

    Attributes:
      clip_norm: largest global norm of the reduced gradient; None: no limit.
      layer_decay: factor between the learning rates of one layer and of the
        layer below it (see layer_rate); 1: the same rate for all.
      average_decay: of an exponential moving average of the weights, which
        is what is evaluated and saved (see WeightAverage); None: no average.
    """

    clip_norm: float | None = 1.0
    layer_decay: float = 1.0
    average_decay: float | None = None

    def __post_init__(self):
        numpy_scalars.replace_in(self)


@dataclasses.dataclass(frozen=True)
class Execution:
    """How the same update is computed, up to the rounding of sums.

    Attributes:
      accumulation_steps: micro-batches that one step's batch is cut into on
        each replica. Their number does not change the update.
      xla: compile forward and backward pass with XLA. Collectives stay
        outside.
      all_reduce_dtype: in which gradients travel between replicas; bfloat16
        halves what is sent and keeps 8 bits of each. Sums of losses and
        metrics always travel in float32.
      log_gradient_norms: also log the norm of each group of layers, which
        takes one more pass over the gradients.
    """

    accumulation_steps: int = 1
    xla: bool = False
    all_reduce_dtype: str = "float32"
    log_gradient_norms: bool = False

    def __post_init__(self):
        numpy_scalars.replace_in(self)


DEFAULT_RULE = Rule()
DEFAULT_EXECUTION = Execution()
