"""Padding that is not computed changes no loss, gradient or output."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.layers.real_tokens import Sizes
from tfbert.tasks import (
    ClassificationTask,
    MultiLabelTask,
    MultipleChoiceTask,
    QuestionAnsweringTask,
    RegressionTask,
    TokenLabellingTask,
)
from tfbert.weights.variables import named_variables

CONFIG = BertConfig(
    vocab_size=41,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=24,
    max_position_embeddings=80,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    initializer_range=0.2,
)
ROWS, LENGTH, CHOICES = 5, 33, 3
MAKE = {
    "classification": lambda **o: ClassificationTask(
        CONFIG, 3, [1.0, 2.0, 0.5], **o
    ),
    "multi_label": lambda **o: MultiLabelTask(CONFIG, 3, **o),
    "regression": lambda **o: RegressionTask(CONFIG, 1.0, 2.0, **o),
    "multiple_choice": lambda **o: MultipleChoiceTask(CONFIG, **o),
    "question_answering": lambda **o: QuestionAnsweringTask(CONFIG, **o),
    "token_labelling": lambda **o: TokenLabellingTask(CONFIG, 3, **o),
}


def make_batch(kind: str) -> dict:
    """Rows of odd lengths, one of them full, one that only fills the batch."""
    draw = np.random.default_rng(3)
    shape = (ROWS, CHOICES) if kind == "multiple_choice" else (ROWS,)
    lengths = draw.integers(5, LENGTH, shape)
    lengths.flat[:2] = LENGTH, 5
    mask = (np.arange(LENGTH) < lengths[..., None]).astype("int32")
    second = np.arange(LENGTH) >= 2
    batch = {
        "input_ids": draw.integers(5, 41, mask.shape).astype("int32") * mask,
        "input_mask": mask,
        "segment_ids": second.astype("int32") * mask,
        "label_ids": draw.integers(0, 3, ROWS).astype("int32"),
        "is_real_example": np.array([1, 1, 1, 1, 0], "int32"),
    }
    if kind == "multi_label":
        batch["labels"] = draw.integers(0, 2, (ROWS, 3)).astype("int32")
    elif kind == "regression":
        batch["scores"] = draw.normal(size=ROWS).astype("float32")
    elif kind == "multiple_choice":
        batch["choice_mask"] = np.ones(shape, "int32")
        # The last two there are not.
        batch["choice_mask"][1:3, 2] = 0
        batch["label_ids"] %= 2
    elif kind == "question_answering":
        places = draw.integers(2, 4, (2, ROWS)).astype("int32")
        batch["start_positions"], batch["end_positions"] = places
    elif kind == "token_labelling":
        labels = draw.integers(-1, 3, mask.shape)
        batch["label_ids"] = np.where(mask, labels, -1).astype("int32")
    return batch


def computed(task, batch: dict, skip: bool, xla=None, **draw) -> dict:
    """Losses, metrics, outputs and gradients by name."""
    task.encoder.skip_padding = skip
    variables = named_variables(task)

    def run(batch):
        with tf.GradientTape() as tape:
            outputs = task(batch, training=True, **draw)
            losses = task.loss_sums(batch, outputs)
        loss = losses["loss"]
        gradients = tape.gradient(loss, [v.value for v in variables.values()])
        found = {
            name: tf.convert_to_tensor(gradient)
            for name, gradient in zip(variables, gradients, strict=True)
            if gradient is not None
        }
        sums = task.metric_sums(batch, outputs)
        return losses | sums | outputs, found

    if skip:  # As the step does it, where shapes are not known before.
        run = tf.function(run, autograph=False, jit_compile=xla)
    return run({name: tf.constant(value) for name, value in batch.items()})


def assert_same(batch, padded, found, tolerance):
    real = batch["input_mask"] == 1
    for name, wanted in padded[0].items():
        one, two = np.array(wanted), np.array(found[0][name])
        if one.shape[:2] == real.shape and one.shape[1] == LENGTH:
            one, two = one[real], two[real]  # Of padding nothing is said.
        np.testing.assert_allclose(two, one, rtol=tolerance, atol=tolerance)
    assert padded[1].keys() == found[1].keys()
    for name, wanted in padded[1].items():
        scale = max(1.0, np.abs(wanted).max())
        np.testing.assert_allclose(
            found[1][name] / scale, wanted / scale, atol=tolerance, err_msg=name
        )


@pytest.mark.parametrize("kind", MAKE)
def test_losses_and_gradients_are_those_of_padded_rows(kind):
    task, batch = MAKE[kind](), make_batch(kind)
    padded = computed(task, batch, skip=False)
    assert_same(batch, padded, computed(task, batch, skip=True), 1e-6)
    if kind in ("classification", "token_labelling"):
        task.encoder.recompute = True
        assert_same(batch, padded, computed(task, batch, skip=True), 1e-6)


@pytest.mark.long
@pytest.mark.parametrize("kind", ["multiple_choice", "token_labelling"])
def test_fixed_shapes_are_compiled_to_the_same_numbers(kind):
    task, batch = MAKE[kind](), make_batch(kind)
    padded = computed(task, batch, skip=False)
    rows = ROWS * (CHOICES if kind == "multiple_choice" else 1)
    # More than there are, and of one group just as many as can be.
    task.encoder.fixed_sizes = {rows: Sizes(rows * LENGTH - 3, (rows, 7))}
    found = computed(task, batch, skip=True, xla=True)
    assert_same(batch, padded, found, 1e-6)
    # Of a number of rows that nobody has counted padding is computed.
    mask = batch["input_mask"]
    assert task.encoder.places(mask) == rows * LENGTH - 3
    task.encoder.fixed_sizes = {rows + 1: Sizes(1, (1, 1))}
    assert task.encoder.places(mask) == rows * LENGTH


@pytest.mark.parametrize("sizes", [(60, (5, 1)), (99, (3, 2)), (99, (5, 0))])
def test_what_does_not_fit_is_no_number(sizes):
    """So that the step is skipped, and not learnt from half of a batch."""
    task, batch = MAKE["classification"](), make_batch("")
    batch["input_mask"][0], batch["input_mask"][1:, 16:] = 1, 0
    assert 60 < batch["input_mask"].sum() <= 99
    task.encoder.skip_padding = True
    task.encoder.fixed_sizes = {ROWS: Sizes(99, (4, 1))}
    assert np.isfinite(task(batch)["logits"]).all()
    task.encoder.fixed_sizes = {ROWS: Sizes(*sizes)}
    assert np.isnan(task(batch)["logits"]).all()


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "mixed_float16"])
def test_in_half_precision(dtype):
    task, batch = MAKE["classification"](dtype=dtype), make_batch("")
    padded = computed(task, batch, skip=False)
    assert_same(batch, padded, computed(task, batch, skip=True), 2e-2)


def test_work_is_that_of_the_real_tokens():
    """One long row makes no other row long, in no layer."""
    task, batch = MAKE["classification"](), make_batch("")
    batch = {k: np.repeat(v, 13, 0) for k, v in batch.items()}
    mask = np.zeros((65, 80), "int32")
    mask[:, :5] = mask[0] = 1
    for name in ("input_ids", "input_mask", "segment_ids"):
        batch[name] = mask
    task.encoder.skip_padding = True
    sizes = []

    def record(layer):
        call = layer.call

        def recorded(x, *arguments, **named):
            sizes.append(int(tf.size(x)) // x.shape[-1])
            return call(x, *arguments, **named)

        layer.call = recorded

    first, last = task.encoder.blocks
    record(first.feed_forward)
    record(first.attention.query_key_value)
    record(last.feed_forward)
    task(batch)
    # The last block computes what is read.
    assert sizes == [80 + 64 * 5, 80 + 64 * 5, 65]
    probabilities = []
    context = first.attention.dropout.call
    first.attention.dropout.call = lambda x, **draw: (
        probabilities.append(x.shape),
        context(x, **draw),
    )[1]
    task(batch)
    assert probabilities == [(64, 4, 32, 32), (0, 4, 64, 64), (1, 4, 80, 80)]


def test_groups_of_rows_draw_their_own_dropout():
    config = BertConfig.from_dict(
        {**CONFIG.to_dict(), "attention_probs_dropout_prob": 0.5}
    )
    task, batch = ClassificationTask(config, 3), make_batch("")
    # The same row in either group of rows.
    seen = []
    layer = task.encoder.blocks[0].attention.dropout
    call = layer.call

    def recorded(x, **draw):
        dropped = call(x, **draw)
        seen.append(np.array(dropped == 0))
        return dropped

    layer.call = recorded
    task.encoder.skip_padding = True
    seeds = [tf.constant([1, 2]), tf.constant([1, 2]), tf.constant([1, 3])]
    for seed in seeds:
        task(batch, training=True, dropout_seed=seed)
    short, full = seen[:2]
    size = min(short.size, full.size) // 2
    assert (short.ravel()[:size] != full.ravel()[:size]).any()
    np.testing.assert_array_equal(seen[0], seen[2])
    assert (seen[0] != seen[4]).any()
