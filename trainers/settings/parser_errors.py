"""jsonargparse's messages about a command line or a config file, in words."""

import dataclasses
import re
import types
import typing
from collections.abc import Callable, Mapping

from trainers.settings.nearest_name import nearest_setting

_TYPES = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "text",
    type(None): "null",
    dict: "names with values",
}


def explain(
    message: str, settings: Mapping[str, typing.Any], config: str | None
) -> str:
    """What was wanted, what came and what to do.

    Args:
      message: jsonargparse's.
      settings: type of each setting by its name, "section.name".
      config: the file with settings that was given, if one was.

    Returns:
      one or two lines; the message itself where it is of no known form.
    """
    for pattern, answer in _FORMS:
        match = re.search(pattern, message, re.DOTALL)
        text = match and answer(match, settings, config)
        if text:
            return text
    lines = [line for line in message.splitlines() if line.strip()]
    return "\n".join(lines)


def in_words(hint: typing.Any) -> str:
    """A type as a user would name it: `int | None` is a whole number or null.

    Args:
      hint: a type of Python; a dataclass stands for its fields.
    """
    if dataclasses.is_dataclass(hint):
        return ", ".join(field.name for field in dataclasses.fields(hint))
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, parts))
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(in_words, parts))
    if hint is list or origin is list:
        of = parts[0] if parts else str
        if dataclasses.is_dataclass(of):
            return f"a list of {{{in_words(of)}}}"
        return "a list such as " + ("[1, 2]" if of is int else "[a, b]")
    return _TYPES.get(origin or hint, getattr(hint, "__name__", str(hint)))


def _ill_typed(match, settings, config) -> str | None:
    name = match["name"]
    if name not in settings:
        return None
    wanted = in_words(settings[name])
    return f"wanted {name} to be {wanted}, got {match['value'].strip()}"


def _no_file(match, settings, config) -> str:
    return (
        f"wanted a YAML file with settings, got {config or match['path']}: "
        "there is no such file"
    )


def _no_settings(match, settings, config) -> str:
    found = match["value"].strip().split("\n")[0][:40]
    return (
        f"wanted a YAML file with settings, got {config or 'one'} that begins "
        f"with {found!r} and names none"
    )


def _no_yaml(match, settings, config) -> str:
    problem = re.sub(r'\s*in "<.*?>",', ",", match["problem"])
    problem = "; ".join(line.strip() for line in problem.splitlines())
    return f"{config or 'the config file'} is not YAML: {problem}"


def _section(match, settings, config) -> str | None:
    prefix = match["name"] + "."
    inside = [name for name in settings if name.startswith(prefix)]
    if not inside:
        return None
    meant = nearest_setting(match["name"], inside) or inside[0]
    return (
        f"{match['name']} is a section and holds settings, got "
        f"{match['value']!r}. Give one of them by name, such as --{meant}"
    )


def _no_option(match, settings, config) -> str:
    name = f"{match['group']}.{match['name']}"
    place = f"{config}: " if config else ""
    return f"{place}there is no setting {name}" + _nearest(name, settings)


def _no_key(match, settings, config) -> str:
    name = match["name"]
    place = f"{config}: " if config else ""
    return f"{place}there is no setting {name}" + _nearest(name, settings)


def _not_recognized(match, settings, config) -> str:
    words = match["words"].split()
    options = [word for word in words if word.startswith("-")]
    if not options:
        name = "data" if "data" in settings else "NAME"
        return (
            f"{words[0]!r} stands alone, and settings are given by name: "
            f"--{name} {words[0]}"
        )
    name = options[0].split("=", 1)[0].lstrip("-")
    return f"there is no setting --{name}" + _nearest(name, settings)


def _missing(match, settings, config) -> str:
    names = re.split(r",\s*", match["names"].strip())
    return "wanted also " + ", ".join(f"--{name}" for name in names)


def _no_value(match, settings, config) -> str:
    return f"wanted a value after {match['name']}, got none"


def _nearest(name: str, settings) -> str:
    near = nearest_setting(name, settings)
    return f"\nThe nearest setting to {name!r} is {near!r}." if near else ""


_FORMS: list[tuple[str, Callable]] = [
    (r'key "config": File does not exist: \'(?P<path>.*?)\'', _no_file),
    (r"Unexpected config: (?P<value>.*)", _no_settings),
    (r"Problems parsing config: (?P<problem>.*)", _no_yaml),
    (
        r'key "(?P<name>[\w.]+)":\s*Unable to load config \'(?P<value>.*?)\'',
        _section,
    ),
    (r'key "(?P<name>[\w.]+)":.*Given value: (?P<value>.*)', _ill_typed),
    (r'key "(?P<name>[\w.]+)":.*\. Got value: (?P<value>.*)', _ill_typed),
    (
        r"Group '(?P<group>[\w.]+)' does not accept option '(?P<name>.*?)'",
        _no_option,
    ),
    (r"Option '(?P<name>[^']+)' is not accepted", _no_key),
    (r"[Uu]nrecognized arguments: (?P<words>.*)", _not_recognized),
    (r"arguments are required: (?P<names>[^\n]*)", _missing),
    (r"argument (?P<name>--[\w.]+).*: expected one argument", _no_value),
]
