"""NumPy's numbers in settings: np.int64(128) is a whole number like 128."""

import dataclasses
import sys


def to_python(value):
    """Returns a NumPy scalar as Python's number; anything else as it is.

    A bool of NumPy's becomes a bool, and a float does not become an int.
    """
    # Whoever hands in a number of NumPy's has imported it.
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.generic):
        return value.item()
    return value


def replace_in(settings) -> None:
    """Makes Python's numbers of NumPy's in a dataclass, also a frozen one.

    Args:
      settings: a dataclass; those in it are looked through as well.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if dataclasses.is_dataclass(value):
            replace_in(value)
        elif (plain := to_python(value)) is not value:
            object.__setattr__(settings, field.name, plain)
