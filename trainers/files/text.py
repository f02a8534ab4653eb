"""Figures, sizes, durations and settings as text, one way for all rooms."""

from collections.abc import Mapping

# Figures that are shares end so.
_SHARES = ("accuracy", "majority_baseline", "chance", "mfu", "_share")
_NUMBERS = ("_per_second", "step", "steps")


def figure_text(name: str, value: float) -> str:
    """A figure as progress, dry runs, tables and reports show it.

    Args:
      name: as in metrics.jsonl, also with something before it, such as
        "validation_accuracy"; it says what the figure is.
      value: finite.
    """
    if is_share(name):
        return f"{value:.1%}"
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith("_seconds"):
        return duration(value)
    if name.endswith(_NUMBERS):
        return f"{value:,.0f}"
    if name == "parameters":
        return amount(value)
    if name == "learning_rate":
        return f"{value:.2e}"
    if name == "gradient_norm" or (value and not 1e-3 <= abs(value) < 1e6):
        return f"{value:.4g}"
    return f"{value:.4f}"


def is_share(name: str) -> bool:
    """Whether a figure is a share, written in per cent."""
    return name.endswith(_SHARES)


def amount(number: float) -> str:
    """4,096 or 13.2 million."""
    for scale, name in ((1e9, "billion"), (1e6, "million")):
        if number >= scale:
            return f"{number / scale:.3g} {name}"
    return f"{number:,.0f}"


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
