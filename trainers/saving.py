"""Callbacks that save, and that end a run, at a step."""

import keras

from trainers.checkpoints import Checkpoints


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves after every `every` steps, and after what is done at such a step.

    Put it behind the callbacks that keep something of an evaluation: where a
    step is followed by one, the checkpoint waits for it. A run that is killed
    before then evaluates again.

    Args:
      checkpoints: where to.
      every: steps between checkpoints.
      evaluate_every: steps of an epoch of `fit`, which ends in an evaluation.
    """

    def __init__(
        self, checkpoints: Checkpoints, every: int, evaluate_every: int
    ):
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every
        self._evaluate_every = evaluate_every

    def on_train_batch_end(self, batch, logs=None):
        """Saves when the step is a multiple of `every`."""
        if self.model.step % self._evaluate_every:
            self._save_if_due()

    def on_epoch_end(self, epoch, logs=None):
        """Saves after the evaluation of such a step."""
        self._save_if_due()

    def _save_if_due(self):
        if self.model.step % self._every == 0:
            self._checkpoints.save(self.model, self.model.step)


class StopAt(keras.callbacks.Callback):
    """Ends `fit` at step `total`, be it within an epoch."""

    def __init__(self, total: int):
        super().__init__()
        self._total = total

    def on_train_batch_end(self, batch, logs=None):
        """Stops; Keras still evaluates at the end of the short epoch."""
        if self.model.step >= self._total:
            self.model.stop_training = True
