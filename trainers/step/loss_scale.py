"""Dynamic loss scaling for float16, decided on the reduced gradient."""

import keras
import tensorflow as tf

GROWTH_STEPS = 2000
SMALLEST = 1.0
LARGEST = 2.0**24


class LossScale:
    """A power of two that keeps float16 gradients away from 0 and infinity.

    Micikevicius et al. 2018, section 3.2: the loss is multiplied by the scale
    before the backward pass, the reduced gradient is divided by it. A gradient
    that is not finite halves the scale, and its step is skipped;
    `growth_steps` finite ones in a row double it. What is looked at is the
    gradient summed over all replicas, so that they decide alike. Multiplying
    by a power of two is exact.

    Create it in the strategy's scope. Its two variables are part of a
    checkpoint.

    Args:
      initial: the scale to begin with.
      growth_steps: finite steps in a row before the scale grows.

    Attributes:
      scale: variable, float32.
      finite_steps: variable, int32: finite steps since the scale changed.

    Raises:
      ValueError: the initial scale is not within the bounds.
    """

    def __init__(
        self, initial: float = 2.0**15, growth_steps: int = GROWTH_STEPS
    ):
        if not SMALLEST <= initial <= LARGEST:
            raise ValueError(
                f"wanted a loss scale from {SMALLEST:g} to {LARGEST:g}, got "
                f"{initial}"
            )
        self.growth_steps = growth_steps
        options = {"trainable": False, "aggregation": "only_first_replica"}
        self.scale = keras.Variable(
            initial, dtype="float32", name="loss_scale", **options
        )
        self.finite_steps = keras.Variable(
            0, dtype="int32", name="finite_steps", **options
        )

    def variables(self) -> dict[str, keras.Variable]:
        """The state by the names that it has in a checkpoint."""
        return {
            "loss_scale/scale": self.scale,
            "loss_scale/finite_steps": self.finite_steps,
        }

    def at_smallest(self) -> tf.Tensor:
        """Whether the scale can fall no further, a bool scalar."""
        return tf.convert_to_tensor(self.scale.value) <= SMALLEST

    def adapt(self, finite: tf.Tensor) -> None:
        """Grows or halves the scale, in cross-replica context.

        Args:
          finite: bool scalar, whether the step's gradient was.
        """
        scale = tf.convert_to_tensor(self.scale.value)
        steps = tf.convert_to_tensor(self.finite_steps.value) + 1
        grow = steps >= self.growth_steps
        grown = tf.where(grow, tf.minimum(scale * 2.0, LARGEST), scale)
        halved = tf.maximum(scale * 0.5, SMALLEST)
        self.scale.assign(tf.where(finite, grown, halved))
        self.finite_steps.assign(
            tf.where(finite & ~grow, steps, tf.zeros_like(steps))
        )
