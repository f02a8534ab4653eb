"""Windows of texts: pooled as NumPy would, on any split of a batch."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.layers.real_tokens import Sizes
from tfbert.tasks import (
    ClassificationTask,
    EmbeddingTask,
    MultiLabelTask,
    MultipleChoiceTask,
    RegressionTask,
    text_windows,
)
from tfbert.tasks.text_windows import WINDOW_POOLINGS

CONFIG = BertConfig(
    vocab_size=41,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=16,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.3,
)
COUNTS, S = (1, 3, 2, 1), 10
W = max(COUNTS)


def make_batch(counts=COUNTS, seed=0):
    """Texts of so many windows, the last of each a short one."""
    draw = np.random.default_rng(seed)
    lengths = np.zeros((len(counts), W), int)
    for text, count in enumerate(counts):
        lengths[text, :count] = S
        lengths[text, count - 1] = draw.integers(3, S)
    mask = (np.arange(S) < lengths[..., None]).astype("int32")
    return {
        "input_ids": draw.integers(5, 41, mask.shape).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": np.zeros_like(mask),
        "label_ids": draw.integers(0, 3, len(counts)).astype("int32"),
        "labels": draw.integers(0, 2, (len(counts), 3)).astype("int32"),
        "scores": draw.normal(size=len(counts)).astype("float32"),
        "is_real_example": np.ones(len(counts), "int32"),
    }


def with_query(task):
    """Attention that prefers something: it begins with all alike."""
    if task.window_pooling == "attention":
        query = np.random.default_rng(5).normal(size=CONFIG.hidden_size)
        task.window_query.assign(query * 3)
    return task


def pooled_by_numpy(task, batch):
    """Logits [B, C] by loops over texts, on today's rows."""
    plain = ClassificationTask(CONFIG, 3)
    found = []
    for text in range(len(batch["input_ids"])):
        there = batch["input_mask"][text].any(axis=-1)
        rows = {
            n: tf.constant(batch[n][text][there])
            for n in ("input_ids", "input_mask", "segment_ids")
        }
        vectors = plain.pooled(rows, training=False).numpy()
        weights = np.ones(len(vectors))
        if task.window_pooling == "attention":
            weights = np.exp(vectors @ task.window_query.numpy())
        mean = (vectors * weights[:, None]).sum(0) / weights.sum()
        logits = plain.classifier(vectors).numpy()
        found.append(
            {
                "mean_logits": logits.mean(0),
                "max_logits": logits.max(0),
            }.get(task.window_pooling, plain.classifier(mean[None])[0].numpy())
        )
    return np.array(found)


@pytest.mark.parametrize("pooling", WINDOW_POOLINGS)
def test_pooled_as_by_numpy(pooling):
    task = with_query(ClassificationTask(CONFIG, 3, window_pooling=pooling))
    batch = make_batch()
    want = pooled_by_numpy(task, batch)
    logits = task(batch, training=False)["logits"]
    assert logits.shape == (4, 3)
    np.testing.assert_allclose(logits, want, atol=2e-6)
    assert np.ptp(want) > 0.5


@pytest.mark.parametrize("pooling", WINDOW_POOLINGS)
def test_one_window_is_answered_as_a_row(pooling):
    task = with_query(ClassificationTask(CONFIG, 3, window_pooling=pooling))
    batch = make_batch([1, 1, 1])
    rows = {n: v[:, 0] if v.ndim == 3 else v for n, v in batch.items()}
    alone = ClassificationTask(CONFIG, 3)
    np.testing.assert_array_equal(
        task(batch, training=False)["logits"],
        alone(rows, training=False)["logits"],
    )


def gradients(task, batch, xla=None):
    def compute(batch):
        with tf.GradientTape() as tape:
            outputs = task(batch, training=True)
            loss = task.loss_sums(batch, outputs)["loss"]
        variables = task.trainable_variables
        found = tape.gradient(loss, [v.value for v in variables])
        return loss, {
            v.path: tf.convert_to_tensor(gradient)
            for v, gradient in zip(variables, found, strict=True)
            if gradient is not None
        }

    if xla:
        compute = tf.function(compute, jit_compile=True)
    loss, found = compute(batch)
    return float(loss), {path: value.numpy() for path, value in found.items()}


def assert_same(some, other, atol=1e-5):
    np.testing.assert_allclose(some[0], other[0], rtol=1e-5)
    assert some[1].keys() == other[1].keys()
    for path, gradient in some[1].items():
        np.testing.assert_allclose(gradient, other[1][path], atol=atol)


@pytest.mark.parametrize("pooling", WINDOW_POOLINGS)
def test_gradients_are_those_of_all_texts_alone(pooling):
    """With padding and without, and one text at a time."""

    def make():
        return with_query(ClassificationTask(CONFIG, 3, window_pooling=pooling))

    batch, task = make_batch(), make()
    whole = gradients(task, batch)
    if pooling == "attention":
        query = f"{task.path}/window_query"
        assert np.abs(whole[1][query]).max() > 1e-3
    task.encoder.skip_padding = True
    assert_same(gradients(task, batch), whole)
    parts = [
        gradients(make(), {n: v[i : i + 1] for n, v in batch.items()})
        for i in range(len(COUNTS))
    ]
    total = {path: sum(part[1][path] for part in parts) for path in whole[1]}
    assert_same((sum(part[0] for part in parts), total), whole)


