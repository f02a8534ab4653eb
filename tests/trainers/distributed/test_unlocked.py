"""SIGTERM while TensorFlow waits in C++ for workers that do not come."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

SCRIPT = """
import threading, time
import tensorflow as tf
from trainers.distributed import unlocked

def joining():
    while not any(t.name == "tfbert joining" for t in threading.enumerate()):
        time.sleep(0.05)
    print("joining", flush=True)

threading.Thread(target=joining, daemon=True).start()
with unlocked.joining():
    tf.distribute.MultiWorkerMirroredStrategy()
print("joined")
"""


def free_port():
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        return taken.getsockname()[1]


@pytest.mark.skipif(sys.platform != "linux", reason="needs TensorFlow's .so")
@pytest.mark.long
@pytest.mark.parametrize("index", [0, 1])
def test_sigterm_ends_a_worker_that_joins(index):
    workers = [f"localhost:{free_port()}" for _ in range(2)]
    task = {"type": "worker", "index": index}
    config = json.dumps({"cluster": {"worker": workers}, "task": task})
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, "TF_CONFIG": config},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "joining\n"
        # TensorFlow's own handler comes a moment later.
        time.sleep(1.0)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
        assert time.monotonic() - began < 5
        out, err = process.communicate()
        assert out == "" and "terminated while the workers joined" in err
    finally:
        process.kill()
        process.wait()
