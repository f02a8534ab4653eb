"""Ends a run whose validation figure has stopped to rise."""

import math
from collections.abc import Mapping

import keras


class EarlyStopping(keras.callbacks.Callback):
    """Ends `fit` after `patience` evaluations without better weights.

    Better is what `KeepBest` takes for better: a higher figure, or an equal
    one at a lower loss. Needed on all workers, which see equal figures and so
    stop together. What it has seen is kept in checkpoints: a run that has
    ended so is complete, unless its patience is raised.

    Args:
      patience: evaluations to wait; None: for ever.
      metric: name of a validation value; higher is better.
    """

    def __init__(self, patience: int | None, metric: str):
        super().__init__()
        self.patience = patience
        self.metric = metric
        self._best: list[float] | None = None
        self._waited = 0

    @property
    def ended(self) -> bool:
        """Whether the run is over."""
        return self.patience is not None and self._waited >= self.patience

    def state(self) -> dict:
        """What a checkpoint keeps."""
        return {"best": self._best, "waited": self._waited}

    def load(self, state: Mapping) -> None:
        """Goes on from a checkpoint's state; {} forgets."""
        self._best = state.get("best")
        self._waited = int(state.get("waited", 0))

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Looks at the evaluation that ends an epoch of `fit`."""
        logs = logs or {}
        value = logs.get(f"val_{self.metric}")
        if value is None:
            return
        rank = [float(value), -float(logs.get("val_loss", 0.0))]
        # A figure that is no number is no better one.
        better = not math.isnan(rank[0]) and (
            self._best is None or rank > self._best
        )
        if better:
            self._best = rank
        self._waited = 0 if better else self._waited + 1
        if self.ended:
            self.model.stop_training = True
