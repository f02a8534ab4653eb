"""Which settings may change when a run goes on, and which may not."""

import dataclasses
import difflib
from pathlib import Path

from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from trainers.files.text import flat
from trainers.files.yaml_files import read_yaml

RESULT_SECTIONS = ("task", "model", "data", "optimization", "seed")


def check_allowed(settings) -> None:
    """Raises UserError if runtime.allow_change names what is no setting."""
    known = flat(dataclasses.asdict(settings))
    unknown = sorted(set(settings.runtime.allow_change) - set(known))
    if unknown:
        near = difflib.get_close_matches(unknown[0], known, 1)
        raise UserError(
            f"runtime.allow_change names {unknown[0]!r}, which is no setting"
            + (f"; the nearest is {near[0]!r}" if near else "")
        )


# What stood for settings that are null by default now, or are gone, and comes
# to the same.
_ONCE = {
    "data.max_length": 128,
    "data.separator": "whitespace",
    "optimization.group_by_length": False,
}


def check_same_run(settings, run_dir: str | Path) -> None:
    """Refuses to resume a run with settings that change its result.

    Raises:
      UserError: lists each setting that differs; runtime settings may, and
        those named in runtime.allow_change.
    """
    path = Path(run_dir) / SETTINGS_FILE
    if not path.exists():
        return
    try:
        saved = flat(read_yaml(path) or {})
    except (UserError, AttributeError) as error:
        raise UserError(
            f"wanted the settings of a run in {path}, got: {error}"
        ) from error
    check_allowed(settings)
    now = flat(dataclasses.asdict(settings))
    allowed = set(settings.runtime.allow_change)
    # A setting that came after the run began had, then, what is its default.
    saved = _defaults(settings) | saved
    differences = [
        f"  {name}: the run has {saved.get(name)!r}, now {now.get(name)!r}"
        for name in sorted(saved.keys() | now.keys())
        if saved.get(name) != now.get(name)
        and (now.get(name), saved.get(name)) != (None, _ONCE.get(name))
        and name.split(".")[0] in RESULT_SECTIONS
        and name not in allowed
    ]
    if differences:
        raise UserError(
            f"{run_dir} holds a run with other settings:\n"
            + "\n".join(differences)
            + "\nGive the same settings to resume it, another runtime.run_dir"
            " to start anew, or name what may change in runtime.allow_change."
        )


def _defaults(settings) -> dict:
    """The defaults of those settings that have one."""
    found = {}
    for section in dataclasses.fields(settings):
        fields = getattr(section.type, "__dataclass_fields__", {})
        named = {f"{section.name}.{n}": field for n, field in fields.items()}
        for name, field in {section.name: section, **named}.items():
            if field.default is not dataclasses.MISSING:
                found[name] = field.default
            elif field.default_factory in (list, dict):
                found[name] = field.default_factory()
    return found
