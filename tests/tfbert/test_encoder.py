import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.tasks import ClassificationTask, PretrainingTask
from tfbert.weights.variables import named_variables

ROOT = Path(__file__).parents[2]
CONFIG = BertConfig.preset("tiny", vocab_size=40, num_hidden_layers=1)
IDS = np.random.default_rng(0).integers(0, 40, (2, 7)).astype(np.int32)
SEED = np.array([3, 4], np.int32)

OTHER_BACKEND = """
import sys
import numpy as np
from tfbert import BertConfig, BertEncoder
from tfbert.tasks import ClassificationTask, PretrainingTask
import tfbert.optimizers, tfbert.weights.variables

config = BertConfig.preset("tiny", vocab_size=40, num_hidden_layers=1)
ids = np.random.default_rng(0).integers(0, 40, (2, 7)).astype("int32")
seed = np.array([3, 4], "int32")
task = PretrainingTask(config)
batch = {
    "input_ids": ids,
    "masked_lm_positions": np.array([[1, 2], [0, 3]], "int32"),
    "masked_lm_ids": np.array([[5, 6], [7, 8]], "int32"),
    "masked_lm_weights": np.ones((2, 2), "float32"),
}
import keras
to_numpy = keras.ops.convert_to_numpy
output = task.encoder({"input_ids": ids})["sequence_output"]
loss = task.loss_sums(batch, task(batch))["masked_lm_loss"]
encode = task.encoder
masks = [
    to_numpy(encode(batch, training=True, dropout_seed=s)["pooled_output"])
    for s in (seed, seed, seed + 1)
]
assert np.array_equal(masks[0], masks[1])
assert not np.array_equal(masks[0], masks[2])
assert "tensorflow" not in sys.modules, "TensorFlow was imported"
np.savez(sys.argv[1], output=to_numpy(output), loss=to_numpy(loss))
"""


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_other_backends_agree_and_do_not_import_tensorflow(backend, tmp_path):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    result = tmp_path / "result.npz"
    done = subprocess.run(
        [sys.executable, "-c", OTHER_BACKEND, str(result)],
        env={
            **os.environ,
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    values = np.load(result)
    task = PretrainingTask(CONFIG)
    batch = {
        "input_ids": IDS,
        "masked_lm_positions": np.array([[1, 2], [0, 3]], np.int32),
        "masked_lm_ids": np.array([[5, 6], [7, 8]], np.int32),
        "masked_lm_weights": np.ones((2, 2), np.float32),
    }
    output = task.encoder({"input_ids": IDS})["sequence_output"]
    np.testing.assert_allclose(values["output"], output, atol=1e-5)
    loss = task.loss_sums(batch, task(batch))["masked_lm_loss"]
    np.testing.assert_allclose(values["loss"], loss, rtol=1e-5)


def test_names_are_fixed_and_all_exist_after_construction():
    names = set(named_variables(ClassificationTask(CONFIG, 3)))
    assert {
        "encoder/embeddings/token_embeddings",
        "encoder/embeddings/layer_norm/gamma",
        "encoder/block_0/attention/query_key_value/kernel",
        "encoder/block_0/attention/output/bias",
        "encoder/block_0/attention_layer_norm/beta",
        "encoder/block_0/feed_forward/intermediate/kernel",
        "encoder/block_0/feed_forward_layer_norm/gamma",
        "encoder/pooler/kernel",
        "classifier/kernel",
    } <= names
    # A second model in the process has the same names.
    assert names == set(named_variables(ClassificationTask(CONFIG, 3)))


@pytest.mark.parametrize(
    "name, parameters",
    [("tiny", 4_385_920), ("mini", 11_170_560), ("base", 109_482_240)],
)
def test_published_numbers_of_parameters(name, parameters):
    config = BertConfig.preset(name)
    hidden, inner = config.hidden_size, config.intermediate_size
    if name == "base":  # Counted, not built: 440 MB.
        block = 4 * hidden * (hidden + 1) + 2 * hidden * inner
        block += inner + hidden + 4 * hidden
        counted = (30522 + 512 + 2 + 2) * hidden + 12 * block
        counted += hidden * (hidden + 1)
    else:
        counted = BertEncoder(config).count_params()
    assert counted == parameters


def test_initial_weights_depend_on_seed_and_name_only():
    first = named_variables(BertEncoder(CONFIG, seed=1))
    BertEncoder(CONFIG, seed=9)
    task = PretrainingTask(CONFIG, dtype="mixed_bfloat16", seed=1)
    second = named_variables(task.encoder)
    other = named_variables(BertEncoder(CONFIG, seed=2))
    assert list(first) == list(second)
    for name, variable in first.items():
        np.testing.assert_array_equal(variable.numpy(), second[name].numpy())
        if variable.ndim == 2:
            assert not np.array_equal(variable.numpy(), other[name].numpy())
    kernels = [v.numpy() for n, v in first.items() if n.endswith("kernel")]
    assert len({kernel[0, 0] for kernel in kernels}) == len(kernels)


def test_config_round_trip():
    encoder = BertEncoder(CONFIG, dtype="mixed_bfloat16", seed=4)
    copy = BertEncoder.from_config(encoder.get_config())
    assert copy.config == CONFIG
    assert copy.compute_dtype == "bfloat16"
    for name, variable in named_variables(copy).items():
        np.testing.assert_array_equal(
            variable.numpy(), named_variables(encoder)[name].numpy()
        )
    layer = encoder.blocks[0]
    copy = type(layer).from_config(layer.get_config())
    assert (copy.index, copy.config) == (0, CONFIG)


def test_dropout_is_a_function_of_the_seed():
    encoder = BertEncoder(CONFIG, draws_seeds=False)

    def run(seed, training=True):
        return encoder(
            {"input_ids": IDS}, training=training, dropout_seed=seed
        )["sequence_output"].numpy()

    np.testing.assert_array_equal(run(SEED), run(SEED))
    assert not np.array_equal(run(SEED), run(SEED + 1))
    np.testing.assert_array_equal(run(SEED, False), run(None, False))
    with pytest.raises(ValueError, match="dropout_seed="):
        run(None)


def test_no_seed_is_needed_without_dropout():
    config = BertConfig.preset(
        "tiny",
        vocab_size=40,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    encoder = BertEncoder(config)
    np.testing.assert_array_equal(
        encoder({"input_ids": IDS}, training=True)["pooled_output"],
        encoder({"input_ids": IDS})["pooled_output"],
    )


def test_inference_draws_nothing():
    encoder = BertEncoder(CONFIG)
    graph = tf.function(lambda ids: encoder({"input_ids": ids}))
    graph = graph.get_concrete_function(tf.TensorSpec([None, None], tf.int32))
    kinds = {op.type for op in graph.graph.get_operations()}
    assert not [kind for kind in kinds if "Random" in kind]
    output = graph(tf.constant(IDS))["sequence_output"]
    np.testing.assert_allclose(
        output, encoder({"input_ids": IDS})["sequence_output"], atol=1e-6
    )


def test_mixed_bfloat16_is_near_float32():
    exact = BertEncoder(CONFIG)({"input_ids": IDS})["sequence_output"]
    encoder = BertEncoder(CONFIG, dtype="mixed_bfloat16")
    rough = encoder({"input_ids": IDS})["sequence_output"]
    assert rough.dtype == tf.bfloat16
    assert {v.dtype for v in encoder.weights} == {"float32"}
    np.testing.assert_allclose(tf.cast(rough, tf.float32), exact, atol=0.06)


def test_float16_masks_without_overflow():
    encoder = BertEncoder(CONFIG, dtype="mixed_float16")
    mask = np.array([[1] * 5 + [0] * 2, [0] * 7], np.int32)
    output = encoder({"input_ids": IDS, "input_mask": mask})["sequence_output"]
    assert np.all(np.isfinite(output.numpy()))


def test_runs_in_a_functional_model():
    encoder = BertEncoder(CONFIG)
    ids = keras.Input((None,), dtype="int32", name="input_ids")
    model = keras.Model(ids, encoder({"input_ids": ids})["pooled_output"])
    np.testing.assert_allclose(
        model(IDS), encoder({"input_ids": IDS})["pooled_output"], atol=1e-6
    )


@pytest.mark.parametrize(
    "inputs, words",
    [
        ({"ids": IDS}, "needs 'input_ids'"),
        ({"input_ids": IDS[0]}, "shape \\[B, S\\]"),
        ({"input_ids": IDS.astype("float32")}, "must be integers"),
        ({"input_ids": IDS, "input_mask": IDS > 0}, "input_mask must be"),
        ({"input_ids": np.ones((1, 513), "int32")}, "513 tokens are longer"),
    ],
)
def test_wrong_inputs_are_refused(inputs, words):
    encoder = BertEncoder(CONFIG)
    with pytest.raises(ValueError, match=words):
        encoder(inputs)
