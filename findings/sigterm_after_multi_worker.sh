#!/usr/bin/env bash
# Guess: a handler that a program sets with `signal.signal` runs when the signal
# comes, until the program sets another; without one, SIGTERM ends the process.
# Seen: tf.distribute.MultiWorkerMirroredStrategy() replaces the handler of
# SIGTERM in C++ by one that only takes a note. `signal.getsignal` still names
# the program's own, which no longer runs. Setting it again cures that.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  tensorflow-cpu==2.20.0
cat >"$folder/run.py" <<'PY'
import json
import os
import signal
import socket
import sys
import time

with socket.socket() as probe:
    probe.bind(("localhost", 0))
    port = probe.getsockname()[1]
os.environ["TF_CONFIG"] = json.dumps(
    {
        "cluster": {"worker": [f"localhost:{port}"]},
        "task": {"type": "worker", "index": 0},
    }
)
import tensorflow as tf

ran = []


def handler(number, frame):
    ran.append(number)


def told():
    """Whether the handler runs when SIGTERM comes."""
    ran.clear()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    return bool(ran)


signal.signal(signal.SIGTERM, handler)
before = told()
strategy = tf.distribute.MultiWorkerMirroredStrategy()
named = signal.getsignal(signal.SIGTERM) is handler
after = told()
signal.signal(signal.SIGTERM, handler)
again = told()
print("tensorflow", tf.__version__)
print("the handler runs before the strategy:", before)
print("after it getsignal names the handler:", named)
print("after it the handler runs:           ", after)
print("once it is set again:                ", again)
sys.exit(0 if (before, named, after, again) == (1, 1, 0, 1) else 1)
PY
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" "$folder/run.py" 2>/dev/null
