#!/usr/bin/env bash
# TensorBoard: the start of a new session drops no point of tf.summary's scalars.
#
# A good engineer would guess: a job that went back to step 30 writes a session
# event START at step 31, as `purge_step` does, and the points 40 and 50 of the
# session before are dropped, so that each step is there once.
# What happens: that holds for scalars in the old form (simple_value). Those of
# tf.summary in TensorFlow 2 are tensors, of which the Python loaders drop none:
# 40 is there twice, and 50 stays. (The Rust loader, which the server prefers,
# goes by the order of steps.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
    tensorboard==2.21.0 'setuptools<81'
cat > "$folder/restart.py" <<'PYTHON'
import importlib.metadata
import sys
import time

from tensorboard.backend.event_processing import (
    event_accumulator,
    plugin_event_accumulator,
)
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

folder = sys.argv[1]
print("tensorboard", importlib.metadata.version("tensorboard"))
sessions = [(None, [10, 20, 30, 40, 50]), (31, [40])]
for number, (start, steps) in enumerate(sessions):
    writer = EventFileWriter(folder, filename_suffix=f".{number}")
    if start is not None:
        log = SessionLog(status=SessionLog.START)
        writer.add_event(
            Event(wall_time=time.time(), step=start, session_log=log)
        )
    for step in steps:
        old = Summary.Value(tag="old", simple_value=float(step))
        for summary in (
            scalar_pb("new", float(step)),
            Summary(value=[old]),
        ):
            writer.add_event(
                Event(wall_time=time.time(), step=step, summary=summary)
            )
    writer.close()
    time.sleep(1.1)  # Files are read in the order of their seconds.

first = event_accumulator.EventAccumulator(
    folder, size_guidance={"tensors": 0, "scalars": 0}
)
second = plugin_event_accumulator.EventAccumulator(
    folder, tensor_size_guidance={"scalars": 0}
)
first.Reload()
second.Reload()
found = {
    "old form": [e.step for e in first.Scalars("old")],
    "tf.summary's": [e.step for e in first.Tensors("new")],
    "tf.summary's, as the server loads": [
        e.step for e in second.Tensors("new")
    ],
}
for name, steps in found.items():
    print(f"{name}: {steps}")
kept = [10, 20, 30, 40, 50, 40]
sys.exit(list(found.values()) != [[10, 20, 30, 40], kept, kept])
PYTHON
"$folder/venv/bin/python" "$folder/restart.py" "$folder/events" 2>/dev/null
