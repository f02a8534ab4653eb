import logging

import numpy as np
import pytest

from trainers.files.events import read_events
from trainers.pretraining import plateau
from trainers.pretraining.plateau import PlateauWatch


class Optimizer:
    def __init__(self, iterations):
        self.iterations = np.int64(iterations)


class Model:
    def __init__(self, iterations):
        self.optimizer = Optimizer(iterations)


@pytest.fixture
def watch(tmp_path):
    """Returns a function: (losses of intervals, steps before) -> the watch."""

    def run(losses, restored=0, total_steps=10_000, length=32):
        watch = PlateauWatch(tmp_path, 6.0, length, 100, total_steps)
        watch.set_model(Model(restored))
        watch.set_params({})
        watch.on_train_begin()
        for number, loss in enumerate(losses):
            logs = {"masked_lm_loss": 6.0 * loss, "loss_weight": 1.0}
            for batch in range(100):
                watch.on_train_batch_end(number * 100 + batch, logs)
        watch.on_train_end()
        return watch

    return run


def told(folder):
    return [e for e in read_events(folder) if e["event"] == plateau.EVENT]


def test_a_long_plateau_is_told_once(watch, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        watch([1.2, 1.1, *[1.02, 0.97] * 8])
    (event,) = told(tmp_path)
    # A tenth of the run, from the end of the second interval on.
    assert event["step"] == 1200
    assert "for 1,000 steps the loss has been that of token" in caplog.text
    assert caplog.text.count("What helps: ") == 1
    # Rows of 32 are short already.
    assert "--max_length" not in caplog.text
    watch([1.0] * 20, restored=1800)
    assert len(told(tmp_path)) == 1


@pytest.mark.parametrize(
    "losses",
    [
        [1.5, 1.2, *[1.0] * 9, *[0.9] * 9],
        [*[1.0] * 8, 0.9, *[1.0] * 8],
        [0.94] * 20,
        [1.06] * 20,
        [float("nan")] * 20,
    ],
)
def test_other_losses_are_not(watch, tmp_path, losses):
    watch(losses)
    assert not told(tmp_path)


def test_a_short_run_is_not_told_after_a_tenth(watch, tmp_path):
    watch([1.0] * 4, total_steps=1000)
    assert not told(tmp_path)
    watch([1.0] * 6, total_steps=1000)
    assert told(tmp_path)[0]["step"] == 500


def test_long_rows_are_advised_to_be_short_first(watch, caplog):
    with caplog.at_level(logging.WARNING):
        watch([1.0] * 10, length=128)
    assert "tfbert records --max_length 32" in caplog.text
