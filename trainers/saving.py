"""Callbacks that save, and that end a run, at a step."""

import keras

from trainers.checkpoints import Checkpoints


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves after every `every` steps."""

    def __init__(self, checkpoints: Checkpoints, every: int):
        super().__init__()
        self._checkpoints = checkpoints
        self._every = every

    def on_train_batch_end(self, batch, logs=None):
        """Saves when the step is a multiple of `every`."""
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
