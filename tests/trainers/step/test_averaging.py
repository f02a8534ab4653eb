"""The moving average of the weights: what is evaluated and saved."""

import keras
import numpy as np
import pytest
from safetensors.numpy import load_file
from step_cases import BATCH, batches, make_data, make_model, weights_of

from tfbert.weights.variables import load_weights, named_variables
from trainers.checkpoints.best import KeepBest
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.step.averaging import WeightAverage


def train(model, data, steps, callbacks=(), **options):
    """Trains; returns the weights after each step."""
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(weights_of(model))
    )
    model.fit(
        batches(model, data),
        steps_per_epoch=steps,
        callbacks=[note, *callbacks],
        verbose=0,
        shuffle=False,
        **options,
    )
    return seen


def averages_of(model):
    with model.averaged():
        return weights_of(model)


@pytest.mark.parametrize(
    "replicas", [1, pytest.param(2, marks=pytest.mark.long)]
)
def test_equals_numpy_and_skipped_updates_are_left_out(replicas):
    data = make_data()
    data["masked_lm_weights"][3 * BATCH - 1, 0] = np.nan
    model = make_model(replicas, average_decay=0.4)
    wanted = weights_of(model)
    np.testing.assert_array_equal(averages_of(model), wanted)
    for step, weights in enumerate(train(model, data, 8)):
        if step != 2:
            decay = min(0.4, (1 + step) / (10 + step))
            wanted = decay * wanted + (1 - decay) * weights
    np.testing.assert_allclose(averages_of(model), wanted, atol=1e-6)
    # Looking exchanged the two, and exchanged them back.
    np.testing.assert_array_equal(weights_of(model), weights)


@pytest.mark.long
def test_evaluations_checkpoints_and_best_weights_use_it(tmp_path):
    data = make_data()
    model = make_model(average_decay=0.9)
    keep_best = KeepBest(tmp_path, metric="masked_lm_accuracy")
    held_out = batches(model, make_data(1, steps=2))
    weights = train(
        model,
        data,
        6,
        callbacks=[keep_best],
        validation_data=held_out,
        validation_steps=2,
    )[-1]
    average = averages_of(model)
    assert np.abs(average - weights).max() > 1e-3
    Checkpoints(tmp_path).save(model, 6)

    def saved(path):
        stored = load_file(path)
        return np.concatenate(
            [stored[name].ravel() for name in named_variables(model.task)]
        )

    path = Checkpoints(tmp_path).path(6) / "model.safetensors"
    np.testing.assert_array_equal(saved(path), average)
    np.testing.assert_array_equal(saved(keep_best.path), average)
    # A model that has the averages as its weights evaluates the same.
    plain = make_model()
    load_weights(plain.task, path)
    wanted = plain.evaluate(held_out, steps=2)
    assert model.evaluate(held_out, steps=2) == pytest.approx(wanted, rel=1e-5)

    # Restored, it goes on with the same bytes.
    again = make_model(average_decay=0.9)
    again.step = Checkpoints(tmp_path).restore(again).step
    np.testing.assert_array_equal(weights_of(again), weights)
    rest = {key: value[6 * BATCH :] for key, value in data.items()}
    for one in (model, again):
        train(one, rest, 4)
    np.testing.assert_array_equal(weights_of(again), weights_of(model))
    np.testing.assert_array_equal(averages_of(again), averages_of(model))


@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_a_decay_that_averages_nothing(decay):
    with pytest.raises(ValueError, match="between 0 and 1"):
        WeightAverage([], decay)


@pytest.mark.long
def test_a_checkpoint_restored_by_hand_keeps_its_averages(tmp_path):
    """The model's step comes with it, or averaging would begin anew."""

    def fit(model, first, steps):
        model.fit(
            batches(model, make_data()).skip(first),
            steps_per_epoch=steps,
            verbose=0,
            shuffle=False,
        )
        with model.averaged():
            return weights_of(model)

    model = make_model(average_decay=0.9)
    fit(model, 0, 4)
    Checkpoints(tmp_path).save(model, 4)
    other = make_model(average_decay=0.9)
    Checkpoints(tmp_path).restore(other)
    assert other.step == 4
    np.testing.assert_array_equal(fit(other, 4, 3), fit(model, 4, 3))
