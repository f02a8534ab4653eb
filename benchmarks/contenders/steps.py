"""What all contenders of a training step share: the batch and the loop."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tfbert.config import BertConfig

LEARNING_RATE, DECAY, EPSILON = 1e-4, 0.01, 1e-6

Run = Callable[[int], float]


def make_batch(
    config: BertConfig, rows: int, length: int, predictions: int
) -> dict[str, np.ndarray]:
    """Returns a batch of the pretraining task with nothing padded."""
    rng = np.random.default_rng(0)
    positions = [
        rng.choice(length, predictions, replace=False) for _ in range(rows)
    ]
    vocabulary, slots = config.vocab_size, (rows, predictions)
    batch = {
        "input_ids": rng.integers(0, vocabulary, (rows, length)),
        "input_mask": np.ones((rows, length)),
        "segment_ids": np.zeros((rows, length)),
        "masked_lm_positions": np.sort(positions, axis=1),
        "masked_lm_ids": rng.integers(0, vocabulary, slots),
    }
    batch = {name: value.astype(np.int32) for name, value in batch.items()}
    return {**batch, "masked_lm_weights": np.ones(slots, np.float32)}


def renamed(batch: dict, names: dict[str, str]) -> dict:
    """The tensors of a batch under the names of another library."""
    return {theirs: tf.constant(batch[ours]) for theirs, ours in names.items()}


def run_step(forward: Callable, variables: list, apply: Callable) -> Run:
    """Compiles a step; returns a function that runs it several times.

    Args:
      forward: takes the number of the step (int32 scalar), returns the loss.
      variables: what is learnt.
      apply: takes the gradients.
    """

    @tf.function
    def step(index):
        with tf.GradientTape() as tape:
            loss = forward(index)
        apply(tape.gradient(loss, variables))
        return loss

    def run(steps: int) -> float:
        for index in range(steps):
            loss = step(tf.constant(index))
        return float(loss.numpy())

    return run


def run_fit(model, *data: tf.Tensor | dict) -> Run:
    """Returns a function that runs `fit` for a number of steps.

    Args:
      model: a compiled keras.Model or tf_keras.Model.
      *data: x, y, sample_weight: what a step sees.
    """
    data = data[0] if len(data) == 1 else data
    batches = tf.data.Dataset.from_tensors(data).repeat()

    def run(steps: int) -> float:
        history = model.fit(
            batches, steps_per_epoch=steps, epochs=1, verbose=0, shuffle=False
        )
        return float(history.history["loss"][-1])

    return run
