"""The oracle of the temperature is the lowest loss on a grid."""

import numpy as np
import pytest
import scipy.special

from trainers.finetuning.metrics import temperature
from trainers.finetuning.metrics.temperature import OneOfMany, YesOrNo


def scores(kind, seed, spread, examples=200):
    """Of a model whose logits are `spread` times what they should be."""
    draw = np.random.default_rng(seed)
    logits = 2 * draw.normal(size=[examples, 4])
    if kind is YesOrNo:
        gold = draw.random(logits.shape) < scipy.special.expit(logits)
        return YesOrNo((spread * logits).astype(np.float32), gold)
    chances = scipy.special.softmax(logits, axis=1)
    gold = np.array([draw.choice(4, p=row) for row in chances])
    return OneOfMany((spread * logits).astype(np.float32), gold)


def brute_force(found):
    """Loss by SciPy at each of many temperatures."""
    grid = np.exp(np.linspace(np.log(0.1), np.log(10), 4001))
    logits = found.logits.astype(np.float64)
    if isinstance(found, YesOrNo):
        sign = np.where(found.gold, 1, -1)
        losses = [
            -scipy.special.log_expit(sign * logits / t).mean() for t in grid
        ]
    else:
        rows = np.arange(len(logits))
        losses = [
            -scipy.special.log_softmax(logits / t, axis=1)[
                rows, found.gold
            ].mean()
            for t in grid
        ]
    return grid[np.argmin(losses)], min(losses)


@pytest.mark.parametrize("kind", [OneOfMany, YesOrNo])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0])
def test_it_has_the_lowest_loss_of_a_grid(kind, spread):
    found = scores(kind, 1, spread)
    fitted = temperature.fitted(found)
    best, loss = brute_force(found)
    assert fitted == pytest.approx(best, rel=2e-3)
    assert found.loss(fitted) == pytest.approx(loss, rel=1e-6)
    assert found.loss(fitted) <= loss + 1e-9
    # It undoes what was done to the logits.
    assert fitted == pytest.approx(spread, rel=0.25)


@pytest.mark.parametrize("kind", [OneOfMany, YesOrNo])
def test_the_slope_is_that_of_the_loss(kind):
    found = scores(kind, 2, 1.0)
    for inverse in (0.2, 1.0, 3.0):
        step = 1e-5
        after, before = inverse + step, inverse - step
        slope = (found.loss(1 / after) - found.loss(1 / before)) / (2 * step)
        assert found.slope(inverse) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("kind", [OneOfMany, YesOrNo])
def test_what_is_too_few_or_all_right_tells_nothing(kind):
    few = scores(kind, 3, 2.0, temperature.LEAST_EXAMPLES - 1)
    assert temperature.fitted(few) is None
    enough = scores(kind, 3, 2.0, temperature.LEAST_EXAMPLES)
    assert temperature.fitted(enough) is not None
    if kind is YesOrNo:
        right = YesOrNo(enough.logits, enough.logits > 0)
    else:
        right = OneOfMany(enough.logits, enough.logits.argmax(axis=1))
    assert temperature.fitted(right) is None
    broken = enough.logits.copy()
    broken[0, 0] = np.nan
    assert temperature.fitted(kind(broken, enough.gold)) is None


@pytest.mark.parametrize("kind", [OneOfMany, YesOrNo])
def test_it_has_bounds(kind):
    assert temperature.fitted(scores(kind, 4, 100.0)) == temperature.HIGHEST
    assert temperature.fitted(scores(kind, 4, 0.001)) == temperature.LOWEST
    # Right by chance: the surer the worse.
    found = scores(kind, 4, 1.0)
    wrong = found.gold[::-1]
    assert temperature.fitted(kind(found.logits, wrong)) > 2


def test_choices_that_are_none_count_for_nothing():
    found = scores(OneOfMany, 5, 2.0)
    padding = np.full([len(found.gold), 2], -1e9, np.float32)
    logits = np.concatenate([found.logits, padding], axis=1)
    padded = OneOfMany(logits, found.gold)
    assert temperature.fitted(padded) == temperature.fitted(found)


@pytest.mark.parametrize("kind", [OneOfMany, YesOrNo])
def test_answers_stay_as_they_are(kind):
    found = scores(kind, 6, 3.0)
    before, after = found.confidences(), found.confidences(2.0)
    np.testing.assert_array_equal(before[:, 1], after[:, 1])
    assert (after[:, 0] <= before[:, 0] + 1e-12).all()
