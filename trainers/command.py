"""What every verb shares: its parser, its console and its exit status."""

import atexit
import contextlib
import errno
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

from tfbert.errors import UserError
from tfbert.startup_notices import hide_startup_notices
from trainers.files import exit_status
from trainers.files.console import Stream, console, safe_output
from trainers.settings.parser import Parser

# TensorFlow logs its start-up, a missing GPU included, as notices and errors;
# real errors are raised besides. This has to come before the import.
hide_startup_notices()
# Else the first process on a GPU takes all of its memory, and an evaluation
# beside a training has none. Read when TensorFlow first uses a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

# Seconds that a failed process may take to end.
LONGEST_END = 120.0


def make_parser(
    verb: str,
    summary: str,
    example: str,
    may_be_addresses: Sequence[str] = (),
) -> Parser:
    """Returns the parser of `tfbert VERB`; its help ends with `example`.

    From here on what the packages log is printed: whoever makes a verb's
    parser is a verb.
    """
    show_messages()
    parser = Parser(
        prog=f"tfbert {verb}",
        description=summary,
        epilog=f"Example:  {example}",
        exit_on_error=True,
        # `--learning_rat` is a misspelling, not short for something.
        allow_abbrev=False,
    )
    parser.may_be_addresses = may_be_addresses
    return parser


class _ToConsole(logging.Handler):
    """Prints what is logged as a verb prints: the text alone."""

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        console.print(text, style=getattr(record, "style", None))


_to_console = _ToConsole()


def show_messages() -> None:
    """Prints what the packages log, from INFO on; once, however often called.

    The rooms below the verbs print nothing: they log under their own names,
    and a notebook or a service does with that what it likes.
    """
    for package in ("tfbert", "tfrecords", "trainers"):
        log = logging.getLogger(package)
        log.addHandler(_to_console)
        log.setLevel(logging.INFO)


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Turns the end that a signal brought a run into the exit status.

    Raises:
      SystemExit: with the status of what was Stopped inside.
    """
    try:
        yield
    except exit_status.Stopped as stopped:
        raise SystemExit(stopped.status) from None


def run(main: Callable[..., None], argv: list[str] | None = None) -> int:
    """Calls `main(argv)`; returns the exit status.

    A user's mistake is printed as one message on stderr, without a
    traceback; a fault of the program keeps its traceback.
    """
    with safe_output():
        return _run(main, argv)


def script(main: Callable[..., None]) -> int:
    """`run` for a process of its own, which never hangs at its end.

    A failed run may leave batches that are still being made, by threads of
    TensorFlow's that call Python. Once Python takes itself apart they can do
    so no more, and whoever waits for them waits for ever. So such a process
    ends when all that wants to be told of its end has been.
    """
    status: object = 1
    try:
        status = run(main)
        return status
    except SystemExit as end:
        status = end.code
        raise
    finally:
        if status is not None and status != 0:
            _leave.append(status if isinstance(status, int) else 1)
            # Who is told of the end should not hold it up for ever either.
            late = threading.Timer(LONGEST_END, _leave_at_once)
            late.daemon = True
            late.start()


# The status with which to leave, if that may not wait for anything.
_leave: list[int] = []


@atexit.register
def _leave_at_once() -> None:
    """The last of the functions of its kind, as it was registered first."""
    if _leave:
        for stream in (sys.stdout, sys.stderr):
            Stream(stream).flush()
        os._exit(_leave[-1])


def _run(main: Callable[..., None], argv: list[str] | None) -> int:
    try:
        main(argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    except OSError as error:
        if error.errno == errno.EMFILE:
            print(
                f"error: too many open files ({error}); raise the limit with "
                "`ulimit -n 4096` before the command",
                file=sys.stderr,
            )
            return exit_status.USER_ERROR
        # The reader of our output (`| head`) has gone; nothing is wrong.
        if not isinstance(error, BrokenPipeError):
            raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return exit_status.INTERRUPTED
    return 0
