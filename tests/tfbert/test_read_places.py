"""The last block computes the places that are read, and these as before."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.layers.places import take_places
from tfbert.tasks import (
    ClassificationTask,
    MultiLabelTask,
    MultipleChoiceTask,
    PretrainingTask,
    RegressionTask,
)
from tfbert.weights.variables import named_variables

CONFIG = BertConfig(
    vocab_size=41,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=40,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.5,
)
LENGTH = 33


def tokens(rows: int, packed: bool = False) -> dict:
    """Rows of random ids, the last of them short."""
    draw = np.random.default_rng(rows)
    ids = draw.integers(5, 41, (rows, LENGTH)).astype("int32")
    mask = np.ones_like(ids)
    mask[-1, 20:] = 0
    batch = {
        "input_ids": ids * mask,
        "input_mask": mask,
        "segment_ids": (np.arange(LENGTH) > 15).astype("int32") * mask,
    }
    if packed:
        second = (np.arange(LENGTH) >= 14).astype("int32")
        batch["sequence_ids"] = (1 + second) * mask
        batch["position_ids"] = (np.arange(LENGTH) - 14 * second) * mask
    return batch


def places(rows: int, count: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, 20, (rows, count), "int32")


def gradients(layer, run) -> tuple[dict, dict]:
    """Outputs of `run` and the gradient of a sum over them, by variable."""
    variables = named_variables(layer)
    with tf.GradientTape() as tape:
        outputs = run()
        total = sum(
            tf.reduce_sum(tf.cos(tf.cast(x, tf.float32)))
            for x in outputs.values()
        )
    found = tape.gradient(total, [v.value for v in variables.values()])
    return outputs, {
        name: tf.convert_to_tensor(gradient).numpy()
        for name, gradient in zip(variables, found, strict=True)
        if gradient is not None
    }


def assert_same(one: tuple[dict, dict], two: tuple[dict, dict]) -> None:
    for name in one[0]:
        np.testing.assert_allclose(one[0][name], two[0][name], atol=2e-6)
    assert one[1].keys() == two[1].keys()
    for name, gradient in one[1].items():
        scale = max(1.0, np.abs(gradient).max())
        np.testing.assert_allclose(
            two[1][name] / scale, gradient / scale, atol=2e-6, err_msg=name
        )


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize(("rows", "count"), [(3, 5), (3, 3), (2, 1)])
def test_places_are_what_they_are_in_full(rows, count, norm, packed, recompute):
    encoder = BertEncoder(dataclasses.replace(CONFIG, norm_position=norm))
    encoder.recompute = recompute
    batch, positions = tokens(rows, packed), places(rows, count)

    def full():
        x = encoder(batch, training=True)["sequence_output"]
        x = take_places(x, positions)
        pooled = keras.ops.tanh(encoder.pooler(x[:, 0]))
        return {"sequence_output": x, "pooled_output": pooled}

    def read():
        return encoder(batch, training=True, positions=positions)

    wanted, found = gradients(encoder, full), gradients(encoder, read)
    assert found[0]["sequence_output"].shape == (rows, count, 16)
    assert_same(wanted, found)


@pytest.mark.parametrize("next_sentence", [False, True])
def test_pretraining_learns_what_it_did(next_sentence):
    task = PretrainingTask(CONFIG, next_sentence=next_sentence)
    batch = {
        **tokens(3),
        "masked_lm_positions": places(3, 6),
        "masked_lm_ids": np.arange(18, dtype="int32").reshape(3, 6),
    }

    def full():
        encoded = task.encoder(batch)
        hidden = task.masked_lm(
            encoded["sequence_output"], batch["masked_lm_positions"]
        )
        table = task.encoder.embeddings.token_embeddings.value
        losses, _ = task.masked_lm.losses(hidden, table, batch["masked_lm_ids"])
        found = {"masked_lm_losses": losses}
        if next_sentence:
            found["next_sentence_logits"] = task.next_sentence(
                encoded["pooled_output"]
            )
        return found

    def read():
        outputs = task(batch)
        return {
            name: outputs[name]
            for name in ("masked_lm_losses", "next_sentence_logits")
            if name in outputs
        }

    wanted, found = gradients(task, full), gradients(task, read)
    assert len(found[0]) == 1 + next_sentence
    assert_same(wanted, found)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ClassificationTask(CONFIG, 3),
        lambda: MultiLabelTask(CONFIG, 3),
        lambda: RegressionTask(CONFIG),
        lambda: MultipleChoiceTask(CONFIG),
    ],
)
def test_pooled_tasks_read_the_first_place(make, monkeypatch):
    task = make()
    batch = tokens(4)
    if isinstance(task, MultipleChoiceTask):
        batch = {name: x.reshape(2, 2, -1) for name, x in batch.items()}
        batch["choice_mask"] = np.ones((2, 2), "int32")
    found = task(batch)
    assert task.pools and not PretrainingTask(CONFIG).pools
    monkeypatch.setattr(
        task,
        "pooled",
        lambda rows, **draw: task.encoder(rows, **draw)["pooled_output"],
    )
    for name, value in task(batch).items():
        np.testing.assert_allclose(found[name], value, atol=2e-6)


def products(function, *arguments) -> int:
    """Multiplications of the matrix products in a traced function."""
    graph = tf.function(function).get_concrete_function(*arguments).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    counted = tf.compat.v1.profiler.profile(
        graph, options={**options, "output": "none"}
    )
    return counted.total_float_ops


def test_the_other_places_cost_nothing_in_the_last_block():
    encoder = BertEncoder(dataclasses.replace(CONFIG, num_hidden_layers=1))
    batch = {name: tf.constant(x) for name, x in tokens(3).items()}
    positions = tf.constant(places(3, 2))
    full = products(lambda: encoder(batch)["sequence_output"])
    read = products(
        lambda: encoder(batch, positions=positions)["sequence_output"]
    )
    # Of the block's products, per row: keys and values of all places, and
    # the rest of two.
    width, inner = 16, 24
    of_all = 2 * LENGTH * 2 * width * width
    of_read = 2 * 2 * (2 * width * width + 2 * width * inner)
    scores = 2 * 2 * 2 * LENGTH * width
    assert read < full / 2
    assert read >= 3 * (of_all + of_read + scores)
