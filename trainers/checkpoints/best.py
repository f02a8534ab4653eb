"""The best weights of a run so far: RUN/best.safetensors.

One file, replaced whole: the weights by name, and in the header's metadata
the step and the validation values that they had.
"""

import contextlib
import functools
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import keras

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import BEST_FILE
from tfbert.weights.safetensors_files import (
    read_header,
    read_metadata,
    to_bytes,
)
from tfbert.weights.variables import arrays_of, named_variables
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import save_error


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights with the highest validation metric.

    Of equal ones the lower loss wins, then the earlier step. A run that is
    resumed goes on from the best of the steps before.

    Args:
      run_dir: folder of the run.
      metric: name of a validation value; higher is better.

    Attributes:
      checkpoints: writes them, before the next checkpoint; None: they are
        written at once.
    """

    checkpoints: Checkpoints | None = None

    def __init__(self, run_dir: str | os.PathLike, metric: str = "accuracy"):
        super().__init__()
        self.path = Path(run_dir) / BEST_FILE
        self.metric = metric
        self._best: tuple[float, float] | None = None
        # Of the best so far, which may not be on the disk yet.
        self._values: dict[str, float] | None = None

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Learns what the best was, unless that step is done again."""
        self._best = None
        if self._values is None and self.path.exists():
            self._values = read_best(self.path)
        if self._values is not None:
            if self._values["step"] <= self.model.step:
                self._best = self._rank(self._values)
            else:
                self._values = None

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Compares what validation at the end of the epoch gave."""
        values = {
            name.removeprefix("val_"): float(value)
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        if self.metric not in values or math.isnan(values[self.metric]):
            return
        rank = self._rank(values)
        if self._best is None or rank > self._best:
            self._best, step = rank, self.model.step
            self._values = {"step": step, **values}
            # What was evaluated: the averaged weights, if there are any.
            averaged = getattr(self.model, "averaged", contextlib.nullcontext)
            with averaged():
                tensors = arrays_of(named_variables(self.model.task))
            write = functools.partial(_write, self.path, tensors, self._values)
            if self.checkpoints is None:
                write()
            else:
                self.checkpoints.write_first(write)

    def _rank(self, values: Mapping) -> tuple[float, float]:
        return values[self.metric], -values.get("loss", 0.0)


def write_best(
    path: Path, task: keras.layers.Layer, step: int, values: Mapping
) -> None:
    """Replaces the file of the best weights.

    Raises:
      SaveError: it cannot be written; the one before is intact.
    """
    tensors = arrays_of(named_variables(task))
    _write(path, tensors, {"step": step, **values})


def _write(path: Path, tensors: Mapping, values: Mapping) -> None:
    metadata = {"validation": json.dumps(values)}
    data = to_bytes(tensors, metadata)
    try:
        if not path.parent.is_dir():
            raise FileNotFoundError(f"the run folder {path.parent} has gone")
        files.write_file(path, data)
    except OSError as error:
        raise save_error("the best weights", path, len(data), error) from error


_DAMAGE = (OSError, KeyError, TypeError, ValueError, RecursionError)


def read_best(path: Path) -> dict[str, float]:
    """The step of the best weights, and their validation values.

    Raises:
      UserError: the file is damaged, or was not written by `write_best`.
    """
    try:
        read_header(path)
        return json.loads(read_metadata(path)["validation"])
    except _DAMAGE as e:
        raise UserError(
            f"{path} is damaged or not the best weights of a run: {e!r}; "
            "remove it, and the next evaluation writes it anew"
        ) from e
