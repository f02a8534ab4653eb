"""Keras callbacks that a user brings: objects, or classes by their names."""

import importlib
import os
import sys
from collections.abc import Iterable

import keras

from tfbert.errors import UserError
from trainers.step.keras_callbacks import check_usable


def checked(callbacks: object) -> list[keras.callbacks.Callback]:
    """The callbacks of an argument `callbacks`.

    Raises:
      UserError: it is no list of them.
    """
    if callbacks is None:
        return []
    if isinstance(callbacks, keras.callbacks.Callback):
        return [callbacks]
    if isinstance(callbacks, str) or not isinstance(callbacks, Iterable):
        raise UserError(
            f"wanted callbacks to be a list of Keras callbacks, got "
            f"{callbacks!r}"
        )
    found = list(callbacks)
    for callback in found:
        if isinstance(callback, keras.callbacks.Callback):
            continue
        if isinstance(callback, type):
            name = callback.__name__
            raise UserError(
                f"wanted Keras callbacks in callbacks, got the class {name}; "
                f"make one of it: {name}()"
            )
        raise UserError(
            f"wanted Keras callbacks in callbacks, got {callback!r}"
        )
    check_usable(found)
    return found


def make(names: Iterable[str]) -> list[keras.callbacks.Callback]:
    """One of each class that runtime.callbacks names.

    Raises:
      UserError: there is no such class, it cannot be made without
        arguments, or cannot be used here.
    """
    found = [_make(name) for name in names]
    check_usable(found)
    return found


def _make(name: str) -> keras.callbacks.Callback:
    module, _, class_name = name.replace(":", ".").rpartition(".")
    if not module:
        raise UserError(
            "wanted my.module.Class in runtime.callbacks, got "
            f"{name!r}, which names no module"
        )
    try:
        found = getattr(_import(module), class_name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"runtime.callbacks: there is no {name}: {error}"
        ) from error
    if not (
        isinstance(found, type) and issubclass(found, keras.callbacks.Callback)
    ):
        raise UserError(
            f"wanted a class of Keras callbacks in runtime.callbacks, got "
            f"{name}, which is {found!r}"
        )
    try:
        return found()
    except TypeError as error:
        raise UserError(
            f"runtime.callbacks: {name} cannot be made without arguments "
            f"({error}); make a subclass that gives them"
        ) from error


def _import(module: str):
    """A module, also one in the working folder."""
    # A console script, unlike `python -m`, does not look there.
    folder = os.getcwd()
    if folder not in sys.path and "" not in sys.path:
        sys.path.append(folder)
    return importlib.import_module(module)
