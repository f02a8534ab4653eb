"""What every verb shares: its parser, its console and its exit status."""

import atexit
import errno
import itertools
import json
import os
import sys
import threading
import typing
from collections.abc import Callable, Iterator, Sequence

import jsonargparse

from tfbert.errors import UserError
from tfbert.local_paths import has_scheme, local_path
from tfbert.startup_notices import hide_startup_notices
from trainers.settings import parser_errors
from trainers.settings.console import Console, Stream, safe_output

# TensorFlow logs its start-up, a missing GPU included, as notices and errors;
# real errors are raised besides. This has to come before the import.
hide_startup_notices()
# Else the first process on a GPU takes all of its memory, and an evaluation
# beside a training has none. Read when TensorFlow first uses a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")

console = Console()

# Exit statuses; documented in docs/architecture.md.
STATUS_USER_ERROR = UserError.status
STATUS_INTERRUPTED = 130
# Seconds that a failed process may take to end.
LONGEST_END = 120.0


class Parser(jsonargparse.ArgumentParser):
    """A parser that takes lists as people write them, and helps with names.

    A setting that is a list of texts may be given as `review` or `a,b`
    instead of `[a, b]`; an error names the nearest setting that exists.

    Attributes:
      may_be_addresses: names of what may be an address such as gs://bucket/x:
        what is read where it lies, and text that is no path. In all else an
        address is a mistake.
    """

    may_be_addresses: Sequence[str] = ()
    _config: str | None = None

    def parse_args(self, args=None, *others, **named) -> jsonargparse.Namespace:
        """Parses `args` (default: the command line); see jsonargparse.

        Raises:
          UserError: it is not understood, or an address stands for a path.
        """
        args = sys.argv[1:] if args is None else list(args)
        self._config = _value_of("--config", args)
        args = self._with_lists(args)
        namespace = super().parse_args(args, *others, **named)
        for name, value in namespace.items():
            if name not in self.may_be_addresses:
                for text in _addresses(value):
                    local_path(text, name)
        return namespace

    def _with_lists(self, args: list[str]) -> list[str]:
        """The arguments, with lists of texts in brackets."""
        lists = {
            option
            for action in self._actions
            if _is_list_of_texts(getattr(action, "_typehint", None))
            for option in action.option_strings
        }
        changed, expected = [], False
        for argument in args:
            option, equals, value = argument.partition("=")
            if expected:
                argument = _in_brackets(argument)
            elif equals and option in lists:
                argument = f"{option}={_in_brackets(value)}"
            expected = argument in lists
            changed.append(argument)
        return changed

    def error(self, message: str, ex: Exception | None = None):
        """Raises UserError with `message` in words that are a user's."""
        known = {
            action.dest: getattr(action, "_typehint", action.type)
            for action in self._actions
            if action.dest != "help"
        }
        text = parser_errors.explain(message, known, self._config)
        raise UserError(
            f"{text}\n`{self.prog} --help` lists the settings."
        ) from ex


def _value_of(option: str, args: list[str]) -> str | None:
    """The last value that is given to an option."""
    found = None
    for argument, following in itertools.zip_longest(args, args[1:]):
        name, equals, value = argument.partition("=")
        if name == option:
            found = value if equals else following
    return found


def _addresses(value: object) -> Iterator[str]:
    """The addresses in a value of the settings."""
    if isinstance(value, str) and has_scheme(value):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _addresses(part)
    elif isinstance(value, dict):
        yield from _addresses(list(value.values()))
    elif isinstance(value, jsonargparse.Namespace):
        yield from _addresses(list(vars(value).values()))


def _is_list_of_texts(hint) -> bool:
    """Whether a type is list[str], or that or None."""
    return hint == list[str] or list[str] in typing.get_args(hint)


def _in_brackets(text: str) -> str:
    """A list as YAML: `a,b` as ["a", "b"]; what is in brackets stays."""
    if text.strip().startswith("[") or text.strip() in ("null", ""):
        return text
    return json.dumps([part.strip() for part in text.split(",")])


def make_parser(
    verb: str,
    summary: str,
    example: str,
    may_be_addresses: Sequence[str] = (),
) -> Parser:
    """Returns the parser of `tfbert VERB`; its help ends with `example`."""
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


def warn(text: str) -> None:
    """Prints a line to standard error; raises nothing if nobody reads it."""
    Stream(sys.stderr).write(text + "\n")


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
            return STATUS_USER_ERROR
        # The reader of our output (`| head`) has gone; nothing is wrong.
        if not isinstance(error, BrokenPipeError):
            raise
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return STATUS_INTERRUPTED
    return 0
