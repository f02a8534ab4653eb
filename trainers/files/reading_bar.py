"""How far a long reading of files is, and its orderly end."""

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import rich.progress

from trainers.files import exit_status
from trainers.files.console import console
from trainers.files.text import size


@contextlib.contextmanager
def ended_by_sigterm(said: Callable[[], str]) -> Iterator[None]:
    """SIGTERM, as Slurm and Kubernetes send it, ends the block like an error.

    Args:
      said: of what becomes of what was made; stands behind "terminated".

    Raises:
      SystemExit: with the status that shells tell of such an end.
    """

    def end(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(f"terminated; {said()}", file=sys.stderr)
        raise SystemExit(exit_status.TERMINATED)

    if threading.current_thread() is not threading.main_thread():
        yield  # Signals are the main thread's.
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def reading_bar(what: str) -> Iterator[Callable[..., None]]:
    """A bar on a terminal, a line now and then elsewhere.

    Args:
      what: is being done.

    Yields:
      a function of (bytes read, bytes in all, rows, words before the rows).
    """
    if not console.is_terminal:
        yield _plain()
        return
    bar = rich.progress.Progress(
        rich.progress.TextColumn(what),
        rich.progress.BarColumn(),
        rich.progress.DownloadColumn(),
        rich.progress.TransferSpeedColumn(),
        rich.progress.TimeRemainingColumn(),
        rich.progress.TextColumn("{task.fields[rows]:,} rows"),
        console=console,
    )
    with bar:
        task = bar.add_task(what, rows=0)

        def update(done: int, total: int, rows: int, words: str = "") -> None:
            bar.update(task, completed=done, total=total or None, rows=rows)

        yield update


def _plain(every: float = 10.0) -> Callable[..., None]:
    """Prints where it is, every so many seconds."""
    last = time.monotonic()

    def update(done: int, total: int, rows: int, words: str = "") -> None:
        nonlocal last
        if time.monotonic() - last >= every:
            last = time.monotonic()
            share = f"{100 * done / total:.0f} %, " if total else ""
            console.print(f"{share}{size(done)} read, {words}{rows:,} rows")

    return update