@pytest.mark.long
@pytest.mark.parametrize("pooling", WINDOW_POOLINGS)
def test_fixed_shapes_have_the_same_gradients(pooling):
    batch = make_batch()
    task = with_query(ClassificationTask(CONFIG, 3, window_pooling=pooling))
    whole = gradients(task, batch)
    task.encoder.skip_padding = True
    rows = len(COUNTS) * W
    task.encoder.fixed_sizes = {rows: Sizes(90, (rows,))}
    assert_same(gradients(task, batch, xla=True), whole)


def test_windows_that_are_not_there_count_for_nothing():
    task = ClassificationTask(CONFIG, 3, window_pooling="max_logits")
    batch = make_batch()
    more = {
        n: np.pad(v, [(0, 0), (0, 5), (0, 0)]) if v.ndim == 3 else v
        for n, v in batch.items()
    }
    want = task(batch, training=False)["logits"]
    np.testing.assert_allclose(task(more, training=False)["logits"], want)
    task.encoder.fixed_sizes = {8 * len(COUNTS): Sizes(320, (32,))}
    np.testing.assert_allclose(
        task(more, training=False)["logits"], want, atol=1e-6
    )


def test_mean_of_vectors_and_of_logits_differ_in_dropout_alone():
    config = CONFIG.to_dict() | {"hidden_dropout_prob": 0.5}
    outputs = []
    for pooling in ("mean_vectors", "mean_logits"):
        task = ClassificationTask(
            BertConfig.from_dict(config), 3, window_pooling=pooling
        )
        batch, seed = make_batch(), tf.constant([1, 2])
        drawn = task(batch, training=True, dropout_seed=seed)["logits"]
        outputs.append((task(batch, training=False)["logits"], drawn))
    (a, drawn_a), (b, drawn_b) = outputs
    np.testing.assert_allclose(a, b, atol=2e-6)
    assert np.abs(drawn_a - drawn_b).max() > 1e-3


def test_what_is_answered_in_parts_is_the_same(monkeypatch):
    batch = make_batch()
    task = ClassificationTask(CONFIG, 3, window_pooling="mean_logits")
    want = task(batch, training=False)["logits"]
    most = []
    encoder = task.encoder.call

    def call(inputs, *args, **more):
        most.append(len(inputs["input_ids"]))
        return encoder(inputs, *args, **more)

    monkeypatch.setattr(task.encoder, "call", call)
    monkeypatch.setattr(text_windows, "_PLACES_AT_ONCE", 2 * S)
    found = task(batch, training=False)["logits"]
    np.testing.assert_allclose(found, want, atol=2e-6)
    assert most == [2, 2, 2, 1]


@pytest.mark.parametrize("skip_padding", [False, True])
def test_choices_in_windows(skip_padding):
    task = MultipleChoiceTask(CONFIG, window_pooling="mean_logits")
    task.encoder.skip_padding = skip_padding
    flat = make_batch((1, 3, 2, 1, 2, 2))
    batch = {n: v.reshape(2, 3, W, S) for n, v in flat.items() if v.ndim == 3}
    batch["choice_mask"] = np.array([[1, 1, 1], [1, 1, 0]], "int32")
    batch["label_ids"] = np.array([0, 1], "int32")
    batch["is_real_example"] = np.array([1, 1], "int32")
    logits = task(batch, training=False)["logits"]
    want = task.head_outputs(flat).numpy().reshape(2, 3)
    assert logits[1, 2] < -1e8
    want[1, 2] = logits[1, 2]
    np.testing.assert_allclose(logits, want, atol=2e-6)
    _, found = gradients(task, batch)
    assert all(np.isfinite(gradient).all() for gradient in found.values())


def test_other_tasks_pool_too():
    batch = make_batch()
    for task, output, width in (
        (MultiLabelTask(CONFIG, 3, window_pooling="max_logits"), "logits", 3),
        (RegressionTask(CONFIG, window_pooling="attention"), "scores", None),
    ):
        shape = (4,) if width is None else (4, width)
        assert task(batch, training=False)[output].shape == shape
        copy = type(task).from_config(task.get_config())
        assert copy.window_pooling == task.window_pooling
        assert np.isfinite(gradients(task, batch)[0])


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
def test_vectors_are_the_mean_of_the_windows(pooling):
    task = EmbeddingTask(CONFIG, pooling)
    flat = make_batch()
    batch = {n: v.reshape(2, 2, W, S) for n, v in flat.items() if v.ndim == 3}
    found = task(batch, training=False)["embedding"].numpy().reshape(4, -1)
    for text, vector in enumerate(found):
        there = flat["input_mask"][text].any(axis=-1)
        rows = {n: flat[n][text][there] for n in batch}
        mean = task.pooled_rows(rows, training=False).numpy().mean(0)
        np.testing.assert_allclose(
            vector, mean / np.linalg.norm(mean), atol=2e-6
        )


def test_an_unknown_pooling_is_refused():
    with pytest.raises(UserError, match="attention, got 'median'"):
        ClassificationTask(CONFIG, 3, window_pooling="median")
