"""What all workers must have alike: settings, code, versions and data."""

import dataclasses
import hashlib
import importlib.metadata
import platform
from pathlib import Path

import tfbert
import tfrecords
import trainers
from trainers.files.text import flat

PACKAGES = ("tensorflow", "keras", "tensorflow-text", "numpy")
MANY = 20
# Files beyond this are told by name and size: reading them would take longer
# than it is worth before every start.
HASHED_BYTES = 1_000_000_000


def run_facts(settings, about: dict) -> dict[str, str]:
    """What is compared before the first step.

    Args:
      settings: resolved settings, a dataclass.
      about: what run.json says of the run; it has hashes and labels.

    Returns:
      name of a setting, a file of code, a package, a path of data -> value.
    """
    facts = flat(dataclasses.asdict(settings))
    facts |= {f"run.json {key}": value for key, value in flat(about).items()}
    facts |= {f"data {path}": value for path, value in _data(settings)}
    facts |= _versions()
    facts |= _code()
    return {name: str(value) for name, value in facts.items()}


def differences(facts: dict[str, dict[str, str]]) -> list[str]:
    """Lines about facts that are not the same on all workers.

    Args:
      facts: worker -> its facts; the first one is what others are held to.
    """
    first, *others = facts
    lines = []
    for other in others:
        mine, theirs = facts[first], facts[other]
        for name in sorted(mine.keys() | theirs.keys()):
            if mine.get(name) != theirs.get(name):
                lines.append(
                    f"{name}: {theirs.get(name, 'nothing')} on {other}, "
                    f"{mine.get(name, 'nothing')} on {first}"
                )
    if len(lines) > MANY:
        lines = [*lines[:MANY], f"... and {len(lines) - MANY} more"]
    return lines


def _data(settings):
    """(path, digest) of each file or folder that the settings name."""
    for section in ("data", "model"):
        part = getattr(settings, section, None)
        if part is None:
            continue
        for value in flat(dataclasses.asdict(part)).values():
            for text in value if isinstance(value, list) else [value]:
                if not isinstance(text, str) or not text:
                    continue
                path = Path(text)
                if path.exists():
                    yield text, _digest(path)


def _digest(path: Path) -> str:
    if path.is_file():
        return _file_digest(path)
    parts = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        # The manifest beside records has the checksum of each shard.
        if file.is_file() and file.suffix in (".json", ".txt"):
            name = file.relative_to(path)
            parts.update(f"{name} {_file_digest(file)}\n".encode())
    return parts.hexdigest()[:16]


def _file_digest(path: Path) -> str:
    size = path.stat().st_size
    if size > HASHED_BYTES:
        return f"{size} bytes"
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return {f"version of {name}": value for name, value in found.items()}


def _code() -> dict[str, str]:
    """Our own source files, each with its hash."""
    found = {}
    for package in (tfbert, tfrecords, trainers):
        root = Path(package.__file__).parent
        for path in sorted(root.rglob("*.py")):
            name = f"{root.name}/{path.relative_to(root)}"
            found[f"code {name}"] = _file_digest(path)
    return found
