"""AdamW (Loshchilov & Hutter 2019) with BERT's exclusions."""

import math

import keras
import numpy as np
from keras import ops

from tfbert import fast_ops
from tfbert.optimizers.moments import MomentOptimizer


@keras.saving.register_keras_serializable("tfbert")
class AdamW(MomentOptimizer):
    """Adam with decoupled weight decay, all of it in `update_step`.

    For a variable w with gradient g at update t (1 is the first), rate a:

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        w = w - a weight_decay w                    unless w is excluded
        w = w - a c m / (sqrt(v) + epsilon)

    with c = sqrt(1 - beta_2^t) / (1 - beta_1^t), or 1 without
    `bias_correction` (BERT's own optimizer had none). As in TensorFlow's and
    Model Garden's Adam, epsilon is "epsilon hat" of Kingma & Ba 2015, section
    2. Decay leaves out biases and layer norms (see `decays`).

    Args:
      learning_rate: float or schedule.
      weight_decay: decay per update, relative to the learning rate.
      beta_1: memory of the first moment.
      beta_2: memory of the second moment.
      epsilon: added to the square root of the second moment.
      bias_correction: whether moments are corrected for starting at 0.
    """

    def __init__(
        self,
        learning_rate=1e-4,
        weight_decay: float = 0.01,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-6,
        bias_correction: bool = True,
        name: str = "adamw",
        **options,
    ):
        super().__init__(
            learning_rate,
            weight_decay,
            beta_1,
            beta_2,
            epsilon,
            name=name,
            **options,
        )
        self.bias_correction = bias_correction
        # The update computes with float32 betas: so must the correction, or
        # it would not cancel their rounding.
        self._betas = {
            "beta_1": float(np.float32(beta_1)),
            "beta_2": float(np.float32(beta_2)),
        }

    def update_step(self, gradient, variable, learning_rate, correction=None):
        """Updates one variable and its moments.

        Args:
          gradient: of the variable's shape.
          variable: a Keras variable or what is below it, also the component
            of one replica.
          learning_rate: scalar.
          correction: c, from `shared_terms`; None: computed here.
        """
        if correction is None:
            correction = self.shared_terms()["correction"]
        index = self._get_variable_index(variable)
        first, second = self._first[index], self._second[index]
        dtype = variable.dtype
        rate = ops.cast(learning_rate, dtype)
        gradient = ops.cast(fast_ops.densify(gradient), dtype)

        if self.decay and self._decays[index]:
            self.assign_sub(variable, variable * (rate * self.decay))
        fast_ops.adam_step(
            variable,
            first,
            second,
            gradient,
            rate * ops.cast(correction, dtype),
            {**self._betas, "epsilon": self.epsilon},
        )

    def shared_terms(self) -> dict:
        """The bias correction c, float32 scalar."""
        if not self.bias_correction:
            return {"correction": ops.ones((), "float32")}
        count = ops.cast(self.iterations + 1, "float32")
        first = _one_minus_power(self._betas["beta_1"], count)
        second = _one_minus_power(self._betas["beta_2"], count)
        return {"correction": ops.sqrt(second) / first}

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "bias_correction": self.bias_correction,
        }


def _one_minus_power(beta: float, count):
    """1 - beta^count, as -expm1(count log beta).

    With count = 1 and beta = 0.999 the difference in float32 would be off by
    3e-5 of its value.
    """
    if beta == 0.0:
        return ops.ones_like(count)
    return -ops.expm1(count * math.log(beta))
