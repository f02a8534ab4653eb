"""One build: a folder with the three packages, run in processes."""

import compileall
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

BENCHMARKS = Path(__file__).parents[1]
PACKAGES = ("tfbert", "tfrecords", "trainers")
# As a program that SIGKILL ended.
KILLED = -signal.SIGKILL


class Failed(Exception):
    """A command of a build failed; the message has what it said last."""


class TooLong(Failed):
    """A command was ended at the limit."""


@dataclasses.dataclass(frozen=True)
class Run:
    """What a command took, all of its processes together.

    Attributes:
      wall: seconds.
      cpu: processor seconds of the process and all that it waited for.
      peak: largest resident set of one of them, bytes (VmHWM).
      output: its lines on standard output.
    """

    wall: float
    cpu: float
    peak: int
    output: list[str]


class Checkout:
    """A build, and how its commands are run.

    Args:
      name: before or new.
      path: folder with the three packages.
      scratch: folder for what is written.
      limit: seconds that a command may take.
    """

    def __init__(self, name: str, path: Path, scratch: Path, limit: float):
        self.name, self.path, self.limit = name, path.resolve(), limit
        for package in PACKAGES:
            if not (self.path / package / "__init__.py").is_file():
                raise SystemExit(f"{path} has no package {package}")
        self.folder = scratch / name
        # Of this command the package benchmarks, of the build all others.
        own = self.folder / "path"
        own.mkdir(parents=True)
        (own / "benchmarks").symlink_to(BENCHMARKS)
        self._environment = {
            **os.environ,
            "PYTHONPATH": f"{own}{os.pathsep}{self.path}",
            # No working folder before the build on the path.
            "PYTHONSAFEPATH": "1",
            "PYTHONUNBUFFERED": "1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        self._environment.pop("PYTHONHOME", None)

    def compile(self) -> None:
        """Compiles the packages, as the first import of each file would."""
        for package in PACKAGES:
            compileall.compile_dir(self.path / package, quiet=2)

    def verb(self, *words, **options) -> Run:
        """Runs `tfbert WORDS`."""
        return self.run("trainers.cli", *words, **options)

    def probe(self, name: str, *words) -> dict:
        """Runs a probe; returns its figures."""
        done = self.run(f"benchmarks.builds.probes.{name}", *words)
        return json.loads(done.output[-1])

    def run(
        self,
        module: str,
        *words,
        on_line: Callable[[str], None] | None = None,
    ) -> Run:
        """Runs `python -m MODULE WORDS` in the build's scratch folder.

        Args:
          on_line: called with each line of output as it comes.

        Raises:
          TooLong: it was ended at the limit.
          Failed: it failed.
        """
        command = [sys.executable, "-m", module, *map(str, words)]
        with tempfile.TemporaryFile("w+", errors="replace") as said:
            start = time.perf_counter()
            child = self._start(command, said)
            timer = threading.Timer(self.limit, _kill, [child.pid])
            timer.start()
            output = []
            try:
                for line in child.stdout:
                    output.append(line.rstrip("\n"))
                    if on_line:
                        on_line(output[-1])
                _, status, usage = os.wait4(child.pid, 0)
            except BaseException:
                _kill(child.pid)
                raise
            finally:
                timer.cancel()
                child.stdout.close()
            wall = time.perf_counter() - start
            child.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            self._check(child, wall, [*output[-20:], said.read()[-3000:]])
        # Linux counts in KiB, macOS in bytes.
        scale = 1 if sys.platform == "darwin" else 1024
        return Run(
            wall,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss * scale,
            output,
        )

    def _start(self, command: list[str], said) -> subprocess.Popen:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            errors="replace",
            start_new_session=True,
        )

    def _check(self, child: subprocess.Popen, wall: float, said: list[str]):
        """Raises Failed if a command did not end well."""
        what = f"{self.name}: {' '.join(child.args)}"
        if child.returncode == KILLED and wall >= self.limit:
            raise TooLong(f"{what} was ended after {self.limit:.0f} s")
        if child.returncode:
            raise Failed(
                f"{what} ended with {child.returncode}:\n" + "\n".join(said)
            )


def _kill(session: int) -> None:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass
