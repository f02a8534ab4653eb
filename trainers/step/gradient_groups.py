"""Gradient norms by group of layers: embeddings, each block, heads."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from tfbert.optimizers.layer_decay import layer_group

PREFIX = "gradient_norm/"


def group_norms(
    gradients: Sequence[tf.Tensor], variables: Sequence[keras.Variable]
) -> dict[str, tf.Tensor]:
    """The global norm of each group's gradients.

    Its squares add up to the square of the whole norm.

    Args:
      gradients: one for each variable, reduced over replicas.
      variables: of a task.

    Returns:
      "gradient_norm/GROUP" -> float32 scalar.
    """
    groups: dict[str, list[tf.Tensor]] = {}
    for gradient, variable in zip(gradients, variables, strict=True):
        groups.setdefault(layer_group(variable.path), []).append(gradient)
    return {
        f"{PREFIX}{name}": tf.linalg.global_norm(group)
        for name, group in groups.items()
    }
