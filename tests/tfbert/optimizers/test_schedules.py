import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.optimizers import WarmupLinearDecay


def test_up_and_down():
    schedule = WarmupLinearDecay(2.0, 4, 10)
    rates = [float(schedule(step)) for step in range(13)]
    up, down = [0.5, 1.0, 1.5, 2.0], [2 * n / 6 for n in range(6, 0, -1)]
    np.testing.assert_allclose(rates, [*up, *down, 0, 0, 0], rtol=1e-6)


def test_without_warmup():
    schedule = WarmupLinearDecay(2.0, 0, 4)
    rates = [float(schedule(step)) for step in range(5)]
    np.testing.assert_allclose(rates, [2.0, 1.5, 1.0, 0.5, 0.0], rtol=1e-6)


def test_config_round_trip():
    schedule = WarmupLinearDecay(2.0, 4, 10)
    copy = WarmupLinearDecay.from_config(schedule.get_config())
    assert copy.get_config() == schedule.get_config()


@pytest.mark.parametrize("warmup, total", [(-1, 5), (5, 5), (0, 0)])
def test_nothing_left_to_train(warmup, total):
    with pytest.raises(UserError, match="below total_steps"):
        WarmupLinearDecay(1.0, warmup, total)
