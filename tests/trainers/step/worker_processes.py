"""Worker processes of a test: what starts them, and how each one begins."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent


def joined() -> tuple[tf.distribute.Strategy, int | None]:
    """In a worker: its strategy and number; of one device, None."""
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task")
    if task is None:
        return tf.distribute.get_strategy(), None
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    return strategy, int(task["index"])


def results_of(script: str, folder: Path, workers: int) -> list[dict]:
    """What each worker saves; one of no cluster is one device.

    Args:
      script: a file here, called with the path of the .npz to make.
      folder: where that goes.
      workers: how many; 0: one device, without TF_CONFIG.
    """
    sockets = [socket.socket() for _ in range(workers)]
    for sock in sockets:
        sock.bind(("localhost", 0))
    addresses = [f"localhost:{sock.getsockname()[1]}" for sock in sockets]
    for sock in sockets:
        sock.close()
    configs = [
        {
            "cluster": {"worker": addresses},
            "task": {"type": "worker", "index": index},
        }
        for index in range(workers)
    ]
    outputs = [folder / f"{index}.npz" for index in range(workers or 1)]
    processes = [
        _start(HERE / script, output, config)
        for output, config in zip(outputs, configs or [None], strict=True)
    ]
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert not any(process.returncode for process in processes), said
    return [dict(np.load(output)) for output in outputs]


def _start(script: Path, output: Path, tf_config: dict | None):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, script, output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
