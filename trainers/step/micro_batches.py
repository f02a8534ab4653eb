"""Cuts a replica's batch into micro-batches and adds up what they give."""

from collections.abc import Callable

import tensorflow as tf


def accumulate(
    compute: Callable, data: dict, parts: int, seed: tf.Tensor
) -> tuple:
    """Sums `compute` over the micro-batches of `data`.

    Args:
      compute: (batch, dropout_seed) -> nest of tensors, sums all.
      data: batch dict of one replica, [B, ...] each.
      parts: how many micro-batches it is cut into.
      seed: int32 [2]; micro-batch i draws from a seed made of it and i. With
        one part it is used as it is.

    Raises:
      ValueError: `parts` does not divide B.
    """
    if parts == 1:
        return compute(data, seed)
    data = {key: _cut(key, value, parts) for key, value in data.items()}

    def micro_batch(index):
        part = {key: value[index] for key, value in data.items()}
        fold_in = tf.random.experimental.stateless_fold_in
        return compute(part, fold_in(seed, index))

    first = micro_batch(0)

    def body(index, total):
        part = micro_batch(index)
        return index + 1, tf.nest.map_structure(tf.add, total, part)

    _, total = tf.while_loop(
        lambda index, _: index < parts, body, (tf.constant(1), first)
    )
    return total


def _cut(key, value, parts):
    """[B, ...] -> [parts, B / parts, ...]."""
    size = value.shape[0]
    if size is None or size % parts:
        raise ValueError(
            f"wanted a batch per replica that accumulation_steps={parts} "
            f"divides, got {key} of shape {value.shape}"
        )
    # Windows of texts may be more or less from batch to batch.
    rest = tf.shape(value)[1:]
    cut = tf.reshape(value, tf.concat([[parts, size // parts], rest], 0))
    return tf.ensure_shape(cut, [parts, size // parts, *value.shape[1:]])
