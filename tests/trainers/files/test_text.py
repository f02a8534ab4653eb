"""Sizes, durations and nested settings as text."""

import pytest

from trainers.files.text import duration, flat, size


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (12, "12 s"),
        (59.9, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "unknown"),
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1500, "1.5 kB"),
        (44_000_000, "44 MB"),
        (2.5e9, "2.5 GB"),
    ],
)
def test_sizes(count, text):
    assert size(count) == text


def test_nested_settings_by_dotted_names():
    tree = {"data": {"records": ["a"], "seed": 1}, "steps": 3, "empty": {}}
    assert flat(tree) == {"data.records": ["a"], "data.seed": 1, "steps": 3}
