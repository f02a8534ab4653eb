"""Sums over replicas are sums over all replicas, or nothing is trained."""

import numpy as np
import pytest
import tensorflow as tf
from step_cases import CONFIG, make_data, weights_of

import tfbert
from tfbert.optimizers import AdamW, WarmupLinearDecay
from tfbert.tasks.pretraining import PretrainingTask
from trainers.distributed import strategies
from trainers.step.options import Rule
from trainers.step.reduction_proof import WrongSum, prove
from trainers.step.training_model import TrainingModel

# F47 in tests/faults has 5 and 7 too.
ROWS, STEPS = 24, 2
ONE_LAYER = tfbert.BertConfig(**{**CONFIG.to_dict(), "num_hidden_layers": 1})
DTYPES = ["float32", "float16", "bfloat16"]


def ours(replicas):
    """The strategy that `--runtime.devices` makes."""
    return strategies.make_distribution(devices=replicas).strategy


def leaves_out_the_last(replicas):
    """TensorFlow's own, which is wrong for odd numbers."""
    return tf.distribute.MirroredStrategy(
        [f"CPU:{index}" for index in range(replicas)],
        cross_device_ops=tf.distribute.HierarchicalCopyAllReduce(),
    )


@pytest.mark.parametrize("replicas", range(2, 9))
def test_the_strategy_of_each_number_of_devices_is_right(replicas):
    prove(ours(replicas), DTYPES)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sum_without_the_last_replica_is_named(dtype):
    with pytest.raises(WrongSum) as error:
        prove(leaves_out_the_last(3), [dtype])
    message = str(error.value)
    assert f"sums of {dtype} over the 3 replicas" in message
    assert "HierarchicalCopyAllReduce" in message
    assert "replica 2 counts 0 times" in message
    assert "nothing was trained" in message


def test_one_device_needs_no_proof():
    prove(tf.distribute.get_strategy(), ["no such dtype"])


def trained(strategy):
    """Trains and evaluates; returns (history, weights of every replica)."""
    with strategy.scope():
        model = TrainingModel(
            PretrainingTask(ONE_LAYER, next_sentence=True, seed=3),
            rule=Rule(clip_norm=0.5),
        )
        model.compile(AdamW(WarmupLinearDecay(1e-2, 1, 2 * STEPS)))
    share = ROWS // strategy.num_replicas_in_sync
    data = make_data(steps=STEPS * ROWS // 8 + 1)
    dataset = tf.data.Dataset.from_tensor_slices(
        {name: values[: STEPS * ROWS] for name, values in data.items()}
    ).batch(share, drop_remainder=True)
    if strategy.num_replicas_in_sync > 1:
        rows = dataset
        dataset = strategy.distribute_datasets_from_function(lambda _: rows)
    history = model.fit(
        dataset,
        epochs=STEPS,
        steps_per_epoch=1,
        validation_data=dataset,
        validation_steps=STEPS,
        verbose=0,
        shuffle=False,
    ).history
    del history["data_wait"]
    copies = [
        strategy.experimental_local_results(v.value)
        for v in model.task.trainable_variables
    ]
    return history, [
        np.concatenate([np.ravel(copy.numpy()) for copy in of_replica])
        for of_replica in zip(*copies, strict=True)
    ]


@pytest.fixture(scope="module")
def one_device():
    return trained(tf.distribute.get_strategy())


@pytest.mark.long
def test_three_replicas_make_the_update_of_one_device(one_device):
    wanted_history, [wanted] = one_device
    history, weights = trained(ours(3))
    for other in weights[1:]:
        np.testing.assert_array_equal(other, weights[0])
    np.testing.assert_allclose(weights[0], wanted, atol=1e-5)
    for name, values in wanted_history.items():
        np.testing.assert_allclose(
            history[name], values, rtol=2e-4, atol=1e-6, err_msg=name
        )


def test_a_wrong_sum_stops_fit_and_evaluate_before_the_first_step():
    strategy = leaves_out_the_last(3)
    with strategy.scope():
        model = TrainingModel(PretrainingTask(CONFIG, next_sentence=True))
        model.compile(AdamW(1e-2))
    before = weights_of(model)
    rows = {name: values[:6] for name, values in make_data(steps=1).items()}
    rows = tf.data.Dataset.from_tensor_slices(rows).batch(2)
    dataset = strategy.distribute_datasets_from_function(lambda _: rows)
    with pytest.raises(WrongSum):
        model.fit(dataset, steps_per_epoch=1, verbose=0)
    with pytest.raises(WrongSum):
        model.evaluate(dataset, steps=1)
    np.testing.assert_array_equal(weights_of(model), before)
    assert model.step == 0
