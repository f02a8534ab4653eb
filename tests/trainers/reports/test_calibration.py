import numpy as np
import pytest

from trainers.reports import calibration


def test_calibration_is_that_of_the_definition():
    pairs = np.array([(0.95, 1), (0.65, 0), (0.9, 0), (1.0, 1)], float)
    bins, error = calibration.calibration(pairs)
    assert bins[0] == (0.65, 0, 1)
    assert bins[1] == pytest.approx((0.95, 2 / 3, 3))
    assert error == pytest.approx((0.65 + 3 * (0.95 - 2 / 3)) / 4)
    # Right as often as sure: no error.
    draw = np.random.default_rng(0)
    sure = draw.uniform(0.5, 1, 20_000)
    right = draw.random(20_000) < sure
    exact = np.stack([sure, right], axis=1).astype(float)
    assert calibration.calibration(exact)[1] < 0.02
