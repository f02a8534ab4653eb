"""Joins TensorFlow's cluster without Python's lock, so that signals arrive.

TensorFlow's Python keeps the lock while it waits for the other workers in
C++, and puts a handler of its own in the place of SIGTERM's, which takes a
note and ends nothing. So the C function behind it, which is in the C API, is
called in a thread by ctypes, which gives the lock back; and the thread that
waits for it sets a handler again and again. That leaves by os._exit: Python's
own end would wait for C++.
"""

import contextlib
import ctypes
import functools
import os
import signal
import sys
import threading
from collections.abc import Iterator

import tensorflow as tf
from tensorflow.python import pywrap_tfe

_TURN_SECONDS = 0.2
_POINTER = ctypes.c_void_p


@contextlib.contextmanager
def joining() -> Iterator[None]:
    """Lets SIGTERM end this process while TensorFlow joins its cluster inside.

    Where there is no such C function (other systems than Linux), and outside
    of the main thread, all is as TensorFlow has it.
    """
    libraries = _libraries()
    if not libraries or threading.current_thread() != threading.main_thread():
        yield
        return
    theirs = pywrap_tfe.TFE_EnableCollectiveOps
    handler = signal.getsignal(signal.SIGTERM)
    pywrap_tfe.TFE_EnableCollectiveOps = functools.partial(_join, *libraries)
    try:
        yield
    finally:
        pywrap_tfe.TFE_EnableCollectiveOps = theirs
        signal.signal(signal.SIGTERM, handler or signal.SIG_DFL)


def _leave(number: int, _frame) -> None:
    with contextlib.suppress(OSError, ValueError):
        print(
            "terminated while the workers joined TensorFlow's cluster",
            file=sys.stderr,
            flush=True,
        )
    os._exit(128 + number)


def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL] | None:
    folder = os.path.dirname(tf.__file__)
    try:
        framework, api = (
            ctypes.CDLL(os.path.join(folder, f"libtensorflow_{name}.so.2"))
            for name in ("framework", "cc")
        )
        framework.TF_NewStatus.restype = _POINTER
        framework.TF_GetCode.argtypes = [_POINTER]
        framework.TF_Message.argtypes = [_POINTER]
        framework.TF_Message.restype = ctypes.c_char_p
        framework.TF_DeleteStatus.argtypes = [_POINTER]
        api.TFE_EnableCollectiveOps.argtypes = [
            *(_POINTER, ctypes.c_char_p, ctypes.c_size_t, _POINTER)
        ]
        api.TFE_EnableCollectiveOps.restype = None
    except (OSError, AttributeError):
        return None
    return framework, api


def _join(framework, api, context, server: bytes) -> None:
    """What `pywrap_tfe.TFE_EnableCollectiveOps` does."""
    status = framework.TF_NewStatus()
    arguments = (_pointer(context), server, len(server), status)
    thread = threading.Thread(
        target=api.TFE_EnableCollectiveOps,
        args=arguments,
        name="tfbert joining",
        daemon=True,
    )
    thread.start()
    while thread.is_alive():
        signal.signal(signal.SIGTERM, _leave)
        thread.join(_TURN_SECONDS)
    code = framework.TF_GetCode(status)
    message = framework.TF_Message(status).decode(errors="replace")
    framework.TF_DeleteStatus(status)
    if code:
        raise tf.errors.exception_type_from_error_code(code)(
            None, None, message
        )


def _pointer(capsule) -> int:
    """What is in a PyCapsule."""
    name = ctypes.pythonapi.PyCapsule_GetName
    name.argtypes, name.restype = [ctypes.py_object], ctypes.c_char_p
    content = ctypes.pythonapi.PyCapsule_GetPointer
    content.argtypes = [ctypes.py_object, ctypes.c_char_p]
    content.restype = _POINTER
    return content(capsule, name(capsule))
