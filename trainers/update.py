"""The optimizer's update from gradients that are reduced already."""

import keras
import tensorflow as tf


def update_variables(
    optimizer: keras.optimizers.Optimizer,
    variables: list,
    rates: list[float],
    strategy: tf.distribute.Strategy,
    gradients: list,
    factor: tf.Tensor,
    finite: tf.Tensor,
) -> None:
    """Updates every replica's copy of every variable alike.

    Runs in cross-replica context (`merge_call` of a bound optimizer and
    variables). Keras' `apply_gradients` cannot be used: it sums its gradients
    over replicas, here a second time.

    Args:
      optimizer: any Keras optimizer, built on `variables`.
      variables: Keras variables.
      rates: each variable's factor of the learning rate.
      strategy: handed in by merge_call.
      gradients: one for each variable, summed over replicas.
      factor: float32 scalar that clips the gradients.
      finite: bool scalar; when False nothing is updated on any replica.
    """
    base_rate = optimizer.learning_rate

    def update_one(variable, gradient, factor, learning_rate):
        gradient = gradient * tf.cast(factor, gradient.dtype)
        _decay_weights(optimizer, variable, learning_rate)
        optimizer.update_step(gradient, variable, learning_rate)

    def update_all():
        for gradient, variable, rate in zip(
            gradients, variables, rates, strict=True
        ):
            strategy.extended.update(
                variable.value,
                update_one,
                args=(gradient, factor, base_rate * rate),
                group=False,
            )
        return tf.constant(0)

    finite = strategy.experimental_local_results(finite)[0]
    tf.cond(finite, update_all, lambda: tf.constant(0))
    # A skipped step counts: the data and the schedule go on.
    optimizer.iterations.assign_add(1)


def _decay_weights(optimizer, variable, learning_rate):
    """Keras' decoupled decay, which its own optimizers leave to `apply`."""
    decay = getattr(optimizer, "weight_decay", None)
    if decay and optimizer._use_weight_decay(variable):
        rate = tf.cast(learning_rate * decay, variable.dtype)
        variable.assign_sub(variable * rate)
