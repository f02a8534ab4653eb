"""When the callbacks of a run begin: once for each `fit`, as in Keras."""

from collections.abc import Mapping, Sequence

import keras


class Callbacks:
    """The callbacks of a run, of which `fit` takes a list at a time.

    An evaluation that a signal or a kill came before is done before `fit`.
    Callbacks that are told of it begin there, and not once more in `fit`.

    Args:
      early: those that are told of such an evaluation.
    """

    def __init__(self, early: Sequence[keras.callbacks.Callback]):
        self._early = list(early)
        self._begun: list[keras.callbacks.Callback] = []

    def evaluated(
        self, model: keras.Model, epoch: int, values: Mapping[str, float]
    ) -> None:
        """Tells of an evaluation that was missed at the end of an epoch."""
        logs = {f"val_{name}": value for name, value in values.items()}
        self._begun = self._early
        for callback in self._begun:
            callback.set_model(model)
            callback.on_train_begin()
            callback.on_epoch_begin(epoch)
            callback.on_epoch_end(epoch, dict(logs))

    def of_fit(
        self,
        callbacks: Sequence[keras.callbacks.Callback],
        model: keras.Model,
        epochs: int,
        steps: int,
    ) -> keras.callbacks.CallbackList:
        """The list for one `fit`, to be used at once.

        Args:
          callbacks: in their order.
          model: that is fitted.
          epochs: where it ends, as Keras' `fit` tells its callbacks.
          steps: of an epoch.
        """
        begun, self._begun = self._begun, []
        return _BegunList(begun, callbacks, model, epochs, steps)

    def end(self) -> None:
        """Ends those that have begun and had no `fit`."""
        begun, self._begun = self._begun, []
        for callback in begun:
            callback.on_train_end()


class _BegunList(keras.callbacks.CallbackList):
    """A list of which some have begun already."""

    def __init__(self, begun, callbacks, model, epochs, steps):
        self._begun = begun
        super().__init__(
            callbacks,
            add_history=True,
            model=model,
            verbose=0,
            epochs=epochs,
            steps=steps,
        )

    def on_train_begin(self, logs=None):
        everyone = self.callbacks
        self.callbacks = [c for c in everyone if c not in self._begun]
        super().on_train_begin(logs)
        self.callbacks = everyone
