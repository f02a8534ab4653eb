"""Callbacks that only watch, and so may not end a run."""

import logging

import keras

_log = logging.getLogger(__name__)


class Harmless(keras.callbacks.Callback):
    """Runs a callback; one that fails is reported once and then left out.

    Args:
      callback: what shows or logs. Not one that the run depends on.
    """

    def __init__(self, callback: keras.callbacks.Callback):
        super().__init__()
        self.callback = callback
        self._failed = False

    def set_params(self, params):
        """Passes on."""
        super().set_params(params)
        self.callback.set_params(params)

    def set_model(self, model):
        """Passes on."""
        super().set_model(model)
        self.callback.set_model(model)

    def _pass_on(self, hook: str, arguments: tuple, named: dict) -> None:
        if self._failed:
            return
        try:
            getattr(self.callback, hook)(*arguments, **named)
        except Exception as error:  # Whatever it is, the run is worth more.
            self._failed = True
            _log.warning(
                f"{type(self.callback).__name__} failed and is left "
                f"out from here on: {type(error).__name__}: {error}"
            )


def _passed_on(hook: str):
    def method(self, *arguments, **named):
        self._pass_on(hook, arguments, named)

    method.__name__ = hook
    return method


for _hook in dir(keras.callbacks.Callback):
    if _hook.startswith("on_"):
        setattr(Harmless, _hook, _passed_on(_hook))
