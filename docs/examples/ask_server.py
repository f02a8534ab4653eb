"""Asks an export in the real TF Serving, and compares its answers.

    python docs/examples/ask_server.py exports/reviews

Needs Docker, and for gRPC `pip install tensorflow-serving-api`. Starts the
server with the newest version of the export, waits until it is ready, asks
every signature by REST rows, by REST columns and by gRPC, and compares with
the same SavedModel in this process. The last line is the verdict; the exit
status is 0 if all answers are equal to within --tolerance.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from tfbert.serving.package.signatures import read_signatures, request
from tfbert.serving.package.versions import newest_version

MODEL = "asked"
# Tokens of the request for each signature.
LENGTHS = (5, 16)


def build_parser() -> argparse.ArgumentParser:
    """The options of the script."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("export", help="folder that `tfbert export` wrote")
    parser.add_argument("--image", default="tensorflow/serving:2.20.0")
    parser.add_argument(
        "--server",
        help="HOST of a server that runs already, with the model under the "
        "name 'asked'; no container is started then",
    )
    parser.add_argument("--rest_port", type=int, default=8501)
    parser.add_argument("--grpc_port", type=int, default=8500)
    parser.add_argument(
        "--wait", type=float, default=300.0, help="seconds until it is ready"
    )
    parser.add_argument("--tolerance", type=float, default=1e-5)
    return parser


def docker_command(export: Path, image: str, rest: int, grpc: int) -> list[str]:
    """What starts the server."""
    return [
        *("docker", "run", "--rm", "--detach"),
        *("-p", f"{rest}:8501", "-p", f"{grpc}:8500"),
        *("-v", f"{export.resolve()}:/models/{MODEL}:ro"),
        *("-e", f"MODEL_NAME={MODEL}", image),
    ]


def bodies(name: str, inputs: dict) -> dict[str, dict]:
    """The request in JSON, as rows and as columns.

    Args:
      name: of the signature.
      inputs: name -> array of one row or more; strings are bytes.
    """
    columns = {key: _in_json(value.tolist()) for key, value in inputs.items()}
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    return {
        "REST rows": {"signature_name": name, "instances": rows},
        "REST columns": {"signature_name": name, "inputs": columns},
    }


def arrays(answer: dict, names: list[str]) -> dict[str, np.ndarray]:
    """Name -> array of the server's answer in JSON."""
    if "predictions" in answer:
        rows = answer["predictions"]
        if len(names) == 1:
            return {names[0]: np.array(rows)}
        return {name: np.array([row[name] for row in rows]) for name in names}
    columns = answer["outputs"]
    if len(names) == 1:
        return {names[0]: np.array(columns)}
    return {name: np.array(columns[name]) for name in names}


def difference(got: dict, want: dict) -> float:
    """The largest difference of a number; infinity where strings differ."""
    largest = 0.0
    for name, value in want.items():
        given = np.asarray(got[name])
        if value.dtype == object:
            texts = np.vectorize(_text, otypes=[object])
            if value.size and (texts(given) != texts(value)).any():
                return float("inf")
        elif value.size:
            numbers = given.astype(np.float64).reshape(value.shape)
            largest = max(largest, float(np.abs(numbers - value).max()))
    return largest


def main(argv: list[str] | None = None) -> int:
    """Runs the script; returns its exit status."""
    args = build_parser().parse_args(argv)
    host = args.server or "localhost"
    container = None
    if args.server is None:
        command = docker_command(
            Path(args.export), args.image, args.rest_port, args.grpc_port
        )
        print(" ".join(command))
        started = subprocess.run(
            command, check=True, capture_output=True, text=True
        )
        container = started.stdout.strip()
    try:
        base = f"http://{host}:{args.rest_port}/v1/models/{MODEL}"
        wait_until_ready(base, args.wait)
        worst = ask_all(args, host, base)
    finally:
        if container:
            subprocess.run(["docker", "stop", container], check=False)
    equal = worst <= args.tolerance
    print(
        f"{'EQUAL' if equal else 'NOT EQUAL'}: largest difference {worst:.3g}"
    )
    return 0 if equal else 1


def wait_until_ready(base: str, seconds: float) -> None:
    """Waits until a version of the model is served.

    Raises:
      TimeoutError: none is after so many seconds.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(base, timeout=5) as response:
                states = json.load(response)["model_version_status"]
            if any(state["state"] == "AVAILABLE" for state in states):
                return
        except (OSError, KeyError, ValueError):
            # Not listening yet, or it knows no version yet.
            pass
        time.sleep(1)
    raise TimeoutError(f"{base} served no version within {seconds:.0f} s")


def ask_all(args: argparse.Namespace, host: str, base: str) -> float:
    """Asks every signature in every way; returns the largest difference."""
    import tensorflow as tf
    import tensorflow_text  # noqa: F401 - its operations are in the graph

    version = newest_version(args.export)
    model = tf.saved_model.load(str(version))
    specs = read_signatures(version)
    worst = 0.0
    for name in specs:
        for length in LENGTHS:
            inputs = request(specs, name, length)
            answer = model.signatures[name](
                **{key: tf.constant(value) for key, value in inputs.items()}
            )
            want = {key: value.numpy() for key, value in answer.items()}
            answers = {
                way: arrays(_post(f"{base}:predict", body), list(want))
                for way, body in bodies(name, inputs).items()
            }
            answers["gRPC"] = _ask_grpc(
                f"{host}:{args.grpc_port}", name, inputs
            )
            for way, got in answers.items():
                far = difference(got, want)
                worst = max(worst, far)
                print(f"{name:16} {length:3} tokens  {way:12}  {far:.3g}")
    return worst


def _post(url: str, body: dict) -> dict:
    asked = urllib.request.Request(url, json.dumps(body).encode())
    try:
        with urllib.request.urlopen(asked, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        raise SystemExit(f"{url}: {error.read().decode()}") from error


def _ask_grpc(address: str, name: str, inputs: dict) -> dict:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    asked = predict_pb2.PredictRequest()
    asked.model_spec.name = MODEL
    asked.model_spec.signature_name = name
    for key, value in inputs.items():
        asked.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    with grpc.insecure_channel(address) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(asked, 60.0)
    return {key: tf.make_ndarray(v) for key, v in answer.outputs.items()}


def _in_json(value):
    if isinstance(value, list):
        return [_in_json(item) for item in value]
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    sys.exit(main())
