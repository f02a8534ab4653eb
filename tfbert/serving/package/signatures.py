"""What a SavedModel takes, and requests that fit it.

Legend: B batch, S sequence, K choices.
"""

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

# Name -> what the input, or the output, of that name is.
Inputs = Mapping[str, tf.TensorSpec]

# A word of one token in every vocabulary: of one that lacks it, [UNK].
_WORD = "a"
_CHOICES = 2


def read_model(version: str | os.PathLike) -> saved_model_pb2.SavedModel:
    """The graph of a SavedModel as it lies on the disk."""
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((Path(version) / "saved_model.pb").read_bytes())
    return model


def read_signatures(version: str | os.PathLike) -> dict[str, Inputs]:
    """The inputs of each signature of a SavedModel, by name."""
    return _read(version, "inputs")


def read_outputs(version: str | os.PathLike) -> dict[str, Inputs]:
    """The outputs of each signature of a SavedModel, by name."""
    return _read(version, "outputs")


def _read(version: str | os.PathLike, side: str) -> dict[str, Inputs]:
    graph = read_model(version).meta_graphs[0]
    return {
        name: {
            key: tf.TensorSpec(
                tf.TensorShape(tensor.tensor_shape),
                tf.dtypes.as_dtype(tensor.dtype),
            )
            for key, tensor in sorted(getattr(definition, side).items())
        }
        for name, definition in sorted(graph.signature_def.items())
        if not name.startswith("__")
    }


def request(signatures: Mapping[str, Inputs], name: str, length: int) -> dict:
    """Inputs of one row of about `length` tokens.

    Args:
      signatures: of `read_signatures`.
      name: the signature.
      length: S; at least 4.

    Returns:
      input -> array: bytes or int32.
    """
    inputs = signatures[name]
    if name == "examples":
        return {"examples": np.array([_example(signatures, length)], object)}
    texts = [spec for spec in inputs.values() if spec.dtype == tf.string]
    words = max((length - 2) // max(len(texts), 1), 1)
    return {
        key: _value(key, spec, words, length) for key, spec in inputs.items()
    }


def _value(key: str, spec: tf.TensorSpec, words: int, length: int):
    text = " ".join([_WORD] * words).encode()
    if spec.dtype == tf.string:
        if spec.shape.rank == 1:
            return np.array([text], object)
        row = [_WORD.encode()] * words if key == "words" else [text] * _CHOICES
        return np.array([row], object)
    shape = {
        1: [1],
        2: [1, _CHOICES if key == "choice_mask" else length],
        3: [1, _CHOICES, length],
        4: [1, _CHOICES, 1, length],
    }[spec.shape.rank]
    is_mask = key.endswith("_mask")
    return np.full(shape, 1 if is_mask else 0, spec.dtype.as_numpy_dtype)


def _example(signatures: Mapping[str, Inputs], length: int) -> bytes:
    """A serialized tf.train.Example with the inputs of `serving_default`."""
    features = {}
    for key, value in request(signatures, "serving_default", length).items():
        row = value.reshape(-1).tolist()
        if value.dtype == object:
            feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=row))
        else:
            feature = tf.train.Feature(int64_list=tf.train.Int64List(value=row))
        features[key] = feature
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()
