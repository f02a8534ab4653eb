"""One update whatever the replicas, micro-batches and steps per call."""

import keras
import numpy as np
import pytest
from step_cases import (
    BATCH,
    CONFIG,
    STEPS,
    batches,
    make_data,
    make_model,
    run,
    weights_of,
)

import tfbert
from tfbert.optimizers import LAMB, Muon, WarmupLinearDecay
from tfbert.tasks.pretraining import PretrainingTask
from trainers.step.compiled_loop import COUNTS
from trainers.step.training_model import TrainingModel

LONG = pytest.mark.long


@pytest.fixture(scope="module")
def one_device():
    return run()


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"replicas": 2}, marks=LONG),
        pytest.param({"replicas": 4}, marks=LONG),
        {"accumulation_steps": 4},
        pytest.param({"replicas": 2, "accumulation_steps": 2}, marks=LONG),
        {"replicas": 2, "steps_per_execution": 5},
        pytest.param({"replicas": 2, "xla": True}, marks=LONG),
    ],
    ids=str,
)
def test_same_weights_after_twenty_steps(one_device, options):
    history, weights = one_device
    other_history, other_weights = run(**options)
    np.testing.assert_allclose(other_weights, weights, atol=1e-5)
    for name, values in history.items():
        if name in COUNTS and "steps_per_execution" in options:
            continue  # The mean of a call's steps, not the last one's.
        np.testing.assert_allclose(
            other_history[name], values, rtol=2e-4, atol=1e-6, err_msg=name
        )


@pytest.mark.long
def test_muon_learns_the_same_on_replicas_and_micro_batches():
    rate = WarmupLinearDecay(1e-2, 5, 2 * STEPS)
    one = run(make_optimizer=lambda: Muon(rate))[1]
    split = {"replicas": 2, "accumulation_steps": 2}
    other = run(make_optimizer=lambda: Muon(rate), **split)[1]
    np.testing.assert_allclose(other, one, atol=1e-4)
    assert np.abs(one - run()[1]).max() > 1e-2


def test_training_moves_the_weights_and_clips(one_device):
    history, weights = one_device
    start = weights_of(make_model())
    assert np.abs(weights - start).max() > 0.01
    assert min(history["gradient_norm"]) > 0.5
    assert history["loss"][1] < history["loss"][0]


class MeanOfMeans(PretrainingTask):
    """The usual mistake: each replica divides by a weight of its own."""

    def loss_weights(self, batch):
        weights = super().loss_weights(batch)
        return {name: keras.ops.ones_like(w) for name, w in weights.items()}

    def loss_sums(self, batch, outputs):
        weights = super().loss_weights(batch)
        return {
            name: loss / keras.ops.maximum(weights[name], 1.0)
            for name, loss in super().loss_sums(batch, outputs).items()
        }


@LONG
def test_a_mean_of_means_fails_the_same_comparison(one_device):
    _, weights = run(task_class=MeanOfMeans)
    _, two = run(task_class=MeanOfMeans, replicas=2)
    # On one device it is the same as ours, on two it is not.
    np.testing.assert_allclose(weights, one_device[1], atol=1e-5)
    assert np.abs(two - weights).max() > 1e-3


@pytest.mark.parametrize("replicas", [1, pytest.param(2, marks=LONG)])
def test_not_finite_on_one_replica_is_skipped_by_all(replicas):
    data = make_data()
    # The last row of the eighth batch: the last replica's.
    data["masked_lm_weights"][8 * BATCH - 1, 0] = np.nan
    model = make_model(replicas)
    seen = []

    def note(batch, logs):
        seen.append((float(logs["skipped"]), weights_of(model)))

    model.fit(
        batches(model, data),
        steps_per_epoch=STEPS,
        callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        verbose=0,
        shuffle=False,
    )
    assert [skipped for skipped, _ in seen] == [0.0] * 7 + [1.0] + [0.0] * 12
    np.testing.assert_array_equal(seen[6][1], seen[7][1])
    assert np.isfinite(seen[-1][1]).all()
    assert np.abs(seen[8][1] - seen[7][1]).max() > 0
    assert int(model.optimizer.iterations.numpy()) == STEPS


