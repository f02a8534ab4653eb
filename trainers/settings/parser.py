"""A parser that takes lists as people write them, and helps with names."""

import itertools
import json
import sys
import typing
from collections.abc import Iterator, Sequence

import jsonargparse

from tfbert.errors import UserError
from tfbert.local_paths import has_scheme, local_path
from trainers.settings import parser_errors


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
    """Whether a type is list[str] or list[int | str], or that or None."""
    lists = (list[str], list[int | str])
    return hint in lists or any(a in lists for a in typing.get_args(hint))


def _in_brackets(text: str) -> str:
    """A list as YAML: `a,b` as ["a", "b"]; what is in brackets stays."""
    if text.strip().startswith("[") or text.strip() in ("null", ""):
        return text
    return json.dumps([part.strip() for part in text.split(",")])
