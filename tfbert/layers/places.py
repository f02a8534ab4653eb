"""Rows of a sequence at given places."""

import keras
from keras import ops

from tfbert import fast_ops


def take_places(
    x: keras.KerasTensor, positions: keras.KerasTensor
) -> keras.KerasTensor:
    """Gathers x [B, S, H] at positions, integers [B, P]: [B, P, H]."""
    batch, length, width = ops.shape(x)
    rows = ops.reshape(x, (-1, width))  # [B S, H]
    starts = ops.multiply(ops.arange(batch, dtype="int32"), length)
    # Not ops.add: on TensorFlow Keras 3.15 takes a column [B, 1] for a bias,
    # and adds it along the wrong axis, whenever B equals P.
    indices = ops.cast(positions, "int32") + starts[:, None]
    return fast_ops.take_rows(rows, indices)
