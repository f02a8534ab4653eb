"""Standard output that cannot end a run.

Whoever reads it may go (`| head`, a `tee` that dies), its disk may be full,
and its encoding may lack a character. A run is worth more than its words:
what cannot be written is left out, and `lost` says why.
"""

import contextlib
import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import IO

import rich.console
import rich.text

from tfbert.errors import UserError
from trainers.files import exit_status

# Somebody may make room on a disk; no reader comes back.
_MAY_PASS = (errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR)


class OutputError(UserError):
    """What somebody asked for cannot be written to standard output."""

    status = exit_status.CANNOT_WRITE


class Stream:
    """A text stream whose `write` and `flush` raise nothing.

    Args:
      stream: what is written to; None: it was closed before we began.

    Attributes:
      lost: why something was not written; None: all was.
    """

    def __init__(self, stream: IO[str] | None):
        self.stream = stream
        self.lost: Exception | None = None
        self._gone = stream is None
        if stream is None:
            self.lost = OSError(errno.EBADF, "it is closed")

    def __getattr__(self, name: str):
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Writes what can be written, and says that all was."""
        self._attempt(lambda: self.stream.write(self._writable(text)))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Writes each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flushes what can be flushed."""
        self._attempt(lambda: self.stream.flush())

    def isatty(self) -> bool:
        """Whether a person may look at it."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            return not self._gone and self.stream.isatty()
        return False

    @property
    def closed(self) -> bool:
        """Whether there is nothing behind it."""
        return self.stream is None or self.stream.closed

    def _attempt(self, write: Callable[[], object]) -> None:
        if self._gone:
            return
        try:
            write()
        # ValueError: somebody has closed it.
        except (OSError, ValueError) as error:
            self.lost = error
            self._gone = getattr(error, "errno", None) not in _MAY_PASS

    def _writable(self, text: str) -> str:
        """`text`, with escapes for what the stream's encoding lacks."""
        encoding = getattr(self.stream, "encoding", None) or "utf-8"
        try:
            text.encode(
                encoding, getattr(self.stream, "errors", None) or "strict"
            )
        except UnicodeEncodeError:
            return text.encode(encoding, "backslashreplace").decode(encoding)
        except LookupError:
            pass
        return text


class Console(rich.console.Console):
    """A console for text as it is: brackets and colons mean nothing in it.

    `print` raises nothing for what cannot be written. `show` is for verbs
    whose result is what they print.
    """

    _safe: Stream | None = None

    def __init__(self, **options):
        # Of rich's markup "[/x]" is an error, and ":cat:" a picture.
        plain = {"markup": False, "emoji": False, "highlight": False}
        super().__init__(**{**plain, "soft_wrap": True, **options})

    @property
    def file(self) -> IO[str]:
        """Where to: what sys.stdout is at the moment, made safe."""
        stream = rich.console.Console.file.fget(self)
        if sys.stdout is None and self._file is None:
            stream = None
        if isinstance(stream, Stream):
            return stream
        if self._safe is None or self._safe.stream is not stream:
            self._safe = Stream(stream)
        return self._safe

    @file.setter
    def file(self, stream: IO[str]) -> None:
        self._file = stream

    @property
    def lost(self) -> Exception | None:
        """Why something was not written, if something was not."""
        return self.file.lost

    def show(self, *objects, **options) -> None:
        """Prints what the user asked for.

        Raises:
          BrokenPipeError: the reader (`| head`) has seen enough.
          OutputError: it cannot be written.
        """
        self.print(*objects, **options)
        self._check()

    def show_line(self, line: str) -> None:
        """Writes a line for programs: nothing in it is changed or wrapped.

        Raises:
          BrokenPipeError, OutputError: see `show`.
        """
        self.file.write(line + "\n")
        self.file.flush()
        self._check()

    def _check(self) -> None:
        error = self.lost
        if isinstance(error, BrokenPipeError):
            raise error
        if error is not None:
            reason = getattr(error, "strerror", None) or str(error)
            raise OutputError(
                f"cannot write the result to standard output: {reason}"
            )


@contextlib.contextmanager
def safe_output() -> Iterator[None]:
    """While it is open no write to standard output or error raises.

    Python's own print and that of other packages included. What was closed
    before the program began becomes /dev/null, so that no file that is opened
    later gets its number, and with it what is printed.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    before = sys.stdout, sys.stderr
    mine = Stream(sys.stdout), Stream(sys.stderr)
    sys.stdout, sys.stderr = mine
    try:
        yield
    finally:
        for stream in mine:
            stream.flush()
        # Python flushes both at its end, and fails where it cannot.
        if sys.stdout is mine[0] and mine[0].lost is None:
            sys.stdout = before[0]
        if sys.stderr is mine[1] and mine[1].lost is None:
            sys.stderr = before[1]


console = Console()


def warn(text: str) -> None:
    """Prints a line to standard error; raises nothing if nobody reads it."""
    Stream(sys.stderr).write(text + "\n")


@contextlib.contextmanager
def working(what: str) -> Iterator[None]:
    """While it is open: on a terminal a spinner, elsewhere a line.

    Args:
      what: is being done, for work of unknown length.
    """
    if console.is_terminal:
        with console.status(rich.text.Text(what)):
            yield
    else:
        console.print(f"{what} ...")
        yield
