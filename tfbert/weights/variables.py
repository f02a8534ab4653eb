"""Weights at rest: safetensors or HDF5; a name is the way to a variable."""

import os
from pathlib import Path

import keras
import numpy as np

from tfbert import files
from tfbert.errors import UserError
from tfbert.weights import hdf5_files, safetensors_files
from tfbert.weights.safetensors_files import to_bytes

HDF5_SUFFIX = ".weights.h5"


def named_variables(layer: keras.layers.Layer) -> dict[str, keras.Variable]:
    """Returns the layer's weights by their names relative to it.

    In a task: "encoder/block_0/attention/query_key_value/kernel"; in an
    encoder by itself: "block_0/attention/query_key_value/kernel".

    Raises:
      ValueError: two variables of the layer have one name.
    """
    prefix = f"{layer.path}/" if layer.path else ""
    named = {}
    for variable in layer.weights:
        name = variable.path.removeprefix(prefix)
        if name in named:
            raise ValueError(
                f"{layer.name} has two variables with the name {name!r}; give "
                "its sublayers different names"
            )
        named[name] = variable
    return named


def arrays_of(variables: dict[str, keras.Variable]) -> dict[str, np.ndarray]:
    """Returns the variables' values by name, as safetensors wants them."""
    return {
        # ascontiguousarray would turn a scalar into an array of one axis.
        name: np.asarray(keras.ops.convert_to_numpy(variable), order="C")
        for name, variable in variables.items()
    }


def save_weights(
    layer: keras.layers.Layer, path: str | os.PathLike, prefix: str = ""
) -> None:
    """Writes the layer's weights, whole or not at all.

    Args:
      layer: any Keras layer.
      path: of the file: HDF5 where it ends in ".weights.h5", otherwise
        safetensors.
      prefix: put before every name, for example "encoder/".
    """
    tensors = {
        prefix + name: value
        for name, value in arrays_of(named_variables(layer)).items()
    }
    if str(path).endswith(HDF5_SUFFIX):
        data = hdf5_files.to_bytes(tensors)
    else:
        data = to_bytes(tensors)
    files.write_file(path, data)


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all tensors of a safetensors or .weights.h5 file.

    Raises:
      UserError: the file is missing, cut short or contradicts itself.
    """
    if str(path).endswith(HDF5_SUFFIX):
        return hdf5_files.read(Path(path))
    return safetensors_files.read_file(path)


def load_weights(
    layer: keras.layers.Layer, path: str | os.PathLike, prefix: str = ""
) -> None:
    """Sets all of the layer's weights from a file; nothing may be left over.

    Args:
      layer: any Keras layer.
      path: of a safetensors or .weights.h5 file.
      prefix: only tensors whose names start with it are looked at; it is cut
        off. "encoder/" reads the encoder out of a task's file.

    Raises:
      UserError: names or shapes differ; every difference is listed, and no
        variable was changed.
    """
    tensors = {
        name.removeprefix(prefix): value
        for name, value in read_tensors(path).items()
        if name.startswith(prefix)
    }
    assign_tensors(named_variables(layer), tensors, source=path)


def assign_tensors(
    variables: dict[str, keras.Variable],
    tensors: dict[str, np.ndarray],
    source: str | os.PathLike,
) -> None:
    """Sets variables from tensors of the same names; nothing may be left over.

    Args:
      variables: what is set, by name.
      tensors: the new values, by the same names.
      source: where they come from, for the message.

    Raises:
      UserError: names, shapes or kinds differ; every difference is listed,
        and no variable was changed.
    """
    problems = _differences(variables, tensors)
    if problems:
        raise UserError(
            f"the weights in {source} do not fit the model:\n  "
            + "\n  ".join(problems)
            + "\nUse the config that they were written with."
        )
    for name, variable in variables.items():
        variable.assign(tensors[name])


def _differences(variables: dict, tensors: dict) -> list[str]:
    problems = [
        f"missing: {name} {list(variables[name].shape)}"
        for name in variables
        if name not in tensors
    ]
    for name, value in tensors.items():
        if name not in variables:
            problems.append(f"not in the model: {name} {list(value.shape)}")
        elif tuple(value.shape) != tuple(variables[name].shape):
            problems.append(
                f"another shape: {name} wants {list(variables[name].shape)}, "
                f"the file has {list(value.shape)}"
            )
        elif _is_whole(variables[name].dtype) != _is_whole(value.dtype):
            problems.append(
                f"another kind: {name} wants {variables[name].dtype}, the file "
                f"has {value.dtype}"
            )
    return problems


def _is_whole(dtype) -> bool:
    return str(dtype).lstrip("u").startswith("int")
