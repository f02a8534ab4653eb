"""Limits of the machine that a run meets: memory, open files."""

import contextlib
import errno
import os
from collections.abc import Iterator

import tensorflow as tf

from tfbert.errors import UserError
from trainers.watching.gpu_memory import smallest_gpu


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """Turns a limit that was met inside into an error that says what to do.

    Raises:
      UserError: memory or file descriptors were not enough.
    """
    try:
        yield
    except UserError:
        raise
    except (MemoryError, OSError, tf.errors.OpError) as error:
        message = _explain(error)
        if message is None:
            raise
        raise UserError(message) from error


def _explain(error: Exception) -> str | None:
    text = str(error)
    too_many = os.strerror(errno.EMFILE)
    if getattr(error, "errno", None) == errno.EMFILE or too_many in text:
        return (
            f"too many open files ({text.splitlines()[0]}); raise the limit "
            "with `ulimit -n 4096` before the command, or build records in "
            "fewer files (tfbert records --shard_rows)"
        )
    if isinstance(error, MemoryError | tf.errors.ResourceExhaustedError) or (
        getattr(error, "errno", None) == errno.ENOMEM
    ):
        first = (text.strip() or "no more memory").splitlines()[0]
        gpu = smallest_gpu() if tf.config.list_physical_devices("GPU") else 0
        where = f" on a GPU of {gpu / 1e9:.0f} GB" if gpu else ""
        return (
            f"out of memory{where} ({first[:200]}); double "
            "optimization.accumulation_steps or set runtime.recompute, "
            "neither of which changes the update, or lower "
            "optimization.batch_size"
        )
    return None
