import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.optimizers import (
    SCHEDULES,
    WarmupLinearDecay,
    WarmupStableDecay,
)
from tfbert.optimizers.schedules import WarmupSchedule


def test_up_and_down():
    schedule = WarmupLinearDecay(2.0, 4, 10)
    rates = [float(schedule(step)) for step in range(13)]
    up, down = [0.5, 1.0, 1.5, 2.0], [2 * n / 6 for n in range(6, 0, -1)]
    np.testing.assert_allclose(rates, [*up, *down, 0, 0, 0], rtol=1e-6)


def test_without_warmup():
    schedule = WarmupLinearDecay(2.0, 0, 4)
    rates = [float(schedule(step)) for step in range(5)]
    np.testing.assert_allclose(rates, [2.0, 1.5, 1.0, 0.5, 0.0], rtol=1e-6)


FALLS = {
    "linear": lambda s: 1 - (s - 4) / 6,
    "cosine": lambda s: (1 + np.cos(np.pi * (s - 4) / 6)) / 2,
    "polynomial": lambda s: (1 - (s - 4) / 6) ** 2,
    # Update number s has s - 4 updates after the top behind it.
    "inverse_sqrt": lambda s: (4 / s) ** 0.5,
    "one_cycle": lambda s: (
        4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * (s - 4) / 6)) / 2
    ),
    # A fifth of the steps: updates 8 and 9.
    "stable_decay": lambda s: 1 - max(0, (s - 8) / 2) ** 0.5,
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_falls(name):
    schedule = SCHEDULES[name](2.0, 4, 10)
    rates = [float(schedule(step)) for step in range(10)]
    fall = [2 * FALLS[name](step) for step in range(4, 10)]
    up = [0.5, 1, 1.5, 2]
    if name == "one_cycle":
        # From a 25th, in a straight line.
        up = [2 * (0.04 + 0.96 * share / 4) for share in (1, 2, 3, 4)]
    np.testing.assert_allclose(rates, [*up, *fall], rtol=1e-6)
    assert min(rates) > 0
    # After the end the rate stays where it is.
    assert float(schedule(11)) == float(schedule(10))
    copy = type(schedule).from_config(schedule.get_config())
    assert copy.get_config() == schedule.get_config()


def test_a_schedule_must_say_how_it_falls():
    with pytest.raises(NotImplementedError, match="must define fall"):
        WarmupSchedule(1.0, 0, 2)(0)


@pytest.mark.parametrize("warmup, total", [(-1, 5), (5, 5), (0, 0)])
def test_nothing_left_to_train(warmup, total):
    with pytest.raises(UserError, match="below total_steps"):
        WarmupLinearDecay(1.0, warmup, total)


@pytest.mark.parametrize("share, warmup", [(0.0, 1), (-0.1, 1), (0.9, 2)])
def test_a_decay_that_cannot_be(share, warmup):
    with pytest.raises(UserError, match="a decay that begins after warm-up"):
        WarmupStableDecay(1.0, warmup, 10, share)


def test_what_comes_before_the_decay_does_not_know_of_the_end():
    """To the last bit, or a branch would not be the run that it left."""
    short, long = (
        WarmupStableDecay(3e-4, 100, total, 0.1) for total in (7001, 100_003)
    )
    for step in (0, 99, 100, 3000, 6300, 6301):
        assert float(short(step)) == float(long(step))
    assert float(short(6302)) < float(short(6301)) == np.float32(3e-4)
