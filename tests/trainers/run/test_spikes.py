"""Spikes are found among noise, and states go on exactly."""

import json
import math

import numpy as np

from trainers.run.spikes import SpikeDetector


def steps(number, seed=0):
    rng = np.random.default_rng(seed)
    for step in range(number):
        yield {
            "loss": 4 * math.exp(-step / 300) + rng.normal(0, 0.1),
            "gradient_norm": math.exp(rng.normal(0, 0.3)),
        }


def test_noise_is_no_spike():
    for seed in range(5):
        detector = SpikeDetector()
        assert not any(map(detector.observe, steps(2000, seed)))


def test_spikes_are_told_with_their_size():
    for name, value in (("loss", 9.0), ("gradient_norm", 100.0)):
        detector = SpikeDetector()
        for values in steps(100):
            detector.observe(values)
        said = detector.observe({**values, name: value})
        assert said.startswith(name.replace("_", " "))
        assert "deviations above the median of 64 steps" in said
        # Once it is over, all is as before.
        assert detector.observe(values) is None


def test_nothing_is_said_before_enough_is_known():
    detector = SpikeDetector()
    assert detector.observe({"loss": 1.0, "gradient_norm": 1.0}) is None
    assert detector.observe({"loss": 1e6, "gradient_norm": 1e6}) is None


def test_equal_values_make_no_spike_of_dust():
    detector = SpikeDetector()
    for _ in range(64):
        detector.observe({"loss": 0.0, "gradient_norm": 1e-9})
    assert detector.observe({"loss": 0.1, "gradient_norm": 2e-9}) is None


def test_what_is_not_finite_or_zero_is_left_out():
    detector = SpikeDetector()
    for values in steps(40):
        detector.observe(values)
    before = detector.state()
    odd = {"loss": math.nan, "gradient_norm": 0.0}
    assert detector.observe(odd) is None
    assert detector.state() == before


def test_a_state_read_from_json_goes_on_exactly():
    whole, first, second = (SpikeDetector() for _ in range(3))
    values = list(steps(120))
    for value in values:
        whole.observe(value)
    for value in values[:70]:
        first.observe(value)
    second.load(json.loads(json.dumps(first.state())))
    for value in values[70:]:
        second.observe(value)
    assert second.state() == whole.state()
