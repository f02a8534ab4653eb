"""TensorFlow checkpoints by names, read and written.

TensorFlow's reader may end the whole process where a file is damaged, without
an exception. So a copy of the process reads each checkpoint first, and if that
dies the user gets a message.
"""

import contextlib
import faulthandler
import functools
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError

# More than a trial takes that only waits for a slow disk.
_TRIAL_SECONDS = 600
# What TensorFlow raises for files that are missing, cut short or damaged.
_FAULTS = (tf.errors.OpError, ValueError, IndexError, RuntimeError)


def list_names(prefix: str) -> dict[str, list[int]]:
    """The names and shapes in a checkpoint.

    Raises:
      UserError: it cannot be read.
    """
    return _open(prefix).get_variable_to_shape_map()


def _open(prefix: str):
    _try_in_a_copy(prefix, *_stamps(prefix))
    try:
        return tf.train.load_checkpoint(prefix)
    except _FAULTS as error:
        raise UserError(
            f"cannot read the checkpoint {prefix}: {error}; wanted "
            f"{Path(prefix).name}.index and .data-00000-of-00001, whole"
        ) from error


def _stamps(prefix: str) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files: whether they have changed."""
    path = Path(prefix)
    files = []
    with contextlib.suppress(OSError):
        files = sorted(path.parent.glob(f"{path.name}.*"))
    return tuple(
        (file.name, file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
        if file.is_file()
    )


@functools.lru_cache(maxsize=64)
def _try_in_a_copy(prefix: str, *stamps) -> None:
    """Reads everything in a copy of this process, which may die of it.

    Errors that the reader raises are left to the reading that follows.

    Raises:
      UserError: the copy was killed, or did not come to an end.
    """
    with warnings.catch_warnings():
        # The copy only reads files, and takes no lock of a thread of ours.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _read_everything(prefix)
    end = time.monotonic() + _TRIAL_SECONDS
    wait = 0.001
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done or time.monotonic() > end:
            break
        time.sleep(wait)
        wait = min(2 * wait, 0.1)
    if not done:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    if not done or os.WIFSIGNALED(status):
        raise UserError(
            f"the checkpoint {prefix} is damaged: TensorFlow's reader "
            + ("dies of it" if done else "does not come to an end")
            + "; copy it from its source again"
        )


def _read_everything(prefix: str) -> None:
    """What the copy does; it does not return."""
    try:
        # What TensorFlow writes before it ends the process helps nobody.
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        reader = tf.train.load_checkpoint(prefix)
        for name in reader.get_variable_to_shape_map():
            with contextlib.suppress(*_FAULTS):
                reader.get_tensor(name)
    finally:
        # Not sys.exit: what is to be done at the end of the process is not
        # the copy's to do.
        os._exit(0)


def read(prefix: str, ignore=lambda name: False) -> dict[str, np.ndarray]:
    """The numeric tensors of a checkpoint by name; bfloat16 becomes float32.

    Args:
      prefix: path without ".index".
      ignore: name -> whether it is left out, unread.

    Raises:
      UserError: a file is missing, cut short or damaged.
    """
    reader = _open(prefix)
    tensors = {}
    for name in sorted(reader.get_variable_to_shape_map()):
        if ignore(name):
            continue
        try:
            value = reader.get_tensor(name)
        except _FAULTS as error:
            raise UserError(
                f"{prefix}: the tensor {name} cannot be read ({error}); copy "
                "the checkpoint again"
            ) from error
        value = np.asarray(value)
        if value.dtype.name == "bfloat16":
            value = value.astype(np.float32)
        if value.dtype.kind in "fiub":
            tensors[name] = value
    return tensors


def write(prefix: str, tensors: dict[str, np.ndarray]) -> None:
    """Writes a checkpoint that is read by names, as TensorFlow 1 wrote it."""
    names = sorted(tensors)
    with tf.device("CPU:0"):
        tf.raw_ops.SaveV2(
            prefix=prefix,
            tensor_names=names,
            shape_and_slices=[""] * len(names),
            tensors=[tf.constant(tensors[name]) for name in names],
        )
