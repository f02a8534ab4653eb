"""Three real processes make the updates that one device makes.

Two of them, with records and checkpoints, are in test_pretrain.py.
"""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent
SCRIPT = HERE / "worker_steps.py"

pytestmark = pytest.mark.long


def start(output, tf_config=None):
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[2])}
    environment.pop("TF_CONFIG", None)
    if tf_config:
        environment["TF_CONFIG"] = json.dumps(tf_config)
    return subprocess.Popen(
        [sys.executable, SCRIPT, output],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes):
    said = [process.communicate(timeout=300)[0] for process in processes]
    assert [process.returncode for process in processes] == [
        0 for _ in processes
    ], said


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    output = tmp_path_factory.mktemp("one") / "0.npz"
    finish([start(output)])
    return dict(np.load(output))


def test_workers_give_the_same_weights_and_figures(one_device, tmp_path):
    workers = 3
    sockets = [socket.socket() for _ in range(workers)]
    for sock in sockets:
        sock.bind(("localhost", 0))
    addresses = [f"localhost:{sock.getsockname()[1]}" for sock in sockets]
    for sock in sockets:
        sock.close()
    outputs = [tmp_path / f"{index}.npz" for index in range(workers)]
    finish(
        [
            start(
                output,
                {
                    "cluster": {"worker": addresses},
                    "task": {"type": "worker", "index": index},
                },
            )
            for index, output in enumerate(outputs)
        ]
    )
    assert one_device["norm"] > 0.5  # Clipping is on.
    assert np.isfinite(one_device["weights"]).all()
    assert one_device["chiefs"] == 7
    for output in outputs:
        found = np.load(output)
        assert set(found) == set(one_device)
        for name, wanted in one_device.items():
            np.testing.assert_allclose(
                found[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name
            )
