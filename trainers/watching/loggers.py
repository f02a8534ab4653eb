"""Loggers of other services as Keras callbacks, for those who use them.

Weights & Biases (extra `wandb`) and MLflow (extra `mlflow`); neither is
imported unless its logger is made. By runtime.callbacks:

    --runtime.callbacks trainers.watching.loggers.WandbLogger

What is logged is what `fit` logs: losses and figures of training every so
many steps, those of an evaluation as "val_...", by the step of the run.
"""

import importlib
import math
import os
from collections.abc import Mapping

import keras

from tfbert.errors import UserError


class ServiceLogger(keras.callbacks.Callback):
    """Sends values to a service; a subclass says how.

    Args:
      every: steps between values of training.
      name: of the run in the service; None: as the service does.
    """

    package = ""

    def __init__(self, every: int = 10, name: str | None = None):
        super().__init__()
        if not isinstance(every, int) or every < 1:
            raise UserError(f"wanted every to be a number above 0, got {every}")
        self.every, self.name = every, name
        self._step = 0
        self._begun = False
        try:
            self._service = importlib.import_module(self.package)
        except ImportError as error:
            raise UserError(
                f"{type(self).__name__} needs the package {self.package}: "
                f"pip install 'tfbert[{self.package}]'"
            ) from error

    def begin(self) -> None:
        """Begins, or goes on with, a run in the service."""
        raise NotImplementedError

    def send(self, values: Mapping[str, float], step: int) -> None:
        """Sends the values of a step."""
        raise NotImplementedError

    def end(self) -> None:
        """Ends the run in the service."""
        raise NotImplementedError

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Begins; once, however often `fit` is called."""
        self._step = self._steps()
        if self._is_chief() and not self._begun:
            self._begun = True
            self.begin()

    def on_train_batch_end(
        self, batch: int, logs: Mapping | None = None
    ) -> None:
        """Sends what was logged, every so many steps."""
        before, self._step = self._step, self._steps()
        if self._step // self.every > before // self.every:
            self._send(logs)

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Sends what an evaluation gave."""
        logs = logs or {}
        self._send({k: v for k, v in logs.items() if k.startswith("val_")})

    def on_train_end(self, logs: Mapping | None = None) -> None:
        """Ends the run in the service."""
        if self._begun:
            self._begun = False
            self.end()

    def _steps(self) -> int:
        return int(getattr(self.model, "step", self._step + 1))

    def _is_chief(self) -> bool:
        resolver = self.model.distribute_strategy.cluster_resolver
        return not getattr(resolver, "task_id", None)

    def _send(self, logs: Mapping | None) -> None:
        values = {name: float(value) for name, value in (logs or {}).items()}
        values = {n: v for n, v in values.items() if math.isfinite(v)}
        if values and self._begun:
            self.send(values, self._steps())


class WandbLogger(ServiceLogger):
    """Weights & Biases; project and entity as WANDB_PROJECT and so on say."""

    package = "wandb"

    def begin(self) -> None:
        self._run = self._service.init(name=self.name, reinit=True)

    def send(self, values: Mapping[str, float], step: int) -> None:
        self._run.log(dict(values), step=step)

    def end(self) -> None:
        self._run.finish()


class MlflowLogger(ServiceLogger):
    """MLflow; where to as MLFLOW_TRACKING_URI says."""

    package = "mlflow"

    def begin(self) -> None:
        # A run that the user has begun stays his.
        self._mine = self._service.active_run() is None
        if self._mine:
            name = self.name or os.environ.get("MLFLOW_RUN_NAME")
            self._service.start_run(run_name=name)

    def send(self, values: Mapping[str, float], step: int) -> None:
        self._service.log_metrics(dict(values), step=step)

    def end(self) -> None:
        if self._mine:
            self._service.end_run()
