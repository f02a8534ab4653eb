"""A worker that waits in C++ with Python's lock still ends, and says why."""

import re
import subprocess
import sys

import pytest

SCRIPT = """
import ctypes, socket, sys
from trainers.distributed.joining import guarded
from trainers.distributed.members import Cluster
from trainers.distributed.wire import Connection

ours, theirs = socket.socketpair()
cluster = Cluster(("a:1", "b:2"), 0, "TF_CONFIG", "a:3")
seconds, what = float(sys.argv[1]), sys.argv[2]
with guarded(cluster, {1: Connection(ours)}, seconds):
    if what == "lose":
        theirs.close()
    if what != "join":
        # Through PyDLL the call keeps Python's lock, as TensorFlow does.
        ctypes.PyDLL(None).sleep(30)
print("joined")
"""


@pytest.mark.parametrize(
    ("seconds", "what", "status", "message"),
    [
        (1, "wait", 6, r"did not come together within 1 s .* at a:1, b:2\?"),
        (20, "lose", 5, r"worker 1 \(b:2\) was lost before the first step"),
        (20, "join", 0, ""),
    ],
)
def test_joining(seconds, what, status, message):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(seconds), what],
        capture_output=True,
        text=True,
        timeout=25,
    )
    assert done.returncode == status, done.stderr
    assert re.search(message, done.stderr)
    assert done.stdout == ("joined\n" if what == "join" else "")
