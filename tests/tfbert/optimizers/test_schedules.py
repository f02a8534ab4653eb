import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.optimizers import SCHEDULES, WarmupLinearDecay
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
