"""Keras callbacks that let one watch a run: metrics file and TensorBoard.

`ProgressBar` (progress.py) is the third. All of them take the global step
from the optimizer when training begins and count from there, average over an
interval of steps (meter.py) and never stop a run because a log cannot be
written. Under several workers only the chief gets them.
"""

import json
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from tfbert import files
from tfbert.file_names import METRICS_FILE, TENSORBOARD_FOLDER
from tfbert.local_paths import local_path
from trainers.files.console import console, warn
from trainers.files.events import Events
from trainers.files.run_folder import parse_metrics
from trainers.watching.event_files import drop_events_after
from trainers.watching.meter import as_float
from trainers.watching.progress import ProgressBar
from trainers.watching.system_metrics import Vitals
from trainers.watching.watcher import Watcher

__all__ = ["MetricsLog", "ProgressBar", "TensorBoardLog"]


class MetricsLog(Watcher):
    """Appends one JSON object a line to RUN/metrics.jsonl.

    A line is {"step", "time" (seconds since 1970), "split": "train" or
    "validation", ...values}; docs/watching.md lists the values. Lines are
    written whole and at once. When a run is resumed, lines after the restored
    step are dropped, as those steps are done again. A value that is not finite
    is null, since JSON has no NaN.

    Args:
      run_dir: folder of the run.
      every: steps of a "train" line.
      first_step, total_steps, vitals: see Watcher.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        every: int = 10,
        first_step: int | None = None,
        total_steps: int | None = None,
        vitals: Vitals | None = None,
    ):
        super().__init__(every, first_step, total_steps, vitals)
        self.path = local_path(run_dir, "the run's folder") / METRICS_FILE
        self._warned = False
        self._torn = False

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Drops the lines of steps that are going to be done again."""
        super().on_train_begin(logs)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._drop_rows_after(self.step)
        except OSError as error:
            self._warn(error)

    def on_interval(self, row: dict[str, float | None]) -> None:
        """Writes a "train" line."""
        self._append("train", row)

    def on_validation(self, row: dict[str, float | None]) -> None:
        """Writes a "validation" line."""
        self._append("validation", row)

    def _append(self, split: str, values: Mapping) -> None:
        row = {"step": self.step, "time": round(time.time(), 3), "split": split}
        row |= {name: _json_value(value) for name, value in values.items()}
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        if self._torn:
            line = b"\n" + line
        try:
            # Unbuffered, so that a failed write leaves nothing behind that a
            # later one would write again.
            with open(self.path, "ab", buffering=0) as stream:
                self._torn = stream.write(line) != len(line)
            if self._torn:
                raise OSError("only part of a line was written")
        except OSError as error:
            self._warn(error)

    def _drop_rows_after(self, step: int) -> None:
        if not self.path.exists():
            return
        text = self.path.read_text("utf-8", errors="replace")
        # A run that died before its first checkpoint evaluates step 0 again:
        # of rows for one step the last one counts.
        kept = {
            (row["step"], row.get("split")): json.dumps(row) + "\n"
            for row in parse_metrics(text)
            if row["step"] <= step
        }
        if "".join(kept.values()) != text:
            files.write_file(self.path, "".join(kept.values()))

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            warn_log_failed(self.path, error)
        self._warned = True


class TensorBoardLog(Watcher):
    """Writes scalars for TensorBoard to RUN/tensorboard/{train,validation}.

    Args:
      run_dir: folder of the run.
      every: steps of a point of the training curves.
      first_step, total_steps, vitals: see Watcher.
    """

    # Known from the graph's axis, or of no use as a curve.
    LEFT_OUT = ("steps", "seconds", "loss_weight", "eta_seconds")

    def __init__(
        self,
        run_dir: str | os.PathLike,
        every: int = 10,
        first_step: int | None = None,
        total_steps: int | None = None,
        vitals: Vitals | None = None,
    ):
        super().__init__(every, first_step, total_steps, vitals)
        self.folder = local_path(run_dir, "the run's folder")
        self.folder /= TENSORBOARD_FOLDER
        self._writers: dict[str, tf.summary.SummaryWriter] = {}
        self._warned = False

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Drops the points of steps that are going to be done again."""
        super().on_train_begin(logs)
        for split in ("train", "validation"):
            self._guard(lambda s=split: self._drop_points(s))

    def _drop_points(self, split: str) -> None:
        drop_events_after(self.folder / split, self.step)

    def on_interval(self, row: dict[str, float | None]) -> None:
        """Adds a point to each training curve."""
        self._write("train", row)

    def on_validation(self, row: dict[str, float | None]) -> None:
        """Adds a point to each validation curve."""
        self._write("validation", row)

    def on_train_end(self, logs: Mapping | None = None) -> None:
        """Closes the event files."""
        super().on_train_end(logs)
        for split in list(self._writers):
            self._guard(self._writers.pop(split).close)

    def _write(self, split: str, row: Mapping) -> None:
        def write():
            if split not in self._writers:
                self._writers[split] = tf.summary.create_file_writer(
                    str(self.folder / split)
                )
            with self._writers[split].as_default(step=self.step):
                for name, value in row.items():
                    if value is not None and name not in self.LEFT_OUT:
                        tf.summary.scalar(name, value)
            self._writers[split].flush()

        self._guard(write)

    def _guard(self, write) -> None:
        try:
            write()
        except (OSError, tf.errors.OpError) as error:
            if not self._warned:
                warn_log_failed(self.folder, error)
            self._warned = True


def warn_log_failed(path: Path, error: Exception) -> None:
    """Tells once that a log has gaps; a run is worth more than its log."""
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    warn(
        f"warning: could not write {path}: {reason}. Training goes on; the "
        "log will have gaps."
    )


class LostOutput(keras.callbacks.Callback):
    """Says once in the events that nobody can read what the run prints.

    Args:
      events: of the run.
    """

    def __init__(self, events: Events):
        super().__init__()
        self._events = events
        self._told = False

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """The first lines come before the first step."""
        self._tell()

    def on_train_batch_end(
        self, batch: int, logs: Mapping | None = None
    ) -> None:
        """Looks at an attribute; nothing is written."""
        self._tell()

    def _tell(self) -> None:
        lost = console.lost
        if lost is not None and not self._told:
            self._told = True
            reason = getattr(lost, "strerror", None) or str(lost)
            self._events.add("output_lost", self.model.step, reason=reason)


def _json_value(value) -> float | int | None:
    value = as_float(value)
    if not math.isfinite(value):
        return None
    if value.is_integer() and abs(value) < 2**53:
        return int(value)
    # float32 has seven digits; the others would be dust: 0.00025000001.
    return float(f"{value:.7g}")
