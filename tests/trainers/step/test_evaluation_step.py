"""What evaluations compute in, and in how many rows at once."""

import types

import numpy as np
import pytest
import tensorflow as tf

import tfbert
from tfbert.errors import UserError
from tfbert.optimizers import AdamW
from tfbert.tasks import ClassificationTask
from tfrecords.labelled.batches import evaluation_batches
from trainers.finetuning.model import JudgedModel
from trainers.run.run_setup import evaluation_batch_size, full_batches

ROWS, LENGTH = 13, 12
CONFIG = tfbert.BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    initializer_range=0.5,
)


def columns():
    rng = np.random.default_rng(0)
    shape = (ROWS, LENGTH)
    return {
        "input_ids": rng.integers(5, 50, shape),
        "input_mask": np.ones(shape, int),
        "segment_ids": np.zeros(shape, int),
        "label_ids": rng.integers(0, 3, ROWS),
    }


def make(dtype, replicas=1):
    strategy = tf.distribute.get_strategy()
    if replicas > 1:
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = JudgedModel(ClassificationTask(CONFIG, 3, dtype=dtype, seed=4))
        model.compile(AdamW(1e-3))
    model.judge_by(
        ["probabilities"],
        ROWS,
        lambda outputs: {"first": float(outputs["probabilities"][:, 0].sum())},
    )
    return model


def evaluate(model, rows, replicas=1):
    def batches(_=None):
        return evaluation_batches(
            columns(),
            global_batch_size=rows,
            num_replicas=replicas,
            local_replicas=replicas,
        )[0].repeat()

    data = batches()
    if replicas > 1:
        strategy = model.distribute_strategy
        data = strategy.distribute_datasets_from_function(batches)
    return model.evaluate(data, -(-ROWS // rows))


@pytest.mark.parametrize("replicas", [1, 2])
def test_validation_of_a_finetuning_is_that_of_float32(replicas):
    """As `tfbert evaluate` and exports compute; training goes on in 16 bits."""
    wanted = evaluate(make("float32"), 4)
    model = make("mixed_bfloat16", replicas)
    got = evaluate(model, 4, replicas)
    for name, value in wanted.items():
        assert got[name] == pytest.approx(value, abs=1e-6), name
    assert model.task.compute_dtype == "bfloat16"
    assert model.task.encoder.blocks[0].attention.compute_dtype == "bfloat16"
    batch = {k: tf.constant(v, tf.int32) for k, v in columns().items()}
    logits = model.task(batch)["logits"].numpy()
    exact = make("float32").task(batch)["logits"].numpy()
    assert 1e-4 < np.abs(logits - exact).max() < 0.5


def test_figures_do_not_depend_on_the_batch():
    model = make("float32")
    one, other = evaluate(model, 8), evaluate(model, 2)
    for name, value in one.items():
        assert other[name] == pytest.approx(value, abs=1e-6), name


def settings(size=None, batch=12, accumulation=3):
    optimization = types.SimpleNamespace(
        batch_size=batch, accumulation_steps=accumulation
    )
    runtime = types.SimpleNamespace(evaluation_batch_size=size)
    return types.SimpleNamespace(optimization=optimization, runtime=runtime)


def test_evaluations_are_cut_into_micro_batches():
    two = types.SimpleNamespace(num_replicas=2)
    assert evaluation_batch_size(settings(), two) == 4
    assert evaluation_batch_size(settings(10), two) == 10
    with pytest.raises(UserError, match="multiple of the 2 replicas, got 5"):
        evaluation_batch_size(settings(5), two)
    assert full_batches((None, 6), settings(), two) == 2.0
    assert full_batches(None, settings(), two) == 0
