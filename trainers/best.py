"""The best weights of a run so far: RUN/best.safetensors.

One file, replaced whole: the weights by name, and in the header's metadata
the step and the validation values that they had.
"""

import contextlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import safetensors
import safetensors.numpy

from tfbert import atomic
from tfbert.errors import UserError
from tfbert.weights import arrays_of, named_variables

BEST_FILE = "best.safetensors"


class KeepBest(keras.callbacks.Callback):
    """Keeps the weights with the highest validation metric.

    Of equal ones the lower loss wins, then the earlier step. A run that is
    resumed goes on from the best of the steps before.

    Args:
      run_dir: folder of the run.
      metric: name of a validation value; higher is better.
    """

    def __init__(self, run_dir: str | os.PathLike, metric: str = "accuracy"):
        super().__init__()
        self.path = Path(run_dir) / BEST_FILE
        self.metric = metric
        self._best: tuple[float, float] | None = None

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Learns what the best was, unless that step is done again."""
        self._best = None
        if self.path.exists():
            values = read_best(self.path)
            if values["step"] <= self.model.step:
                self._best = self._rank(values)

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
            self._best = rank
            # What was evaluated: the averaged weights, if there are any.
            averaged = getattr(self.model, "averaged", contextlib.nullcontext)
            with averaged():
                write_best(self.path, self.model.task, self.model.step, values)

    def _rank(self, values: Mapping) -> tuple[float, float]:
        return values[self.metric], -values.get("loss", 0.0)


def write_best(
    path: Path, task: keras.layers.Layer, step: int, values: Mapping
) -> None:
    """Replaces the file of the best weights."""
    tensors = arrays_of(named_variables(task))
    about = json.dumps({"step": step, **values})
    data = safetensors.numpy.save(tensors, metadata={"validation": about})
    atomic.write_file(path, data)


def read_best(path: Path) -> dict[str, float]:
    """The step of the best weights, and their validation values.

    Raises:
      UserError: the file is damaged, or was not written by `write_best`.
    """
    try:
        with safetensors.safe_open(path, "np") as file:
            return json.loads((file.metadata() or {})["validation"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError) as e:
        raise UserError(
            f"{path} is damaged or not the best weights of a run: {e!r}; "
            "remove it, and the next evaluation writes it anew"
        ) from e
