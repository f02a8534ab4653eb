"""What every verb shares: its parser, its console and its exit status."""

import difflib
import errno
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import jsonargparse
import rich.console

from tfbert.errors import UserError
from tfbert.local_paths import has_scheme, local_path
from tfbert.startup_notices import hide_startup_notices

# TensorFlow logs its start-up, a missing GPU included, as notices and errors;
# real errors are raised besides. This has to come before the import.
hide_startup_notices()

console = rich.console.Console(highlight=False, soft_wrap=True)

# Exit statuses; documented in docs/architecture.md.
STATUS_USER_ERROR = UserError.status
STATUS_INTERRUPTED = 130


class Parser(jsonargparse.ArgumentParser):
    """An argument parser whose errors name the nearest thing that exists.

    Attributes:
      may_be_addresses: names of what may be an address such as gs://bucket/x:
        what is read where it lies, and text that is no path. In all else an
        address is a mistake.
    """

    may_be_addresses: Sequence[str] = ()

    def parse_args(self, *args, **options) -> jsonargparse.Namespace:
        """Parses; see jsonargparse.

        Raises:
          UserError: it is not understood, or an address stands for a path.
        """
        namespace = super().parse_args(*args, **options)
        for name, value in namespace.items():
            if name not in self.may_be_addresses:
                for text in _addresses(value):
                    local_path(text, name)
        return namespace

    def error(self, message: str, ex: Exception | None = None):
        """Raises UserError with `message` and, for a misspelt name, advice."""
        raise UserError(
            f"{_first_lines(message)}{self._advice(message)}\n"
            f"`{self.prog} --help` lists the settings."
        ) from ex

    def _advice(self, message: str) -> str:
        known = sorted(
            action.dest for action in self._actions if action.dest != "help"
        )
        for word in _suspects(message):
            if word in known:
                continue
            near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
            if not near:
                # The section may be right and the last part misspelt, or a
                # setting may have been given without its section.
                leaf = {name.rsplit(".", 1)[-1]: name for name in known}
                last = word.rsplit(".", 1)[-1]
                found = difflib.get_close_matches(last, leaf, 1, 0.6)
                near = [leaf[name] for name in found]
            if near:
                return f"\nThe nearest setting to {word!r} is {near[0]!r}."
        return ""


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


def _first_lines(message: str) -> str:
    """Leaves out jsonargparse's own pointer to --help."""
    lines = [line for line in message.splitlines() if line.strip()]
    return "\n".join(lines)


def _suspects(message: str) -> list[str]:
    """The setting names that an error message may be about."""
    words = re.findall(r"--([\w.]+)", message)
    words += re.findall(r"[kK]ey[\" ]+'?([\w.]+)", message)
    words += re.findall(r"'([A-Za-z_][\w.]*)'", message)
    return words


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


def run(main: Callable[..., None], argv: list[str] | None = None) -> int:
    """Calls `main(argv)`; returns the exit status.

    A user's mistake is printed as one message on stderr, without a
    traceback; a fault of the program keeps its traceback.
    """
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
        if not isinstance(error, BrokenPipeError):
            raise
        # The reader of our output (`| head`) has gone; nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return STATUS_INTERRUPTED
    return 0
