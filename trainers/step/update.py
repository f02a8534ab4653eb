"""The optimizer's update from gradients that are reduced already."""

import dataclasses
import functools
from collections.abc import Callable

import keras
import tensorflow as tf

from tfbert.optimizers.moments import MomentOptimizer
from trainers.step.averaging import WeightAverage
from trainers.step.loss_scale import LossScale


def check_optimizer(optimizer: keras.optimizers.Optimizer) -> None:
    """Refuses optimizers that do by themselves what the step does.

    Raises:
      ValueError: the optimizer clips, accumulates, averages or scales.
    """
    for setting in ("clipnorm", "global_clipnorm", "clipvalue"):
        if getattr(optimizer, setting, None):
            raise ValueError(
                f"wanted an optimizer that does not clip, got {setting}="
                f"{getattr(optimizer, setting)}; give clip_norm to "
                "TrainingModel, which clips the reduced gradient"
            )
    if getattr(optimizer, "gradient_accumulation_steps", None):
        raise ValueError(
            "wanted an optimizer without gradient_accumulation_steps; "
            "give accumulation_steps to TrainingModel"
        )
    if getattr(optimizer, "use_ema", False):
        raise ValueError(
            "wanted an optimizer without use_ema; give average_decay to "
            "TrainingModel, which evaluates and saves the averages"
        )
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        raise ValueError(
            "wanted an optimizer that takes gradients as they are, got "
            "LossScaleOptimizer, which looks at one replica only"
        )


def scaled(gradients: list, factor: tf.Tensor) -> list:
    """Gradients times a factor; as they are, without a pass, where it is 1.

    Most steps of a run are not clipped.

    Args:
      gradients: dense tensors.
      factor: float32 scalar.
    """

    def product():
        return [g * tf.cast(factor, g.dtype) for g in gradients]

    def same():
        return list(map(tf.identity, gradients))

    return tf.cond(tf.equal(factor, 1.0), same, product)


@dataclasses.dataclass
class Update:
    """Updates every replica's copy of every variable alike.

    Keras' `apply_gradients` cannot be used: it sums its gradients over
    replicas, here a second time.

    Args:
      optimizer: any Keras optimizer, built on what is learnt.
      rate_of: gives a variable's factor of the learning rate.
      average: follows the variables, if there is one.
      loss_scale: adapts to what it is told, if there is one.
    """

    optimizer: keras.optimizers.Optimizer
    rate_of: Callable[[keras.Variable], float]
    average: WeightAverage | None = None
    loss_scale: LossScale | None = None

    def of(self, variables: list[keras.Variable]) -> Callable:
        """The update of these variables alone, for `merge_call`."""
        return functools.partial(self, variables)

    def __call__(
        self,
        variables: list[keras.Variable],
        strategy: tf.distribute.Strategy,
        gradients: list,
        finite: tf.Tensor,
    ) -> None:
        """Runs in cross-replica context: hand it to `merge_call`.

        Args:
          variables: what is updated; the others stay as they are.
          strategy: handed in by merge_call.
          gradients: one for each variable, summed over replicas, unscaled and
            clipped.
          finite: bool scalar; when False nothing is updated on any replica.
        """
        finite = strategy.experimental_local_results(finite)[0]

        def update_all():
            self._update_all(variables, strategy, gradients)
            return tf.constant(0)

        tf.cond(finite, update_all, lambda: tf.constant(0))
        if self.loss_scale is not None:
            self.loss_scale.adapt(finite)
        # A skipped step counts: the data and the schedule go on.
        self.optimizer.iterations.assign_add(1)

    def _update_all(self, variables, strategy, gradients):
        optimizer = self.optimizer
        shared = {}
        if isinstance(optimizer, MomentOptimizer):
            shared = optimizer.shared_terms()
        base_rate = tf.convert_to_tensor(optimizer.learning_rate)
        rates = {1.0: base_rate}

        def update_one(variable, gradient, learning_rate):
            _decay_weights(optimizer, variable, learning_rate)
            optimizer.update_step(gradient, variable, learning_rate, **shared)

        for gradient, variable in zip(gradients, variables, strict=True):
            rate = self.rate_of(variable)
            if rate not in rates:
                rates[rate] = base_rate * rate
            strategy.extended.update(
                variable.value,
                update_one,
                args=(gradient, rates[rate]),
                group=False,
            )
        if self.average is not None:
            self.average.follow(strategy, optimizer.iterations)


def _decay_weights(optimizer, variable, learning_rate):
    """Keras' decoupled decay, which its own optimizers leave to `apply`."""
    decay = getattr(optimizer, "weight_decay", None)
    if decay and optimizer._use_weight_decay(variable):
        rate = tf.cast(learning_rate * decay, variable.dtype)
        variable.assign_sub(variable * rate)
