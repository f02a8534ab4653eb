"""AdamW (Loshchilov & Hutter 2019) with BERT's exclusions."""

import math

import keras
import numpy as np
from keras import ops

from tfbert import kernels
from tfbert.optimizers.decay import decays


@keras.saving.register_keras_serializable("tfbert")
class AdamW(keras.optimizers.Optimizer):
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

    `update_step` may be called for each variable by itself, also inside
    `strategy.extended.update`, on gradients that were reduced and clipped
    before. Who does so increments `iterations` once per update.

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
        # Keras' own weight_decay would run outside of update_step.
        super().__init__(
            learning_rate=learning_rate, weight_decay=None, name=name, **options
        )
        self.decay = weight_decay
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.bias_correction = bias_correction
        # The update computes with float32 betas: so must the correction, or
        # it would not cancel their rounding.
        self._betas = {
            "beta_1": float(np.float32(beta_1)),
            "beta_2": float(np.float32(beta_2)),
        }

    def build(self, variables):
        """Creates both moments of every variable."""
        if self.built:
            return
        super().build(variables)
        self._first = self.add_optimizer_variables(variables, "first_moment")
        self._second = self.add_optimizer_variables(variables, "second_moment")
        self._decays = [decays(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        """Updates one variable and its moments.

        Args:
          gradient: of the variable's shape.
          variable: a Keras variable or what is below it, also the component
            of one replica.
          learning_rate: scalar.
        """
        index = self._get_variable_index(variable)
        first, second = self._first[index], self._second[index]
        dtype = variable.dtype
        rate = ops.cast(learning_rate, dtype)
        gradient = ops.cast(kernels.dense(gradient), dtype)

        if self.decay and self._decays[index]:
            self.assign_sub(variable, variable * (rate * self.decay))
        kernels.adam_step(
            variable,
            first,
            second,
            gradient,
            rate * self._correction(dtype),
            {**self._betas, "epsilon": self.epsilon},
        )

    def _correction(self, dtype):
        if not self.bias_correction:
            return ops.ones((), dtype)
        count = ops.cast(self.iterations + 1, dtype)
        # 1 - beta^t as -expm1(t log beta): with t = 1 and beta = 0.999 the
        # difference in float32 would be off by 3e-5 of its value.
        first = -ops.expm1(count * math.log(self._betas["beta_1"]))
        second = -ops.expm1(count * math.log(self._betas["beta_2"]))
        return ops.sqrt(second) / first

    def get_config(self) -> dict:
        config = super().get_config()
        config.update(
            weight_decay=self.decay,
            beta_1=self.beta_1,
            beta_2=self.beta_2,
            epsilon=self.epsilon,
            bias_correction=self.bias_correction,
        )
        return config
