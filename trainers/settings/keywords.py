"""Settings as keywords of a function: by their last part, or dotted."""

import dataclasses
import os
import typing
from collections.abc import Iterator, Mapping

import numpy as np

from tfbert.errors import UserError
from trainers.settings.nearest_name import nearest_setting
from trainers.settings.parser import Parser
from trainers.settings.parser_errors import in_words
from trainers.settings.sections import add_settings, instantiate


def settings_of(
    settings_class: type,
    keywords: Mapping[str, object],
    verb: str,
    others: tuple[str, ...] = (),
):
    """The settings that keywords give; defaults for all others.

    Args:
      settings_class: dataclass whose fields are section dataclasses or plain
        values.
      keywords: name -> value. A name is the last part of a setting's
        (learning_rate), the whole of it (optimization.learning_rate), or a
        section's with a dict of settings; "settings" is a dict of more.
      verb: whose settings they are, for messages.
      others: keywords of the function that are no settings, for messages.

    Raises:
      UserError: a name is of no setting, or of several; or a value is of the
        wrong type.
    """
    nested: dict = {}
    for full, value in full_names(
        settings_class, keywords, verb, others
    ).items():
        *sections, leaf = full.split(".")
        place = nested
        for section in sections:
            place = place.setdefault(section, {})
        place[leaf] = value
    parser = Parser(prog=f"tfbert {verb}", exit_on_error=True)
    add_settings(parser, settings_class)
    return instantiate(parser, parser.parse_object(nested), settings_class)


def full_names(
    settings_class: type,
    keywords: Mapping[str, object],
    verb: str,
    others: tuple[str, ...] = (),
) -> dict[str, object]:
    """Keywords as dotted settings with plain values; see `settings_of`.

    Raises:
      UserError: a name is of no setting, or of several, or given twice.
    """
    hints = dict(_hints(settings_class))
    found: dict = {}
    for name, value in _flat(keywords, hints):
        full = _full_name(name, hints, others, verb)
        if full in found:
            raise UserError(
                f"the setting {full} is given twice; leave one of them out"
            )
        found[full] = _plain(full, value, hints[full])
    return found


def _hints(settings_class: type, prefix: str = "") -> Iterator:
    """(dotted name, type) of all settings."""
    types = typing.get_type_hints(settings_class)
    for field in dataclasses.fields(settings_class):
        name, hint = prefix + field.name, types[field.name]
        if dataclasses.is_dataclass(hint):
            yield from _hints(hint, name + ".")
        else:
            yield name, hint


def _flat(values: Mapping, hints: Mapping, prefix: str = "") -> Iterator:
    """(name, value) of keywords, with those inside of sections."""
    for name, value in values.items():
        full = prefix + str(name)
        is_section = any(known.startswith(full + ".") for known in hints)
        if full == "settings" or is_section:
            if not isinstance(value, Mapping):
                raise UserError(
                    f"wanted {full} to be a dict of settings, got {value!r}"
                )
            yield from _flat(value, hints, full + "." if is_section else prefix)
        else:
            yield full, value


def _full_name(
    name: str, hints: Mapping, others: tuple[str, ...], verb: str
) -> str:
    if name in hints:
        return name
    found = [full for full in hints if full.rsplit(".", 1)[-1] == name]
    if len(found) == 1 and "." not in name:
        return found[0]
    if found and "." not in name:
        raise UserError(
            f"{name} may be {' or '.join(found)}: say which, as in settings="
            f"{{{found[0]!r}: ...}}"
        )
    near = nearest_setting(name, [*hints, *others])
    advice = f"; `tfbert {verb} --help` lists all"
    if near is not None:
        leaf = near.rsplit(".", 1)[-1]
        advice = f"; the nearest is {leaf}"
        advice += f" ({near})" if leaf != near else ""
    raise UserError(f"there is no setting {name}{advice}")


def _plain(name: str, value: object, hint: object) -> object:
    """A value as a config file would have it."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str) and (
        hint == list[str] or list[str] in typing.get_args(hint)
    ):
        return [value]
    if isinstance(value, list | tuple):
        return [_plain(name, part, None) for part in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(name, v, None) for k, v in value.items()}
    if value is None and hint is not None:
        may_be = {hint, *typing.get_args(hint)}
        if not may_be & {None, type(None)}:
            raise UserError(
                f"wanted {name} to be {in_words(hint)}, got None; leave it out "
                "for its default"
            )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise UserError(
        f"wanted text, numbers or lists of them for {name}, got "
        f"{type(value).__name__}"
    )
