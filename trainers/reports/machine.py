"""What a report says about the machine: its use, waiting, memory."""

import statistics

from trainers.files.text import figure_text
from trainers.reports.plots import TRAIN, VALIDATION, Curve, Plot

# Fields of a "train" row that are about the machine, and no curves of their
# own.
FIELDS = (
    "mfu",
    "data_wait_share",
    "host_memory_bytes",
    "device_memory_bytes",
    "checkpoint_age_seconds",
    "eta_seconds",
)
# Field, label and remark of a headline figure that is a share.
SHARES = (
    ("mfu", "Model FLOPs utilisation", "median, of the measured matmul rate"),
    ("data_wait_share", "Waiting for data", "median share of the time"),
)
MEMORY = (
    ("host_memory_bytes", "Memory", "most seen"),
    ("device_memory_bytes", "GPU memory", "most on one GPU"),
)
GIGABYTE = 1e9


def headline(train: list[dict]) -> list[tuple[str, str, str]]:
    """(label, value, remark) of each figure that the rows know."""
    found = []
    for name, label, note in SHARES:
        if values := _values(train, name):
            found.append(
                (label, figure_text(name, statistics.median(values)), note)
            )
    for name, label, note in MEMORY:
        if values := _values(train, name):
            found.append((label, figure_text(name, max(values)), note))
    return found


def plots(train: list[dict]) -> list[Plot]:
    """Use of the machine, and memory; empty where nothing is known."""
    shares = [
        Curve(
            "utilisation" if name == "mfu" else "waiting for data",
            *_points(train, name),
            colour=TRAIN if name == "mfu" else VALIDATION,
            smooth=True,
        )
        for name, _, _ in SHARES
        if _values(train, name)
    ]
    memory = [
        Curve(
            "host" if name == "host_memory_bytes" else "GPU",
            *_points(train, name, GIGABYTE),
            colour=TRAIN if name == "host_memory_bytes" else VALIDATION,
        )
        for name, _, _ in MEMORY
        if _values(train, name)
    ]
    found = []
    if shares:
        found.append(
            Plot(
                "machine",
                "Use of the machine",
                "step",
                "share",
                shares,
                percent=True,
                from_zero=True,
            )
        )
    if memory:
        found.append(
            Plot("memory", "Memory", "step", "GB", memory, from_zero=True)
        )
    return found


def _values(train: list[dict], name: str) -> list[float]:
    return [row[name] for row in train if row.get(name) is not None]


def _points(
    train: list[dict], name: str, unit: float = 1.0
) -> tuple[list[int], list[float]]:
    """Steps and values of a field, in units."""
    rows = [row for row in train if row.get(name) is not None]
    return [row["step"] for row in rows], [row[name] / unit for row in rows]
