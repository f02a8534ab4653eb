"""TensorFlow checkpoints by names, read and written."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError

# What TensorFlow raises for files that are missing, cut short or damaged.
_FAULTS = (tf.errors.OpError, ValueError, IndexError, RuntimeError)


def list_names(prefix: str) -> dict[str, list[int]]:
    """The names and shapes in a checkpoint.

    Raises:
      UserError: it cannot be read.
    """
    return _open(prefix).get_variable_to_shape_map()


def _open(prefix: str):
    try:
        return tf.train.load_checkpoint(prefix)
    except _FAULTS as error:
        raise UserError(
            f"cannot read the checkpoint {prefix}: {error}; wanted "
            f"{Path(prefix).name}.index and .data-00000-of-00001, whole"
        ) from error


def read(prefix: str, ignore=lambda name: False) -> dict[str, np.ndarray]:
    """The tensors of a checkpoint by name.

    Args:
      prefix: path without ".index".
      ignore: name -> whether it is left out, unread.

    Raises:
      UserError: a file is missing, cut short or damaged.
    """
    reader = _open(prefix)
    tensors = {}
    for name in sorted(reader.get_variable_to_shape_map()):
        if ignore(name):
            continue
        try:
            value = reader.get_tensor(name)
        except _FAULTS as error:
            raise UserError(
                f"{prefix}: the tensor {name} cannot be read ({error}); copy "
                "the checkpoint again"
            ) from error
        if isinstance(value, np.ndarray):
            tensors[name] = value
    return tensors


def write(prefix: str, tensors: dict[str, np.ndarray]) -> None:
    """Writes a checkpoint that is read by names, as TensorFlow 1 wrote it."""
    names = sorted(tensors)
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[name]) for name in names],
        )
