"""An exponential moving average of the weights.

Evaluations, best weights, checkpoints' model.safetensors and so exports and
fine-tuning use the averages; the weights that are trained lie beside the
optimizer's state. `swapped` exchanges the two for as long as somebody looks.
"""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


class WeightAverage:
    """The average of every variable over the updates so far.

    Polyak & Juditsky 1992, in the exponential form that Adam's authors use
    (Kingma & Ba 2015, section 7.2): after update t (1 is the first)

        average = d average + (1 - d) weight,  d = min(decay, t / (9 + t)).

    The bound on d is that of `tf.train.ExponentialMovingAverage`: it lets the
    average forget the weights that training began with. A skipped update
    leaves it alone.

    Create it in the strategy's scope.

    Args:
      variables: Keras variables to follow.
      decay: d in the long run; the average spans about 1 / (1 - d) updates.

    Raises:
      ValueError: the decay is not between 0 and 1.
    """

    def __init__(self, variables: list[keras.Variable], decay: float):
        if not 0 < decay < 1:
            raise ValueError(
                f"wanted an average_decay between 0 and 1, got {decay}"
            )
        self.decay = decay
        self.variables = list(variables)
        self.averages = [
            keras.Variable(
                keras.initializers.Zeros(),
                shape=variable.shape,
                dtype=variable.dtype,
                trainable=False,
                autocast=False,
                name="average",
            )
            for variable in self.variables
        ]

    def reset(self) -> None:
        """Begins with the weights as they are."""
        for variable, average in self._pairs():
            average.assign(_value(variable))

    def follow(self, strategy, iterations) -> None:
        """Takes an update into the averages, in cross-replica context.

        Args:
          strategy: whose replicas hold the variables.
          iterations: updates before this one.
        """
        count = tf.cast(tf.convert_to_tensor(iterations.value), tf.float32)
        rate = 1.0 - tf.minimum(self.decay, (1.0 + count) / (10.0 + count))

        def follow_one(average, variable):
            share = tf.cast(rate, average.dtype)
            average.assign_add((variable - average) * share)

        for variable, average in self._pairs():
            strategy.extended.update(
                average.value, follow_one, args=(variable.value,), group=False
            )

    def swap(self) -> None:
        """Exchanges weights and averages; twice is as before, bit by bit."""
        for variable, average in self._pairs():
            weight = _value(variable)
            variable.assign(_value(average))
            average.assign(weight)

    @contextlib.contextmanager
    def swapped(self) -> Iterator[None]:
        """The averages stand in the variables' place inside."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    def _pairs(self):
        return zip(self.variables, self.averages, strict=True)


def _value(variable: keras.Variable) -> tf.Tensor:
    return tf.identity(tf.convert_to_tensor(variable.value))
