"""What the callbacks that watch a run have in common: steps and intervals."""

from collections.abc import Iterable, Mapping

import keras

from trainers.watching.meter import IntervalMeter, as_float
from trainers.watching.system_metrics import Vitals
from trainers.watching.time_left import Pace

VALIDATION_PREFIX = "val_"


class Watcher(keras.callbacks.Callback):
    """Calls `on_interval` after every `every` steps and `on_validation`.

    The global step is that of `model.optimizer.iterations` when training
    begins (a restored run begins above 0) plus the steps counted since, so
    nothing is read from the device while training. Intervals end at multiples
    of `every`, whatever the step that the run was resumed from.

    A row is what the IntervalMeter gives, with "eta_seconds" where the end is
    known, and with what `vitals` says of the machine.

    Args:
      every: steps of an interval.
      first_step: steps done before; None: as the optimizer says.
      total_steps: step at which the run ends; None: what `fit` was told.
      vitals: figures of the machine; None: those that need no more than a
        process.

    Raises:
      ValueError: `every` is not positive.
    """

    def __init__(
        self,
        every: int = 10,
        first_step: int | None = None,
        total_steps: int | None = None,
        vitals: Vitals | None = None,
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"wanted every >= 1 steps, got {every}")
        self.every = every
        self.first_step = first_step
        self.step = first_step or 0
        self.total_steps = total_steps
        self.vitals = vitals or Vitals()
        self.meter = IntervalMeter()
        self.pace = Pace()
        self._last_batch = -1

    def due(self, before: int) -> bool:
        """Whether an interval ends between steps `before` and `self.step`."""
        return self.step // self.every > before // self.every

    def take_row(self) -> dict[str, float | None]:
        """The row of the steps since the last one."""
        row = self.meter.take()
        row |= self.vitals.of(row)
        left = self.pace.seconds_left(self.step, self.end)
        return row if left is None else {**row, "eta_seconds": left}

    @property
    def end(self) -> int | None:
        """The step at which the run ends, if that is known."""
        epochs = (self.params or {}).get("epochs")
        steps = (self.params or {}).get("steps")
        planned = epochs * steps if epochs and steps else None
        return self.total_steps or planned

    def on_interval(self, row: dict[str, float | None]) -> None:
        """Takes the row (see IntervalMeter) that ends at `self.step`."""

    def on_validation(self, row: dict[str, float | None]) -> None:
        """Takes the validation values (without "val_") at `self.step`."""

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Finds out at which step the run begins."""
        if self.first_step is not None:
            self.step = self.first_step
        else:
            optimizer = getattr(self.model, "optimizer", None)
            iterations = getattr(optimizer, "iterations", None)
            self.step = 0 if iterations is None else int(as_float(iterations))
        self._last_batch = -1
        self.meter.start()
        self.pace.restart()

    def on_epoch_begin(self, epoch: int, logs: Mapping | None = None) -> None:
        """Keras numbers the batches of each epoch from 0."""
        self._last_batch = -1

    def on_train_batch_end(
        self, batch: int, logs: Mapping | None = None
    ) -> None:
        """Counts; Keras calls once for several steps per execution."""
        steps = batch - self._last_batch
        self._last_batch = batch
        # A call that was cut short ran fewer than Keras counts.
        steps = getattr(self.model, "last_steps", 0) or steps
        before, self.step = self.step, self.step + steps
        self.meter.add(logs, steps)
        self.pace.at(self.step)
        if self.due(before):
            self.on_interval(self.take_row())

    def on_test_begin(self, logs: Mapping | None = None) -> None:
        """Validation is no training time."""
        self.meter.pause()

    def on_test_end(self, logs: Mapping | None = None) -> None:
        """Training goes on."""
        self.meter.resume()

    def on_epoch_end(self, epoch: int, logs: Mapping | None = None) -> None:
        """Passes on what validation at the end of the epoch gave."""
        row = {
            name.removeprefix(VALIDATION_PREFIX): as_float(value)
            for name, value in (logs or {}).items()
            if name.startswith(VALIDATION_PREFIX)
        }
        if row:
            self.on_validation(row)

    def on_train_end(self, logs: Mapping | None = None) -> None:
        """The last interval may be a short one."""
        if self.meter.steps:
            self.on_interval(self.take_row())


def tell_validation(
    callbacks: Iterable[keras.callbacks.Callback],
    step: int,
    values: dict[str, float],
) -> None:
    """Tells watchers of an evaluation outside of `fit`."""
    for callback in callbacks:
        if isinstance(callback, Watcher):
            callback.step = step
            callback.on_validation(values)
