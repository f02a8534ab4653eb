"""A group of worker processes that lives and is restarted as one."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence

from trainers.files import exit_status

SIGNALS = (signal.SIGINT, signal.SIGTERM)
POLL_SECONDS = 0.1
PR_SET_PDEATHSIG = 1
# Ends that another start does not mend (docs/architecture.md): a mistake of
# the user, a run that diverges or cannot save, an orderly stop.
FINAL = (2, 3, 4, 130, 143)
# The end of a worker that has lost another: all others know, and end too.
ECHO_SECONDS = 15.0


class Group:
    """Starts workers, passes signals and output on, starts them again.

    Args:
      argv: the command of every worker.
      environments: makes, for each start, what each worker's environment has
        beside ours.
      max_restarts: how many times all are started again.
      grace_seconds: how long workers may take to end by themselves.
      report: takes the workers' lines and ours.
    """

    def __init__(
        self,
        argv: Sequence[str],
        environments: Callable[[], list[dict[str, str]]],
        max_restarts: int,
        grace_seconds: float,
        report: Callable[[str], None] = print,
    ):
        self._argv = list(argv)
        self._environments = environments
        self._max_restarts = max_restarts
        self._grace = grace_seconds
        self._report = report
        self._processes: list[subprocess.Popen] = []
        self._signal: int | None = None

    def run(self) -> int:
        """Runs until all are done, or one fails for good.

        Returns:
          exit status: 0; that of the worker that failed first; 128 and the
          signal's number where a signal killed it.
        """
        previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                previous[number] = signal.signal(number, self._pass_on)
        try:
            return self._run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            self._kill()

    def _run(self) -> int:
        restarts = 0
        while True:
            failed = self._once()
            if failed is None:
                return 0
            index, code = failed
            status = 128 - code if code < 0 else code
            if self._signal is not None:
                return status
            how = _how_it_ended(code)
            if code in FINAL:
                self._report(f"worker {index} {how}; not started again")
                return status
            if restarts == self._max_restarts:
                self._report(
                    f"worker {index} {how}; ended after {restarts} restarts "
                    "(--max_restarts)"
                )
                return status
            restarts += 1
            self._report(
                f"worker {index} {how}; restart {restarts} of "
                f"{self._max_restarts}, from the newest checkpoint"
            )

    def _once(self) -> tuple[int, int] | None:
        """One start to its end: None, or which worker failed first, and how."""
        readers = self._start()
        failed = None
        deadline = None
        while True:
            codes = [process.poll() for process in self._processes]
            bad = [(i, code) for i, code in enumerate(codes) if code]
            # A worker that was killed is the cause; status 5 is its echo.
            bad.sort(key=lambda found: found[1] == exit_status.LOST)
            if bad and (failed is None or failed[1] == exit_status.LOST):
                failed = bad[0]
            if None not in codes:
                break
            ending = failed is not None or self._signal is not None
            if ending and deadline is None:
                echo = failed is not None and failed[1] == exit_status.LOST
                grace = min(self._grace, ECHO_SECONDS) if echo else self._grace
                deadline = time.monotonic() + grace
            if deadline is not None and time.monotonic() > deadline:
                left = [i for i, code in enumerate(codes) if code is None]
                self._report(
                    f"killing worker {', '.join(map(str, left))}: still there "
                    f"after {grace:g} s (--grace_seconds)"
                )
                failed = failed or (left[0], -signal.SIGKILL)
                self._kill()
                break
            time.sleep(POLL_SECONDS)
        for reader in readers:
            reader.join(self._grace)
        return failed

    def _start(self) -> list[threading.Thread]:
        readers = []
        self._processes = []
        for index, variables in enumerate(self._environments()):
            process = subprocess.Popen(
                self._argv,
                env={**os.environ, **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches us alone, and is passed on once.
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
            self._processes.append(process)
            reader = threading.Thread(
                target=self._read, args=(index, process), daemon=True
            )
            reader.start()
            readers.append(reader)
        return readers

    def _read(self, index: int, process: subprocess.Popen) -> None:
        for line in process.stdout:
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._report(f"[{index}] {text}")

    def _pass_on(self, number: int, _frame) -> None:
        self._signal = number
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(number)

    def _kill(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
        for process in self._processes:
            process.wait()


def _end_with_parent() -> None:
    """In the child: end when the launcher is killed. Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    if code == exit_status.LOST:
        return f"ended with status {code}: another worker was lost or stalled"
    return f"ended with status {code}"
