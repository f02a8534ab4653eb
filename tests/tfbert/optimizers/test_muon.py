import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.optimizers import AdamW, Muon
from tfbert.optimizers.muon import is_matrix_of_block, orthogonal
from tfbert.tasks import PretrainingTask


def variable(path, value):
    """A Keras variable of that path."""
    found = keras.Variable(value, name="kernel")
    found._path = path
    return found


@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (8, 24), (12, 5), (5, 12)])
def test_it_is_keras_muon_and_qkv_are_three_matrices(shape):
    rng = np.random.default_rng(0)
    start = rng.normal(0, 0.1, shape).astype(np.float32)
    parts = 3 if shape[1] == 3 * shape[0] else 1
    ours = variable("encoder/block_0/attention/x/kernel", start)
    theirs = [keras.Variable(value) for value in np.split(start, parts, axis=1)]
    optimizer = Muon(0.02, weight_decay=0.0)
    optimizer.build([ours])
    # Of the oracle's, decay comes before the step, as here.
    oracle = keras.optimizers.Muon(
        0.02, weight_decay=None, adam_weight_decay=None
    )
    oracle.build(theirs)
    for _ in range(6):
        gradient = rng.normal(0, 1, shape).astype(np.float32)
        optimizer.apply([tf.constant(gradient)])
        oracle.apply(
            [tf.constant(g) for g in np.split(gradient, parts, axis=1)]
        )
        wanted = np.concatenate([v.numpy() for v in theirs], axis=1)
        np.testing.assert_allclose(ours.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    "shape, parts", [((5, 9), 1), ((9, 5), 1), ((7, 21), 3)]
)
def test_singular_values_come_near_one(shape, parts):
    rng = np.random.default_rng(1)
    matrix = rng.normal(0, 3, shape).astype(np.float32)
    found = np.split(orthogonal(tf.constant(matrix), parts).numpy(), parts, 1)
    for given, made in zip(np.split(matrix, parts, 1), found, strict=True):
        values = np.linalg.svd(made, compute_uv=False)
        assert 0.6 < values.min() and values.max() < 1.3
        # The singular vectors stay: the product with them is symmetric.
        u, _, v = np.linalg.svd(given, full_matrices=False)
        product = u.T @ made @ v.T
        np.testing.assert_allclose(
            product, np.diag(np.diag(product)), atol=2e-5
        )


def test_decay_and_a_gradient_of_nothing():
    start = np.full((3, 4), 2.0, np.float32)
    matrix = variable("block_1/kernel", start)
    optimizer = Muon(0.1, weight_decay=0.5)
    optimizer.build([matrix])
    optimizer.apply([tf.zeros((3, 4))])
    np.testing.assert_allclose(matrix.numpy(), start * (1 - 0.1 * 0.5))


def test_all_but_the_blocks_matrices_take_adams_step():
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=12,
        max_position_embeddings=6,
    )
    rng = np.random.default_rng(0)
    tasks = [PretrainingTask(config, True, seed=1) for _ in range(2)]
    optimizers = [Muon(0.01), AdamW(0.01)]
    gradients = [
        rng.normal(0, 1, v.shape).astype(np.float32)
        for v in tasks[0].trainable_variables
    ]
    for task, optimizer in zip(tasks, optimizers, strict=True):
        optimizer.build(task.trainable_variables)
        optimizer.apply([tf.constant(g) for g in gradients])
    muons = [
        v.path.split("/", 1)[1]
        for v in tasks[0].trainable_variables
        if is_matrix_of_block(v)
    ]
    assert [name.rsplit("/", 2)[-2] for name in muons] == [
        "query_key_value",
        "output",
        "intermediate",
        "output",
    ]
    for one, other in zip(
        *(task.trainable_variables for task in tasks), strict=True
    ):
        same = np.array_equal(one.numpy(), other.numpy())
        assert same != is_matrix_of_block(one), one.path
    # A moment less for each matrix.
    counts = [len(optimizer.variables) for optimizer in optimizers]
    assert counts[1] - counts[0] == 4
    copy = Muon.from_config(optimizers[0].get_config())
    assert copy.get_config() == optimizers[0].get_config()
