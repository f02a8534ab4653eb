import numpy as np

from tfbert.layers.initializers import TruncatedNormal


def test_truncated_at_two_standard_deviations():
    values = TruncatedNormal(0.02, seed=0, name="a")((500, 400)).numpy()
    assert np.abs(values).max() <= 0.04
    # A normal cut at two sigma has 0.87963 of its standard deviation.
    assert abs(values.std() / (0.02 * 0.87963) - 1) < 0.01
    assert abs(values.mean()) < 2e-4
    # Its fourth moment over the second one squared is 2.3640, the normal's 3.
    assert abs(np.mean(values**4) / np.mean(values**2) ** 2 - 2.364) < 0.02


def test_a_function_of_seed_and_name():
    def draw(seed, name):
        return TruncatedNormal(0.02, seed, name)((7, 5)).numpy()

    np.testing.assert_array_equal(draw(1, "a"), draw(1, "a"))
    assert not np.array_equal(draw(1, "a"), draw(1, "b"))
    assert not np.array_equal(draw(1, "a"), draw(2, "a"))


def test_config_round_trip():
    first = TruncatedNormal(0.1, seed=3, name="x")
    second = TruncatedNormal.from_config(first.get_config())
    np.testing.assert_array_equal(first((4, 4)), second((4, 4)))
