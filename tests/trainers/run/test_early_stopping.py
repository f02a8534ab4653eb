import json

import pytest

from trainers.run.early_stopping import EarlyStopping


class Model:
    stop_training = False


def evaluate(callback, *values):
    for value, loss in values:
        callback.on_epoch_end(0, {"val_f1": value, "val_loss": loss})


@pytest.fixture
def callback():
    callback = EarlyStopping(2, "f1")
    callback.set_model(Model())
    return callback


def test_it_waits_for_as_many_evaluations(callback):
    evaluate(callback, (0.5, 1), (0.6, 1), (0.6, 1))
    assert not callback.ended and not callback.model.stop_training
    evaluate(callback, (0.55, 0.5))
    assert callback.ended and callback.model.stop_training


def test_an_equal_figure_at_a_lower_loss_is_better(callback):
    evaluate(callback, (0.6, 1), (0.6, 0.9), (0.6, 0.8), (0.7, 2), (0.1, 0))
    assert not callback.ended


def test_what_is_no_number_is_no_better(callback):
    evaluate(callback, (float("nan"), 1), (float("nan"), 1))
    assert callback.ended


def test_epochs_without_evaluation_do_not_count(callback):
    for _ in range(3):
        callback.on_epoch_end(0, {"loss": 1.0})
        callback.on_epoch_end(0)
    assert not callback.ended


def test_state_goes_through_a_checkpoint(callback):
    evaluate(callback, (0.6, 1), (0.5, 1))
    state = json.loads(json.dumps(callback.state()))
    other = EarlyStopping(2, "f1")
    other.set_model(Model())
    other.load(state)
    evaluate(other, (0.55, 1))
    assert other.ended
    # More patience, and it is not over.
    other.patience = 3
    assert not other.ended
    other.load({})
    other.patience = 1
    assert not other.ended
    assert not EarlyStopping(None, "f1").ended
