"""Asks exports through the C API, in a process of its own."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.serving.package.signatures import read_model

CLIENT = Path(__file__).parent / "c_api_client.py"


def ask(requests: dict, folder: Path) -> dict:
    """The answers of `ask_with_peaks`."""
    return ask_with_peaks(requests, folder)[0]


def ask_with_peaks(requests: dict, folder: Path) -> tuple[dict, dict]:
    """Asks exports, all in one process without Python TensorFlow.

    Args:
      requests: folder of a SavedModel -> key -> (signature, name of an input
        -> array); strings are bytes.
      folder: where the question is written.

    Returns:
      The same nesting, with name of an output -> array; of a request that
      fails, the message. And key -> bytes that the process had at most until
      then.
    """
    asked = {
        str(version): {
            key: _request(_signatures(version)[signature], inputs)
            for key, (signature, inputs) in of_version.items()
        }
        for version, of_version in requests.items()
    }
    path = folder / "requests.json"
    path.write_text(json.dumps(asked), encoding="utf-8")
    site_packages = Path(tf.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, str(CLIENT), str(site_packages), str(path)],
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    answers = {
        version: {
            key: _answer(outputs)
            for key, (outputs, _) in found[str(version)].items()
        }
        for version in requests
    }
    peaks = {
        key: peak
        for of_version in found.values()
        for key, (_, peak) in of_version.items()
    }
    return answers, peaks


def _signatures(version):
    return read_model(version).meta_graphs[0].signature_def


def _request(signature, inputs: dict) -> dict:
    """With the names of the graph's tensors behind the signature's."""
    return {
        "inputs": {
            signature.inputs[name].name: _tensor(np.asarray(value))
            for name, value in inputs.items()
        },
        "outputs": {n: t.name for n, t in signature.outputs.items()},
    }


def _tensor(array: np.ndarray) -> dict:
    values = array.reshape(-1).tolist()
    if array.dtype == object:
        values = [value.decode("latin-1") for value in values]
        return {"dtype": "string", "shape": array.shape, "values": values}
    return {"dtype": array.dtype.name, "shape": array.shape, "values": values}


def _answer(outputs: dict) -> dict | str:
    if "error" in outputs:
        return outputs["error"]
    return {name: _array(tensor) for name, tensor in outputs.items()}


def _array(tensor: dict) -> np.ndarray:
    shape, values = tensor["shape"], tensor["values"]
    assert len(values) == math.prod(shape)
    if tensor["dtype"] == "string":
        array = np.empty(len(values), object)
        array[:] = [value.encode("latin-1") for value in values]
        return array.reshape(shape)
    return np.array(values, tensor["dtype"]).reshape(shape)
