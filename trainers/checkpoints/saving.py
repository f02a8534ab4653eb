"""Callbacks that save, and that end a run, at a step."""

from collections.abc import Callable, Mapping
from typing import Protocol

import keras

from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import SaveError
from trainers.checkpoints.step_boundaries import crossed
from trainers.files.run_lock import RunLock


class Guard(Protocol):
    """Has the last word on a step before it is saved.

    Attributes:
      rollback: not None once the steps since a checkpoint are to be undone.
    """

    rollback: object | None

    def settle(self) -> None:
        """Looks at the last step."""


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves after every `every` steps, and after what is done at such a step.

    Put it behind the callbacks that keep something of an evaluation: where a
    step is followed by one, the checkpoint waits for it. A run that is killed
    before then evaluates again.

    Args:
      checkpoints: where to.
      every: steps between checkpoints.
      evaluate_every: steps of an epoch of `fit`, which ends in an evaluation.
      total: the last step, which is followed by one too.
      guard: has the last word on a step before it is saved.
      on_error: called with the SaveError of a checkpoint that could not be
        written; raises it or lets the run go on.
      state: gives what else is kept in checkpoint.json.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        every: int,
        evaluate_every: int,
        total: int,
        guard: Guard,
        on_error: Callable[[SaveError], None],
        state: Callable[[], Mapping],
    ):
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every
        self._evaluate_every = evaluate_every
        self._total = total
        self._guard = guard
        self._on_error = on_error
        self._state = state
        self._before = 0

    def on_train_batch_begin(self, batch, logs=None):
        """Remembers where the call begins."""
        self._before = self.model.step

    def on_train_batch_end(self, batch, logs=None):
        """Saves when a multiple of `every` was reached."""
        self._attempt(self._checkpoints.check)
        step = self.model.step
        evaluated = crossed(self._before, step, self._evaluate_every)
        if not evaluated and step < self._total:
            self._save_if_due(None)

    def on_epoch_end(self, epoch, logs=None):
        """Saves after the evaluation of such a step."""
        values = {
            name.removeprefix("val_"): float(value)
            for name, value in (logs or {}).items()
            if name.startswith("val_")
        }
        if not self._save_if_due(values or None):
            self.save_first()

    def _save_if_due(self, validation: dict | None) -> bool:
        """Returns whether a checkpoint was due."""
        step = self.model.step
        due = crossed(self._before, step, self._every)
        if not due and step < self._total:
            return False
        self._guard.settle()
        if self._guard.rollback is None:
            self.save(validation)
        return True

    def save(self, validation: dict | None = None) -> None:
        """Saves the step that the model is at.

        Args:
          validation: values of the evaluation of this step, if it had one.
        """
        state = {**self._state(), "validation": validation}
        self._attempt(self._checkpoints.wait)
        self._attempt(
            self._checkpoints.save, self.model, self.model.step, state
        )

    def save_first(self) -> None:
        """Begins what other callbacks have left to be written."""
        self._attempt(self._checkpoints.begin_first)

    def _attempt(self, write: Callable[..., object], *arguments) -> None:
        try:
            write(*arguments)
        except SaveError as error:
            self._on_error(error)


class StopAt(keras.callbacks.Callback):
    """Ends `fit` at step `total`, be it within an epoch.

    Args:
      total: the last step of the run.
      evaluate_every: steps between evaluations.

    Attributes:
      step: where this `fit` ends, before `total` where other batches begin.
    """

    def __init__(self, total: int, evaluate_every: int):
        super().__init__()
        self.step = total
        self._total = total
        self._evaluate_every = evaluate_every

    def on_train_batch_end(self, batch, logs=None):
        """Stops; Keras evaluates at the end of the run's short epoch."""
        step = self.model.step
        if step >= self.step:
            self.model.stop_training = True
            if step < self._total and step % self._evaluate_every:
                # Another `fit` goes on with this epoch.
                self.model.skip_evaluation = True


class CheckLock(keras.callbacks.Callback):
    """Ends the run when another trainer has taken its folder over.

    Args:
      lock: of the folder.
    """

    def __init__(self, lock: RunLock):
        super().__init__()
        self._lock = lock

    def on_train_batch_end(self, batch, logs=None):
        """Raises UserError where the lock is another's."""
        self._lock.check()


def validation_values(history) -> dict[str, float]:
    """The last validation's values of a `fit`, without "val_"."""
    logs = history.history if hasattr(history, "history") else history
    return {
        name.removeprefix("val_"): values[-1]
        for name, values in logs.items()
        if name.startswith("val_") and values
    }
