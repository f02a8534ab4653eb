"""Sizes, durations and nested settings as text, one way for all rooms."""

from collections.abc import Mapping


def size(num_bytes: float | None) -> str:
    """1.5 MB; decimal units, as disks are sold."""
    if num_bytes is None:
        return "unknown"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= scale:
            return f"{num_bytes / scale:.3g} {unit}"
    return f"{num_bytes:,.0f} bytes"


def duration(seconds: float) -> str:
    """2 h 5 min, 3 min 20 s or 12 s."""
    seconds = round(seconds)
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    if minutes:
        return f"{minutes} min {seconds % 60} s"
    return f"{seconds} s"


def flat(tree: Mapping, prefix: str = "") -> dict:
    """Nested settings by their dotted names, {"data.records": ...}."""
    found = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found
