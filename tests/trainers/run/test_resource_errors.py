"""Limits of the machine become messages that say what to do."""

import errno

import pytest
import tensorflow as tf

from tfbert.errors import UserError
from trainers.run import resource_errors
from trainers.run.resource_errors import explained


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (MemoryError(), r"out of memory .*optimization\.accumulation_steps"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out of memory"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n 4096"),
        (
            tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
            r"OOM when allocating.*runtime\.recompute",
        ),
        (
            tf.errors.ResourceExhaustedError(
                None, None, "x; Too many open files"
            ),
            "too many open files",
        ),
    ],
    ids=str,
)
def test_limits_are_explained(error, message):
    with pytest.raises(UserError, match=message), explained():
        raise error


@pytest.mark.parametrize(
    "error",
    [OSError(errno.EIO, "Input/output error"), UserError("x"), KeyError("x")],
    ids=str,
)
def test_what_is_no_limit_stays_what_it_is(error):
    with pytest.raises(type(error)) as caught, explained():
        raise error
    assert caught.value is error


def test_the_memory_of_the_gpu_is_told(monkeypatch):
    monkeypatch.setattr(
        resource_errors.tf.config, "list_physical_devices", lambda _: ["GPU:0"]
    )
    monkeypatch.setattr(resource_errors, "smallest_gpu", lambda: 80_000_000_000)
    with pytest.raises(UserError, match="out of memory on a GPU of 80 GB"):
        with resource_errors.explained():
            raise MemoryError
