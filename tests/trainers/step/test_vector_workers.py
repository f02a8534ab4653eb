"""Two real processes, each with micro-batches, compare all examples."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.long


def start(output, tf_config=None):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, HERE / "worker_vectors.py", output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_workers_make_the_update_of_one_device(tmp_path):
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.bind(("localhost", 0))
        ports = [sock.getsockname()[1] for sock in (first, second)]
    cluster = {"worker": [f"localhost:{port}" for port in ports]}
    processes = [start(tmp_path / "one.npz")]
    for index in range(2):
        task = {"type": "worker", "index": index}
        config = {"cluster": cluster, "task": task}
        processes.append(start(tmp_path / f"{index}.npz", config))
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], said
    wanted = np.load(tmp_path / "one.npz")
    for index in range(2):
        found = np.load(tmp_path / f"{index}.npz")
        np.testing.assert_allclose(
            found["weights"], wanted["weights"], atol=1e-6
        )
        np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-5)
