import math

import numpy as np
import pytest
import tensorflow as tf

from trainers.watching.meter import IntervalMeter, as_float


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_mean_is_over_predictions_not_over_steps():
    meter = IntervalMeter()
    meter.add({"loss": 4.0, "masked_lm_accuracy": 0.0, "loss_weight": 10.0})
    meter.add({"loss": 1.0, "masked_lm_accuracy": 1.0, "loss_weight": 30.0})
    row = meter.take()
    assert row["loss"] == pytest.approx((40 + 30) / 40)
    assert row["masked_lm_accuracy"] == pytest.approx(0.75)
    assert row["loss_weight"] == 40
    assert row["steps"] == 2


def test_counts_add_up_and_settings_keep_their_last_value():
    meter = IntervalMeter()
    meter.add({"tokens": 7.0, "learning_rate": 0.1, "gradient_norm": 1.0})
    meter.add({"tokens": 5.0, "learning_rate": 0.2, "gradient_norm": 3.0})
    row = meter.take()
    assert row["tokens"] == 12
    assert row["learning_rate"] == 0.2
    assert row["gradient_norm"] == 2.0
    assert meter.take() == {"steps": 0}


def test_the_share_of_real_tokens_is_that_of_all_computed_places():
    meter = IntervalMeter()
    meter.add({"tokens": 30.0, "places": 40.0}, steps=3)
    meter.add({"tokens": 10.0, "places": 80.0})
    row = meter.take()
    assert row["real_tokens_share"] == pytest.approx(100 / 200)
    assert "places" not in row
    meter.add({"tokens": 0.0, "places": 0.0})
    assert "real_tokens_share" not in meter.take()


def test_several_steps_in_one_call_weigh_as_several():
    meter = IntervalMeter()
    meter.add({"loss": 3.0, "tokens": 8.0, "loss_weight": 2.0}, steps=3)
    meter.add({"loss": 7.0, "tokens": 8.0, "loss_weight": 2.0}, steps=1)
    row = meter.take()
    assert row["loss"] == pytest.approx(4.0)
    assert row["tokens"] == 32
    assert row["steps"] == 4


def test_values_that_are_not_finite_do_not_spoil_the_mean():
    meter = IntervalMeter()
    for loss, norm in [(2.0, math.inf), (math.nan, math.inf), (4.0, math.nan)]:
        meter.add({"loss": loss, "gradient_norm": norm, "loss_weight": 1.0})
    row = meter.take()
    assert row["loss"] == 3.0
    assert row["gradient_norm"] is None


def test_weights_of_zero_or_nan_count_as_one():
    meter = IntervalMeter()
    meter.add({"loss": 1.0, "loss_weight": 0.0})
    meter.add({"loss": 3.0, "loss_weight": math.nan})
    assert meter.take()["loss"] == 2.0


def test_tensors_arrays_and_numbers_are_the_same():
    meter = IntervalMeter()
    meter.add({"loss": tf.constant(1.0)})
    meter.add({"loss": np.float32(2.0)})
    meter.add({"loss": 3})
    assert meter.take()["loss"] == 2.0
    assert math.isnan(as_float("no number"))
    assert math.isnan(as_float([1.0, 2.0]))


def test_the_first_step_and_pauses_are_not_timed():
    clock = Clock()
    meter = IntervalMeter(clock)
    meter.start()
    clock.now += 60  # compiles
    meter.add({"tokens": 1000.0})
    row = meter.take()
    assert "tokens_per_second" not in row and "seconds" not in row
    clock.now += 2
    meter.add({"tokens": 100.0})
    meter.pause()
    clock.now += 500  # validation
    meter.resume()
    clock.now += 2
    meter.add({"tokens": 100.0})
    row = meter.take()
    assert row["seconds"] == pytest.approx(4)
    assert row["tokens_per_second"] == pytest.approx(50)


def test_a_pause_before_the_first_step_starts_no_clock():
    clock = Clock()
    meter = IntervalMeter(clock)
    meter.start()
    meter.pause()
    meter.resume()
    clock.now += 60
    meter.add({"tokens": 5.0})
    clock.now += 1
    meter.add({"tokens": 5.0})
    assert meter.take()["tokens_per_second"] == pytest.approx(5)


def test_the_share_of_waiting_for_data_and_norms_of_groups():
    clock = Clock()
    meter = IntervalMeter(clock)
    meter.start()
    # The first step is not timed: its wait may be as long as it likes.
    meter.add({"data_wait": 50.0, "loss_weight": 1.0})
    for wait, norm in ((0.5, 1.0), (1.5, 3.0)):
        clock.now += 4
        meter.add(
            {
                "data_wait": wait,
                "gradient_norm/heads": norm,
                "loss_weight": norm,
            }
        )
    row = meter.take()
    assert row["data_wait_share"] == pytest.approx(0.25)
    assert "data_wait" not in row
    assert row["gradient_norm/heads"] == 2.0
