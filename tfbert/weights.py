"""Weights at rest: safetensors, with names that are the way to a variable."""

import os
import re
from pathlib import Path

import keras
import numpy as np
import safetensors
import safetensors.numpy

from tfbert import atomic
from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
_CHECKPOINT = re.compile(r"step-(\d+)")


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
      path: of the safetensors file.
      prefix: put before every name, for example "encoder/".
    """
    tensors = {
        prefix + name: value
        for name, value in arrays_of(named_variables(layer)).items()
    }
    atomic.write_file(path, safetensors.numpy.save(tensors))


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """Reads all tensors of a safetensors file.

    Raises:
      UserError: the file is missing, cut short or not safetensors.
    """
    try:
        return safetensors.numpy.load_file(path)
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path}: {error.strerror or error}"
        ) from error
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise UserError(
            f"{path} is not a whole safetensors file ({error}); copy it again"
        ) from error


def load_weights(
    layer: keras.layers.Layer, path: str | os.PathLike, prefix: str = ""
) -> None:
    """Sets all of the layer's weights from a file; nothing may be left over.

    Args:
      layer: any Keras layer.
      path: of the safetensors file.
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


def load_encoder(path: str | os.PathLike, dtype=None) -> BertEncoder:
    """Loads an encoder from a folder.

    Args:
      path: a run (config.json and checkpoints/step-NNNNNNNN; the newest is
        read) or a folder with config.json and model.safetensors.
      dtype: Keras dtype or policy of the encoder.

    Raises:
      UserError: the folder holds no encoder, or its weights do not fit its
        config.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}; wanted a run of `tfbert pretrain` or a "
            f"folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    if not (folder / CONFIG_FILE).is_file():
        raise UserError(
            f"{folder} has no {CONFIG_FILE}; wanted a run of `tfbert pretrain` "
            f"or a folder with {CONFIG_FILE} and {WEIGHTS_FILE}"
        )
    weights = newest_weights(folder)
    config = BertConfig.from_json(folder / CONFIG_FILE)
    encoder = BertEncoder(config, dtype=dtype)
    load_weights(encoder, weights, prefix="encoder/")
    return encoder


def newest_weights(folder: Path) -> Path:
    """The weights file of a run's newest checkpoint, or of a folder.

    Raises:
      UserError: there is none.
    """
    steps = {
        int(match[1]): entry / WEIGHTS_FILE
        for entry in (folder / "checkpoints").glob("step-*")
        if (match := _CHECKPOINT.fullmatch(entry.name))
        and (entry / WEIGHTS_FILE).is_file()
    }
    if steps:
        return steps[max(steps)]
    if (folder / WEIGHTS_FILE).is_file():
        return folder / WEIGHTS_FILE
    raise UserError(
        f"{folder} holds no weights: neither checkpoints/step-*/{WEIGHTS_FILE} "
        f"nor {WEIGHTS_FILE}"
    )
