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


def test_a_temperature_is_taken_back():
    logits = np.array([[1.0, -2.0, 0.5], [0.1, 3.0, 0.2]])

    def rows(temperature):
        found = np.exp(logits / temperature)
        found /= found.sum(axis=1, keepdims=True)
        return [
            {"label": "a", "predicted": "ab"[i], "probabilities": list(row)}
            for i, row in enumerate(found)
        ]

    before = calibration.confidences(rows(1.0))
    np.testing.assert_allclose(
        calibration.confidences(rows(2.5), 2.5), before, rtol=1e-12
    )
    assert before[:, 1].tolist() == [1, 0]
    page = calibration.figure("x", calibration.confidences(rows(2.5)), before)
    assert "not calibrated it would be" in page and "not calibrated" in page


def test_each_of_any_number_of_labels_is_an_answer():
    def row(temperature):
        logits = np.array([2.0, -1.0])
        found = 1 / (1 + np.exp(-logits / temperature))
        return {
            "label": ["b"],
            "predicted": ["a"],
            "probabilities": found.tolist(),
        }

    pairs = calibration.confidences([row(1.0)], labels=["a", "b"])
    sure = 1 / (1 + np.exp(-np.array([2.0, 1.0])))
    np.testing.assert_allclose(pairs, np.stack([sure, [0, 0]], axis=1))
    np.testing.assert_allclose(
        calibration.confidences([row(3.0)], 3.0, ["a", "b"]), pairs
    )
    # Whoever does not say the labels leaves such rows out.
    assert len(calibration.confidences([row(1.0)])) == 0
