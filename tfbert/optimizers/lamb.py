"""LAMB (You et al. 2020, "Large batch optimization for deep learning")."""

import keras
from keras import ops

from tfbert import fast_ops
from tfbert.optimizers.moments import MomentOptimizer


@keras.saving.register_keras_serializable("tfbert")
class LAMB(MomentOptimizer):
    """Adam's step, with weight decay inside, scaled layer by layer.

    Algorithm 2 of the paper, with phi the identity. For a variable w with
    gradient g at update t (1 is the first), rate a:

        m = beta_1 m + (1 - beta_1) g
        v = beta_2 v + (1 - beta_2) g^2
        u = (m / (1 - beta_1^t)) / (sqrt(v / (1 - beta_2^t)) + epsilon)
            + weight_decay w
        w = w - a (|w| / |u|) u

    The ratio is 1 where |w| or |u| is 0. Biases and layer norms (see
    `decays`) have neither decay nor ratio, as in the paper's BERT code. Keras'
    own Lamb decays outside of the ratio and cannot leave variables out.

    NVLAMB (Nvidia 2019, "Pretraining BERT with layer-wise adaptive learning
    rates") first divides the gradient by its global norm, over all variables:
    g / |g| is what enters the moments. That takes the place of clipping.

    Args:
      learning_rate: float or schedule.
      weight_decay: decay per update, relative to the learning rate.
      beta_1: memory of the first moment.
      beta_2: memory of the second moment.
      epsilon: added to the square root of the second moment.
      prenormalise: NVLAMB. `apply` does it; who calls `update_step` variable
        by variable must have divided the gradients before.
    """

    def __init__(
        self,
        learning_rate=1e-3,
        *args,
        prenormalise: bool = False,
        name="lamb",
        **options,
    ):
        super().__init__(learning_rate, *args, name=name, **options)
        self.prenormalise = prenormalise

    def apply(self, grads, trainable_variables=None):
        """Updates all variables; see keras.optimizers.Optimizer.apply."""
        if self.prenormalise:
            grads = [fast_ops.densify(gradient) for gradient in grads]
            squares = [ops.sum(ops.square(gradient)) for gradient in grads]
            norm = ops.sqrt(sum(squares))
            factor = ops.where(norm > 0, 1.0 / ops.maximum(norm, 1e-30), 0.0)
            grads = [ops.multiply(gradient, factor) for gradient in grads]
        super().apply(grads, trainable_variables)

    def shared_terms(self) -> dict:
        """1 - beta_1^t and 1 - beta_2^t, float32 scalars."""
        count = ops.cast(self.iterations + 1, "float32")
        return {
            "first_weight": 1.0 - ops.power(self.beta_1, count),
            "second_weight": 1.0 - ops.power(self.beta_2, count),
        }

    def update_step(
        self,
        gradient,
        variable,
        learning_rate,
        first_weight=None,
        second_weight=None,
    ):
        """Updates one variable and its moments.

        Args:
          gradient: of the variable's shape.
          variable: a Keras variable or what is below it, also the component
            of one replica.
          learning_rate: scalar.
          first_weight, second_weight: from `shared_terms`; None: computed
            here.
        """
        if first_weight is None:
            first_weight, second_weight = self.shared_terms().values()
        index = self._get_variable_index(variable)
        first, second = self._first[index], self._second[index]
        dtype = variable.dtype
        gradient = ops.cast(fast_ops.densify(gradient), dtype)

        self.assign_add(first, (gradient - first) * (1.0 - self.beta_1))
        self.assign_add(
            second, (ops.square(gradient) - second) * (1.0 - self.beta_2)
        )
        mean = first / ops.cast(first_weight, dtype)
        square = second / ops.cast(second_weight, dtype)
        update = mean / (ops.sqrt(square) + self.epsilon)
        rate = ops.cast(learning_rate, dtype)
        if self._decays[index]:
            update = update + self.decay * variable
            rate = rate * _trust_ratio(variable, update)
        self.assign_sub(variable, rate * update)

    def get_config(self) -> dict:
        return {**super().get_config(), "prenormalise": self.prenormalise}


def _trust_ratio(variable, update):
    """|w| / |u|, or 1 where either is 0; a scalar."""
    size = ops.sqrt(ops.sum(ops.square(variable)))
    step = ops.sqrt(ops.sum(ops.square(update)))
    defined = ops.logical_and(size > 0, step > 0)
    return ops.where(defined, size / ops.where(defined, step, 1.0), 1.0)
