import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.tasks.embedding import EmbeddingTask, pooled
from tfbert.tasks.own_loss import use_loss
from tfbert.tasks.vector_losses import Comparison

CONFIG = BertConfig(
    vocab_size=50,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    initializer_range=0.5,
)


def make_batch(rows=5, texts=2, length=9):
    rng = np.random.default_rng(1)
    shape = (rows, texts, length)
    mask = np.arange(length) < rng.integers(3, length, (rows, texts, 1))
    return {
        "input_ids": tf.constant(rng.integers(5, 50, shape) * mask, tf.int32),
        "input_mask": tf.constant(mask, tf.int32),
        "segment_ids": tf.zeros(shape, tf.int32),
        "text_keys": tf.reshape(tf.range(rows * texts), [rows, texts]),
        "is_real_example": tf.ones([rows], tf.int32),
    }


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_pooling_by_hand(pooling):
    task = EmbeddingTask(CONFIG, pooling)
    batch = make_batch()
    found = task(batch)["embedding"].numpy()
    assert found.shape == (5, 2, 16) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=-1), 1, rtol=1e-5)
    for row, text in np.ndindex(5, 2):
        length = int(tf.reduce_sum(batch["input_mask"][row, text]))
        alone = {
            name: batch[name][row, text][None, :length]
            for name in ("input_ids", "segment_ids")
        }
        outputs = task.encoder(alone)["sequence_output"][0].numpy()
        by = {"mean": outputs.mean(0), "cls": outputs[0], "max": outputs.max(0)}
        wanted = by[pooling] / np.linalg.norm(by[pooling])
        np.testing.assert_allclose(found[row, text], wanted, atol=1e-5)
    # Rows of one text, as an export has them.
    rows = {name: batch[name][:, 1] for name in TOKEN_KEYS}
    np.testing.assert_allclose(task(rows)["embedding"], found[:, 1], atol=1e-6)


def test_a_row_without_tokens_has_a_vector():
    outputs = tf.ones([1, 3, 4])
    for pooling in ("mean", "max"):
        found = pooled(outputs, tf.zeros([1, 3], tf.int32), pooling)
        assert np.isfinite(found.numpy()).all()


def test_one_text_is_read_twice_with_other_dropout():
    task = EmbeddingTask(CONFIG, texts=1)
    batch = make_batch(texts=1)
    assert task(batch)["embedding"].shape == (5, 1, 16)
    seed = tf.constant([1, 2])
    views = task(batch, training=True, dropout_seed=seed)["embedding"]
    again = task(batch, training=True, dropout_seed=seed)["embedding"]
    assert views.shape == (5, 2, 16)
    np.testing.assert_array_equal(views, again)
    cosines = tf.reduce_sum(views[:, 0] * views[:, 1], -1).numpy()
    assert (cosines < 0.999).all() and (cosines > 0.3).all()
    loss = task.loss_sums(batch, {"embedding": views})["loss"]
    assert 0 < float(loss)


def test_the_first_dimensions_learn_too():
    batch = make_batch()
    plain = EmbeddingTask(CONFIG)
    nested = EmbeddingTask(CONFIG, comparison=Comparison(dimensions=(4,)))
    vectors = plain(batch)["embedding"]
    first = vectors[..., :4]
    first /= tf.norm(first, axis=-1, keepdims=True)
    wanted = [plain.example_losses(some, batch) for some in (vectors, first)]
    found = nested.example_losses(nested(batch)["embedding"], batch)
    np.testing.assert_allclose(found, sum(wanted) / 2, rtol=1e-5)


def test_validation_of_another_form_has_a_loss():
    batch = make_batch() | {"scores": tf.constant([0.0, 0.2, 0.4, 0.8, 1.0])}
    vectors = EmbeddingTask(CONFIG)(batch)["embedding"]
    losses = {
        objective: EmbeddingTask(CONFIG, comparison=Comparison(objective))
        .example_losses(vectors, batch)
        .numpy()
        for objective in ("in_batch", "cosent", "cosine")
    }
    np.testing.assert_array_equal(losses["in_batch"], losses["cosent"])
    assert not np.allclose(losses["cosine"], losses["cosent"])
    del batch["scores"]
    of_pairs = EmbeddingTask(CONFIG, comparison=Comparison("cosine"))
    np.testing.assert_array_equal(
        of_pairs.example_losses(vectors, batch),
        EmbeddingTask(CONFIG).example_losses(vectors, batch),
    )


def test_a_loss_of_labels_and_answers_does_not_fit():
    with pytest.raises(UserError, match="EmbeddingTask; override example_loss"):
        use_loss(EmbeddingTask(CONFIG), lambda labels, answers: answers)


def test_config_round_trip():
    task = EmbeddingTask(
        CONFIG, "max", Comparison("cosent", 0.1, (8, 4)), seed=3
    )
    config = keras.saving.serialize_keras_object(task)
    again = keras.saving.deserialize_keras_object(config)
    assert again.get_config() == task.get_config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "sum"}, "wanted a pooling of mean, cls, max, got 'sum'"),
        ({"objective": "x"}, "wanted an objective of in_batch, cosine, cose"),
        ({"temperature": 0}, "wanted a temperature above 0, got 0: cosines"),
        ({"dimensions": [4, 17]}, "from 1 to 16 .*hidden_size.*got 17"),
        ({"dimensions": [0]}, "from 1 to 16 .*got 0"),
        ({"dimensions": [4, 4]}, "different dimensions, got 4, 4"),
    ],
)
def test_mistakes_are_named(options, message):
    with pytest.raises(UserError, match=message):
        pooling = options.pop("pooling", "mean")
        EmbeddingTask(CONFIG, pooling, Comparison(**options))
