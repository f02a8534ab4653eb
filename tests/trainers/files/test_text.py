"""Sizes, durations and nested settings as text."""

import pytest

from trainers.files.text import amount, duration, figure_text, flat, size


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


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("accuracy", 0.8294, "82.9%"),
        ("validation_accuracy", 1.0, "100.0%"),
        ("pearson", 0.8294512, "0.8295"),
        ("loss", 2, "2.0000"),
        ("loss", 0, "0.0000"),
        ("my_metric", -1.2345e-6, "-1.234e-06"),
        ("loss", 12345678.9, "1.235e+07"),
        ("mfu", 0.456, "45.6%"),
        ("data_wait_share", 0.02, "2.0%"),
        ("host_memory_bytes", 2.13e9, "2.13 GB"),
        ("eta_seconds", 200, "3 min 20 s"),
        ("tokens_per_second", 12345.6, "12,346"),
        ("step", 1200.0, "1,200"),
        ("learning_rate", 1e-4, "1.00e-04"),
        ("gradient_norm", 1.5, "1.5"),
        ("parameters", 13_210_000, "13.2 million"),
    ],
)
def test_figures_by_their_names(name, value, text):
    assert figure_text(name, value) == text


def test_amounts():
    assert amount(999) == "999"
    assert amount(3.3e9) == "3.3 billion"


def test_nested_settings_by_dotted_names():
    tree = {"data": {"records": ["a"], "seed": 1}, "steps": 3, "empty": {}}
    assert flat(tree) == {"data.records": ["a"], "data.seed": 1, "steps": 3}