@pytest.mark.parametrize("replicas", [1, 2, pytest.param(4, marks=LONG)])
def test_evaluation_counts_each_row_once(replicas):
    data = make_data(steps=3)
    # The last batch does not divide: three of its rows are padding.
    data["masked_lm_weights"][-3:] = 0
    data["input_mask"][-3:] = 0
    model = make_model(replicas)
    result = model.evaluate(batches(model, data), steps=3)
    outputs = model.task({k: v[:-3] for k, v in data.items()})
    sums = model.task.loss_sums({k: v[:-3] for k, v in data.items()}, outputs)
    weight = data["masked_lm_weights"].sum()
    expected = float(sums["masked_lm_loss"]) / weight
    assert result["masked_lm_loss"] == pytest.approx(expected, rel=1e-5)
    expected = float(sums["next_sentence_loss"]) / (3 * BATCH - 3)
    assert result["next_sentence_loss"] == pytest.approx(expected, rel=1e-5)
    total = result["masked_lm_loss"] + result["next_sentence_loss"]
    assert result["loss"] == pytest.approx(total, rel=1e-6)


def test_evaluation_starts_the_data_over_and_without_steps_sees_it_all():
    model = make_model()
    data = batches(model, make_data(steps=3))
    first = model.evaluate(data, steps=2)
    assert model.evaluate(data, steps=2) == first
    assert model.evaluate(data) != first
    assert model.evaluate(data, return_dict=False) == pytest.approx(
        model.evaluate(data)["loss"]
    )


@pytest.mark.long
def test_dropout_is_a_function_of_seed_and_step():
    config = tfbert.BertConfig(
        **{**CONFIG.to_dict(), "hidden_dropout_prob": 0.3}
    )
    _, weights = run(config=config, seed=1)
    _, again = run(config=config, seed=1, epochs=4)
    _, other = run(config=config, seed=2)
    np.testing.assert_array_equal(weights, again)
    assert np.abs(weights - other).max() > 1e-3


@pytest.mark.long
def test_any_keras_optimizer_gives_the_same_on_two_replicas():
    def with_decay(decay):
        return lambda: keras.optimizers.AdamW(1e-2, weight_decay=decay)

    _, one = run(make_optimizer=with_decay(0.1))
    _, two = run(make_optimizer=with_decay(0.1), replicas=2)
    np.testing.assert_allclose(two, one, atol=1e-5)
    _, none = run(make_optimizer=with_decay(0.0))
    assert np.abs(one - none).max() > 1e-3


@pytest.mark.long
def test_layer_decay_and_lamb_do_not_depend_on_replicas():
    options = {
        "make_optimizer": lambda: LAMB(WarmupLinearDecay(1e-2, 5, 2 * STEPS)),
        "layer_decay": 0.5,
    }
    _, one = run(**options)
    _, two = run(replicas=2, **options)
    np.testing.assert_allclose(two, one, atol=1e-5)
    _, other = run(**{**options, "layer_decay": 1.0})
    assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (keras.optimizers.SGD(0.1, clipnorm=1.0), "clip_norm"),
        (keras.optimizers.SGD(0.1, global_clipnorm=1.0), "clip_norm"),
        (
            keras.optimizers.SGD(0.1, gradient_accumulation_steps=2),
            "accumulation_steps",
        ),
        (
            keras.optimizers.SGD(0.1, use_ema=True),
            "average_decay",
        ),
        (
            keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1)),
            "one replica only",
        ),
    ],
)
def test_compile_refuses_what_the_step_does_itself(optimizer, message):
    model = TrainingModel(PretrainingTask(CONFIG))
    with pytest.raises(ValueError, match=message):
        model.compile(optimizer)


def test_compile_refuses_a_loss():
    model = TrainingModel(PretrainingTask(CONFIG))
    with pytest.raises(ValueError, match="come from the task"):
        model.compile(keras.optimizers.SGD(0.1), loss="mse")


def test_micro_batches_must_divide_the_batch():
    model = make_model(accumulation_steps=3)
    with pytest.raises(ValueError, match="accumulation_steps=3"):
        model.fit(batches(model, make_data()), steps_per_epoch=1, verbose=0)
