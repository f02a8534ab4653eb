"""Keeps TensorFlow's start-up notices out of a user's terminal.

Up to TensorFlow 2.20, `TF_CPP_MIN_LOG_LEVEL` does. 2.21 writes some of them
(oneDNN is on, no GPU was found) before its logging has been set up, whatever
the environment says, so what the import itself writes is read and sifted.
"""

import contextlib
import importlib.abc
import importlib.util
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# The library's own information and warnings, and their first line.
_NOTICE = re.compile(
    rb"[IW]\d{4} \d\d[\d:.]+ +\d+ [\w.]+:\d+\]"
    rb"|WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions:"
)


def hide_startup_notices() -> None:
    """From now on, importing TensorFlow writes errors and nothing else.

    The user's own `TF_CPP_MIN_LOG_LEVEL` is left alone; 0, 1 or 2 shows all.
    """
    if os.environ.setdefault(_LEVEL, "3") != "3" or "tensorflow" in sys.modules:
        return
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the first import of TensorFlow, and sifts what it writes."""

    def find_spec(self, name, path=None, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def exec_module(module):
                with sifted_notices():
                    run(module)

            spec.loader.exec_module = exec_module
        return spec


@contextlib.contextmanager
def sifted_notices() -> Iterator[None]:
    """Passes on what is written to descriptor 2, without the notices."""
    try:
        sys.stderr.flush()
        kept = os.dup(2)
    except (OSError, ValueError, AttributeError):  # there is no stderr
        yield
        return
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not _NOTICE.match(line):
                    os.write(2, line)
