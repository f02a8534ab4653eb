"""Processes that work on one thing after another; results come in order."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Sequence

from tfbert.errors import UserError

# TensorFlow does not survive a fork once it has computed something. On Linux
# a process that has imported it and done nothing else is forked, so that it
# is imported once for all workers; Apple's libraries do not survive that.
_METHOD = "forkserver" if sys.platform == "linux" else "spawn"


@dataclasses.dataclass(frozen=True)
class Work:
    """What processes do.

    Attributes:
      function: one thing -> its result.
      start: called first in each process, with `arguments`.
      arguments: of `start`.
      imported: names of modules that all of them need.
      option: that says how many processes there are.
      died: what to do after a process died of a signal.
    """

    function: Callable
    start: Callable
    arguments: tuple = ()
    imported: Sequence[str] = ()
    option: str = "--processes"
    died: str = "Start the command again; what was made is gone."


def cores() -> int:
    """The cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


@contextlib.contextmanager
def working(work: Work, count: int) -> Iterator[Callable]:
    """Yields a function: things -> their results, in the same order.

    The processes end with this one, however it ends.

    Args:
      work: what is done.
      count: number of processes.

    Raises:
      UserError: one died; says of what.
    """
    context = _Context(work.imported)
    # This kind of pool notices the death of a worker.
    pool = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=context,
        initializer=work.start,
        initargs=work.arguments,
    )
    context.begin()
    try:
        yield lambda things: in_order(pool, work.function, things, 2 * count)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(_why_broken(context.started, count, work)) from None
    finally:
        pool.shutdown(cancel_futures=True)


def in_order(
    pool: concurrent.futures.Executor,
    function: Callable,
    things: Iterable,
    ahead: int,
) -> Iterator:
    """Results of `things` in order, with at most `ahead` under way."""
    waiting: collections.deque = collections.deque()
    for thing in things:
        waiting.append(pool.submit(function, thing))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


_Base = type(multiprocessing.get_context(_METHOD))


class _Context(_Base):
    """Starts processes without the program's main module, and keeps them.

    What workers run is in our packages. They would otherwise run the user's
    script once more, which starts all anew unless it asks for `__main__`.
    """

    def __init__(self, imported: Sequence[str]):
        super().__init__()
        self._imported = list(imported)
        self.started: list = []

    def begin(self) -> None:
        """Has modules imported while this process goes on."""
        if _METHOD == "forkserver":
            from multiprocessing import forkserver

            self.set_forkserver_preload(self._imported)
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


def _why_broken(processes: list, count: int, work: Work) -> str:
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
            f"memory. Try fewer {work.option} (now {count})."
        )
    if code < 0:
        return (
            f"a worker process died of signal {-code} "
            f"({signal.strsignal(-code)}). {work.died}"
        )
    return (
        f"a worker process ended by itself (status {code}) before its work "
        "was done. What it printed above says why."
    )
