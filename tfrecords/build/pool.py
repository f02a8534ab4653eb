"""The processes that turn chunks of documents into rows."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Iterator

from tfbert.errors import UserError
from tfrecords.build.chunks import (
    ChunkRows,
    Recipe,
    RowMaker,
    make_rows,
    start_worker,
)
from tfrecords.text import corpus

# A process needs a moment to start, in which another tokenizes this much.
_BYTES_WORTH_A_PROCESS = 16 << 20

# TensorFlow does not survive a fork once it has computed something. On Linux
# a process that has imported it and done nothing else is forked, so that it
# is imported once for all workers; Apple's libraries do not survive that.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"
_IMPORTED = ["tfrecords.build.pool_imports"]


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def enough(text: corpus.Corpus) -> int:
    """As many processes as there are cores, and work for, on `text`."""
    if not text.total_bytes:
        return cores()  # The standard input: who knows.
    return min(cores(), -(-text.total_bytes // _BYTES_WORTH_A_PROCESS))


@contextlib.contextmanager
def workers(recipe: Recipe, count: int):
    """Yields a function: chunks -> their rows, in the same order.

    One worker is this process itself. Others end with it, however it ends.

    Raises:
      UserError: a worker died; says of what.
    """
    if count == 1:
        make = RowMaker(recipe)
        yield lambda chunks: map(make, chunks)
        return
    context = _Context()
    # This kind of pool notices the death of a worker.
    pool = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=context,
        initializer=start_worker,
        initargs=(recipe,),
    )
    context.begin()
    try:
        yield lambda chunks: _in_order(pool, chunks, 2 * count)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(_why_broken(context.started, count)) from None
    finally:
        pool.shutdown(cancel_futures=True)


_Base = type(multiprocessing.get_context(_METHOD))


class _Context(_Base):
    """Starts processes without the program's main module, and keeps them.

    What workers run is in this package. They would otherwise run the user's
    script once more, which starts a build unless it asks for `__main__`.
    """

    def __init__(self):
        super().__init__()
        self.started: list = []

    def begin(self) -> None:
        """Has TensorFlow imported while this process goes on."""
        if _METHOD == "forkserver":
            from multiprocessing import forkserver

            self.set_forkserver_preload(_IMPORTED)
            forkserver.ensure_running()

    def Process(self, *args, **kwargs):
        process = _Worker(*args, **kwargs)
        self.started.append(process)
        return process


class _Worker(_Base.Process):
    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


def _why_broken(processes: list, count: int) -> str:
    """The message for a pool of which a process died."""
    for process in processes:
        process.join(1)
    codes = {process.exitcode for process in processes}
    # The pool itself ends those that are left by SIGTERM.
    codes = codes - {None, 0, -signal.SIGTERM} or codes - {None}
    code = min(codes, default=0)
    if code == -signal.SIGKILL:
        return (
            "a worker process was killed (SIGKILL), most likely for want of "
            f"memory. Try fewer --processes (now {count})."
        )
    if code < 0:
        return (
            f"a worker process died of signal {-code} "
            f"({signal.strsignal(-code)}). Start the command again; what was "
            "made is gone."
        )
    return (
        f"a worker process ended by itself (status {code}) before its work "
        "was done. What it printed above says why."
    )


def _in_order(pool, chunks, ahead) -> Iterator[ChunkRows]:
    """Rows of `chunks` in order, with at most `ahead` under way."""
    waiting: collections.deque = collections.deque()
    for chunk in chunks:
        waiting.append(pool.submit(make_rows, chunk))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
