"""Requests that TF Serving asks a version before it gets any other.

The first request of a signature and shape is slow: memory is laid out,
kernels are chosen. TF Serving plays back what lies in assets.extra before it
calls a version ready ("SavedModel Warmup" in its documentation).
"""

import os
from pathlib import Path

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tfbert.serving.package.signatures import read_signatures, request

# The name that TF Serving looks for.
FILE = "assets.extra/tf_serving_warmup_requests"
_SHORTEST = 16


def length_buckets(max_length: int) -> list[int]:
    """Powers of two from 16 on that are below `max_length`, and itself."""
    lengths, length = [], _SHORTEST
    while length < max_length:
        lengths.append(length)
        length *= 2
    return [*lengths, max_length]


def write_warmup(version: str | os.PathLike, max_length: int) -> int:
    """Writes a request for each signature and length; returns their number.

    Args:
      version: folder of a SavedModel.
      max_length: the longest sequence that the model takes, in tokens.
    """
    signatures = read_signatures(version)
    path = Path(version) / FILE
    path.parent.mkdir(exist_ok=True)
    count = 0
    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for name in signatures:
            for length in length_buckets(max_length):
                asked = predict_pb2.PredictRequest()
                asked.model_spec.signature_name = name
                for key, value in request(signatures, name, length).items():
                    tensor = tf.make_tensor_proto(value)
                    asked.inputs[key].CopyFrom(tensor)
                log = prediction_log_pb2.PredictionLog(
                    predict_log=prediction_log_pb2.PredictLog(request=asked)
                )
                writer.write(log.SerializeToString())
                count += 1
    return count
