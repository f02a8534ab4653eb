"""Gradients in 16 bits are those of float32, also over many rows.

A sum that is kept in bfloat16 stops growing at 256 summands of one size, and
is off by half at 16,384 rows: far more than any rounding of what is summed.
"""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfbert
from tfbert import tasks
from trainers.step.options import Execution
from trainers.step.training_model import TrainingModel

LENGTH, TOKENS = 16, 16_384
CONFIG = tfbert.BertConfig(
    vocab_size=40,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
    max_position_embeddings=LENGTH,
    initializer_range=0.3,
)
# Ops that add rows one by one in the type of the rows.
ROW_SUMS = ("BiasAddGrad", "UnsortedSegmentSum", "ScatterNd")

CASES = {
    "pretraining": (
        lambda **o: tasks.PretrainingTask(CONFIG, next_sentence=True, **o),
        {"max_predictions": 4},
    ),
    "packed": (
        lambda **o: tasks.PretrainingTask(CONFIG, **o),
        {"max_predictions": 4, "packed": True},
    ),
    "pre-norm": (
        lambda **o: tasks.PretrainingTask(
            tfbert.BertConfig.from_dict(
                {**CONFIG.to_dict(), "norm_position": "pre"}
            ),
            **o,
        ),
        {"max_predictions": 4},
    ),
    "classification": (
        lambda **o: tasks.ClassificationTask(CONFIG, 3, [1.0, 2.0, 0.5], **o),
        {},
    ),
    "embedding": (lambda **o: tasks.EmbeddingTask(CONFIG, **o), {}),
    "multi_label": (lambda **o: tasks.MultiLabelTask(CONFIG, 3, **o), {}),
    "multiple_choice": (
        lambda **o: tasks.MultipleChoiceTask(CONFIG, **o),
        {"choices": 4},
    ),
    "question_answering": (
        lambda **o: tasks.QuestionAnsweringTask(CONFIG, **o),
        {},
    ),
    "regression": (lambda **o: tasks.RegressionTask(CONFIG, 1.0, 2.0, **o), {}),
    "token_labelling": (
        lambda **o: tasks.TokenLabellingTask(CONFIG, 3, **o),
        {},
    ),
}


