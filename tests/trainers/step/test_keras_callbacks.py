"""Keras' own callbacks, in a `fit` by hand on one device and on two."""

import keras
import pytest
from step_cases import STEPS, batches, make_data, make_model, weights_of

from tfbert.errors import UserError
from tfbert.optimizers import AdamW
from trainers.step.keras_callbacks import check_usable

DATA = make_data(steps=4)


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.long)])
def model(request):
    """A model whose optimizer has a constant rate."""
    return make_model(request.param, make_optimizer=lambda: AdamW(1e-3))


def fit(model, *callbacks, epochs=2):
    distributed = batches(model, DATA)
    return model.fit(
        distributed,
        epochs=epochs,
        steps_per_epoch=2,
        validation_data=distributed,
        validation_steps=1,
        callbacks=list(callbacks),
        verbose=0,
        shuffle=False,
    ).history


def test_what_they_write_can_be_read(model, tmp_path):
    path = str(tmp_path / "{epoch}.weights.h5")
    keep = keras.callbacks.ModelCheckpoint(
        path, save_weights_only=True, monitor="val_loss"
    )
    log = keras.callbacks.CSVLogger(tmp_path / "log.csv")
    board = keras.callbacks.TensorBoard(tmp_path / "board")
    told = []
    note = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: told.append(sorted(logs))
    )
    history = fit(model, keep, log, board, note)
    assert "val_loss" in told[1] and told[0] == told[1]
    head, *rows = (tmp_path / "log.csv").read_text().splitlines()
    losses = [row.split(",")[head.split(",").index("loss")] for row in rows]
    assert list(map(float, losses)) == pytest.approx(history["loss"])
    assert {path.name for path in (tmp_path / "board").iterdir()} >= {
        "train",
        "validation",
    }
    other = make_model(make_optimizer=lambda: AdamW(1e-3))
    assert abs(weights_of(other) - weights_of(model)).max() > 1e-4
    other.load_weights(tmp_path / "2.weights.h5")
    assert (weights_of(other) == weights_of(model)).all()


def test_early_stopping_stops_and_gives_the_best_weights_back(model):
    stop = keras.callbacks.EarlyStopping(
        "val_loss", patience=1, mode="max", restore_best_weights=True
    )
    history = fit(model, stop, epochs=4)
    # The loss falls, and the highest is wanted.
    assert len(history["loss"]) == 2 and stop.stopped_epoch == 1
    best = model.evaluate(batches(model, DATA), steps=1)
    assert best["loss"] == pytest.approx(history["val_loss"][0], 1e-5)


def test_a_constant_rate_can_be_scheduled(model):
    rates = {0: 1e-3, 1: 5e-4}
    schedule = keras.callbacks.LearningRateScheduler(rates.get)
    history = fit(model, schedule)
    assert history["learning_rate"] == pytest.approx(list(rates.values()))
    plateau = keras.callbacks.ReduceLROnPlateau(
        "val_loss", mode="max", patience=1, factor=0.1
    )
    fit(model, plateau)
    rate = keras.ops.convert_to_numpy(model.optimizer.learning_rate)
    assert rate == pytest.approx(5e-5)


@pytest.mark.parametrize(
    "callback,message",
    [
        (
            keras.callbacks.BackupAndRestore("backup"),
            "BackupAndRestore forgets which batch comes next",
        ),
        (
            keras.callbacks.ModelCheckpoint("whole.keras"),
            "ModelCheckpoint would save the model as a whole",
        ),
    ],
)
def test_what_cannot_be_used_says_why(model, callback, message):
    with pytest.raises(UserError, match=message):
        fit(model, callback)


def test_a_rate_that_follows_a_schedule_cannot_be_set():
    model = make_model()
    assert STEPS
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-3)
    with pytest.raises(UserError, match="sets the learning rate, which"):
        model.fit(batches(model, DATA), callbacks=[schedule])
    with pytest.raises(UserError, match="optimization.schedule"):
        check_usable([keras.callbacks.ReduceLROnPlateau()])
