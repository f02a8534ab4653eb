"""Replicas and micro-batches make the update of the whole batch."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from step_cases import CONFIG as TWO_LAYERS
from step_cases import make_strategy, training_model, weights_of

from tfbert.tasks.embedding import EmbeddingTask
from tfbert.tasks.vector_losses import Comparison
from trainers.step.across_examples import vectors_of, with_gradients
from trainers.step.micro_batches import accumulate

LENGTH = 10
CONFIG = dataclasses.replace(TWO_LAYERS, num_hidden_layers=1)
CASES = {
    "pairs": {},
    "triples": {"texts": 3, "comparison": Comparison(dimensions=(4,))},
    "cosent": {"comparison": Comparison("cosent")},
    "cosine": {"comparison": Comparison("cosine")},
    "texts": {"texts": 1},
}


def make_data(rows, case):
    rng = np.random.default_rng(len(case))
    texts = CASES[case].get("texts", 2)
    shape = (rows, texts, LENGTH)
    mask = np.arange(LENGTH) < rng.integers(3, LENGTH + 1, (rows, texts, 1))
    keys = np.arange(rows * texts).reshape(rows, texts) + 70_000
    keys[1, -1] = keys[0, -1]
    data = {
        "input_ids": (rng.integers(5, 50, shape) * mask).astype("int32"),
        "input_mask": mask.astype("int32"),
        "segment_ids": np.zeros(shape, "int32"),
        "text_keys": keys.astype("int32"),
        "is_real_example": np.ones(rows, "int32"),
    }
    if case in ("cosent", "cosine"):
        scores = np.linspace(0, 1, rows).astype("float32")
        data["scores"] = rng.permutation(scores)
    return data


def make(case, replicas=1, **options):
    with make_strategy(replicas).scope():
        task = EmbeddingTask(CONFIG, seed=3, **CASES[case])
        model = training_model(task, **options)
        model.compile(keras.optimizers.SGD(0.1))
    return model


def batches(case, rows, strategy):
    """The same global batch for ever, distributed."""
    replicas = strategy.num_replicas_in_sync
    dataset = tf.data.Dataset.from_tensor_slices(make_data(rows, case))
    dataset = dataset.batch(rows // replicas, drop_remainder=True).repeat()
    if replicas == 1:
        return dataset
    return strategy.distribute_datasets_from_function(lambda _: dataset)


def gradients(case, rows, replicas=1, **options):
    """(the reduced gradient, the loss, that of an evaluation)."""
    model = make(case, replicas, **options)
    strategy = model.distribute_strategy

    def of_replica(data):
        weights = model._global_weights(data)
        found = model._accumulate(data, weights, tf.constant(1.0))
        found, sums = model._reduce(*found)
        tested = model.test_logs(data, model(data))["loss"][0]
        return [tf.reshape(g, [-1]) for g in found], sums["losses"], tested

    batch = next(iter(batches(case, rows, strategy)))
    found = strategy.run(of_replica, (batch,))
    found, losses, tested = tf.nest.map_structure(
        lambda x: strategy.experimental_local_results(x)[-1], found
    )
    return np.concatenate(found), float(losses["loss"]), float(tested)


def check_same(found, wanted):
    off = np.linalg.norm(found[0] - wanted[0]) / np.linalg.norm(wanted[0])
    assert off < 2e-6  # 2e-7 to 9e-7 here: rounding of sums.
    np.testing.assert_allclose(found[1:], wanted[1:], rtol=1e-5)
    assert np.abs(wanted[0]).max() > 1e-2


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[] if case == "texts" else pytest.mark.long)
        for case in CASES
    ],
)
def test_replicas_and_micro_batches_give_the_same_gradient(case):
    wanted = gradients(case, 8)
    check_same(gradients(case, 8, replicas=2, accumulation_steps=2), wanted)
    if case == "pairs":
        check_same(gradients(case, 8, replicas=4), wanted)
        check_same(gradients(case, 8, accumulation_steps=8), wanted)
        compiled = {"accumulation_steps": 2, "xla": True}
        check_same(gradients(case, 8, **compiled), wanted)
        check_same(gradients(case, 8, replicas=2, xla=True), wanted)


def test_three_replicas_of_odd_batches():
    wanted = gradients("triples", 9)
    check_same(gradients("triples", 9, replicas=3), wanted)


@pytest.mark.parametrize("pieces, passes", [(1, 1), (2, 2)])
def test_a_batch_in_one_piece_is_computed_once(monkeypatch, pieces, passes):
    """Else twice: of all pieces the vectors come first."""
    model = make("texts", 2, accumulation_steps=pieces)
    batch = next(iter(batches("texts", 8, model.distribute_strategy)))
    asked, call = [], EmbeddingTask.call

    def counted(self, *arguments, **options):
        asked.append(tf.distribute.get_replica_context())
        return call(self, *arguments, **options)

    monkeypatch.setattr(EmbeddingTask, "call", counted)
    one = tf.constant(1.0)
    compute = functools.partial(
        model._accumulate, weights={"loss": one}, scale=one
    )
    model.distribute_strategy.run(compute, (batch,))
    assert len(asked) == 2 * passes


def test_the_gradient_is_that_of_the_whole_batch():
    model = make("triples")
    data = {k: tf.constant(v) for k, v in make_data(6, "triples").items()}
    task = model.task
    variables = [v.value for v in task.encoder.blocks[0].trainable_variables]
    with tf.GradientTape() as tape:
        outputs = task(data)
        whole = task.loss_sums(data, outputs)["loss"]
    wanted = tape.gradient(whole, variables)
    with tf.GradientTape() as tape:
        outputs = task(data)
        vectors = tf.stop_gradient(outputs["embedding"])
        given = with_gradients(task, vectors, data)
        loss = task.loss_sums(given, outputs)["loss"]
    assert float(loss) == pytest.approx(float(whole), rel=1e-6)
    for found, gradient in zip(
        tape.gradient(loss, variables), wanted, strict=True
    ):
        np.testing.assert_allclose(found, gradient, atol=1e-5)


def test_fit_makes_the_same_update():
    ends, losses = [], []
    for options in ({}, {"replicas": 2, "accumulation_steps": 2}):
        model = make("pairs", **options)
        before = weights_of(model)
        dataset = batches("pairs", 8, model.distribute_strategy)
        history = model.fit(dataset, steps_per_epoch=3, verbose=0).history
        ends.append(weights_of(model))
        losses.append(history["loss"])
    assert np.abs(ends[0] - before).max() > 1e-2
    np.testing.assert_allclose(ends[1], ends[0], atol=1e-6)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-5)


def test_both_passes_have_the_same_dropout():
    """The gradient is that of views which one pass over all would draw."""
    config = dataclasses.replace(CONFIG, hidden_dropout_prob=0.3)
    task = EmbeddingTask(config, texts=1, seed=3)
    data = {k: tf.constant(v) for k, v in make_data(4, "texts").items()}
    drawn = []

    def noting(part, seed):
        vectors = task(part, training=True, dropout_seed=seed)["embedding"]
        drawn.append((np.asarray(seed), vectors.numpy()))
        return vectors

    seed = tf.constant([1, 2])
    first = vectors_of(noting, data, 2, seed)
    np.testing.assert_array_equal(first, np.concatenate([v for _, v in drawn]))
    accumulate(noting, data, 2, seed)
    for one, again in zip(drawn[:2], drawn[2:], strict=True):
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])
    assert np.abs(first[:, 0] - first[:, 1]).max() > 0.01