def make_batch(task, lengths, tokens):
    """Random values; labels that are far from equally frequent."""
    rows = tokens // LENGTH // lengths.get("choices", 1)
    signature = task.input_signature(rows, sequence_length=LENGTH, **lengths)
    rng = np.random.default_rng(5)
    limits = {"input_ids": 40, "masked_lm_ids": 12, "segment_ids": 2}
    for name in ("positions", "start_positions", "end_positions"):
        limits[name] = LENGTH
    batch = {}
    for name, tensor in signature.items():
        shape, top = tensor.shape, limits.get(name, 3)
        values = np.minimum(rng.integers(0, top, shape), rng.integers(0, top))
        if name in ("input_ids", "segment_ids", "start_positions"):
            values = rng.integers(0, top, shape)
        if name in ("input_mask", "choice_mask", "is_real_example"):
            values = np.ones(shape)
        if name == "sequence_ids":
            values = np.broadcast_to(1 + np.arange(LENGTH) // 6, shape)
        if name == "position_ids":
            values = np.broadcast_to(np.arange(LENGTH) % 6, shape)
        if name == "masked_lm_positions":
            values = rng.permuted(np.tile(np.arange(LENGTH), (rows, 1)), axis=1)
            values = values[:, : shape[1]]
        if name == "masked_lm_weights":
            values = rng.random(shape) < 0.9
        if name in ("labels", "next_sentence_labels"):
            values = rng.random(shape) < 0.2
        if name == "text_keys":
            values = np.arange(np.prod(shape)).reshape(shape)
        if name == "scores":
            values = rng.normal(3.0, 1.0, shape)
        batch[name] = np.asarray(values).astype(tensor.dtype)
    return {name: tf.constant(value) for name, value in batch.items()}


def gradients(case, dtype, xla=False, tokens=TOKENS, batch_of=None):
    """Returns (gradients by path, the graph that computes them)."""
    make, lengths = CASES[case]
    task = make(dtype=dtype, seed=1)
    batch = make_batch(task, lengths, tokens)
    model = TrainingModel(task, execution=Execution(xla=xla))
    scale = 2.0**10 if dtype == "mixed_float16" else 1.0
    arguments = (
        batch,
        task.loss_weights(batch),
        tf.constant(scale),
        tf.constant([1, 2]),
    )
    values, _ = model._forward_backward(*arguments)
    found = {
        variable.path: value.numpy() / scale
        for variable, value in zip(model.learnt_variables, values, strict=True)
    }
    return found, model._forward_backward.get_concrete_function(*arguments)


exact = functools.lru_cache(
    lambda case, tokens: gradients(case, "float32", tokens=tokens)[0]
)


def check(case, dtype, xla=False, tokens=TOKENS):
    """Compares every variable's gradient with that of float32."""
    found, function = gradients(case, dtype, xla, tokens)
    wrong = []
    for path, wanted in exact(case, tokens).items():
        size = np.linalg.norm(wanted)
        if size < 1e-7:
            assert np.linalg.norm(found[path]) < 1e-3, path
            continue
        ratio = np.linalg.norm(found[path]) / size
        cosine = np.sum(found[path] * wanted, dtype=float) / size**2 / ratio
        if cosine < 0.999 or abs(ratio - 1) > 0.01:
            wrong.append(f"{path}: cosine {cosine:.4f}, norm {ratio:.4f}")
    assert not wrong, "\n".join(wrong)
    return function


def half_row_sums(function):
    """Names of ops in a graph that add rows one by one in 16 bits."""
    definition = function.graph.as_graph_def()
    nodes = list(definition.node)
    for inner in definition.library.function:
        nodes += inner.node_def
    half = (tf.bfloat16.as_datatype_enum, tf.float16.as_datatype_enum)
    return [
        f"{node.op} {node.name}"
        for node in nodes
        if node.op.startswith(ROW_SUMS) and node.attr["T"].type in half
    ]


@pytest.mark.parametrize("case", CASES)
def test_every_variable(case):
    function = check(case, "mixed_bfloat16")
    assert not half_row_sums(function)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_every_variable_in_float16(case):
    function = check(case, "mixed_float16")
    assert not half_row_sums(function)


@pytest.mark.long
@pytest.mark.parametrize(
    "case, dtype, xla",
    [
        ("packed", "mixed_bfloat16", False),
        ("packed", "mixed_bfloat16", True),
        ("pretraining", "mixed_float16", True),
    ],
)
def test_65536_tokens(case, dtype, xla):
    check(case, dtype, xla, tokens=65_536)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_layers_by_hand(dtype):
    """Segments that are not given, a single position: sums of rows too."""
    config = {**CONFIG.to_dict(), "max_position_embeddings": 1}
    found = []
    for policy in ("float32", f"mixed_{dtype}"):
        layer = tfbert.BertEncoder(
            tfbert.BertConfig.from_dict(config), dtype=policy, seed=2
        ).embeddings
        ids = keras.ops.ones((TOKENS, 1), "int32") * 7
        variables = [v.value for v in layer.trainable_variables]
        with tf.GradientTape() as tape:
            x = keras.ops.cast(layer(ids), "float32")
            weights = tf.range(CONFIG.hidden_size, dtype=tf.float32)
            total = tf.reduce_sum(x * weights) / TOKENS
        found.append(
            [tf.convert_to_tensor(g) for g in tape.gradient(total, variables)]
        )
    for wanted, got in zip(*found, strict=True):
        size = float(tf.norm(wanted))
        assert float(tf.norm(got - wanted)) < 0.02 * max(size, 1e-3)
