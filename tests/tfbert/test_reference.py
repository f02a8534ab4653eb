"""The model against a BERT in NumPy, written from the papers.

Devlin et al. 2018 (sections 3, 3.1), Vaswani et al. 2017 (sections 3.2, 3.3,
3.5), Xiong et al. 2020 (pre-norm). Everything is float64 and loops over
heads; nothing is shared with the package but the variables' names.
"""

import math

import numpy as np
import pytest

from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.tasks import PretrainingTask
from tfbert.weights.variables import named_variables

erf = np.vectorize(math.erf)
ACTIVATIONS = {
    "gelu": lambda x: 0.5 * x * (1 + erf(x / np.sqrt(2))),
    "gelu_new": lambda x: (
        0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    ),
    "relu": lambda x: np.maximum(x, 0),
    "silu": lambda x: x / (1 + np.exp(-x)),
}


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class NumpyBert:
    def __init__(self, task, config):
        self.config = config
        self.weights = {
            name: np.asarray(variable.numpy(), np.float64)
            for name, variable in named_variables(task).items()
        }

    def dense(self, name, x):
        return x @ self.weights[f"{name}/kernel"] + self.weights[f"{name}/bias"]

    def norm(self, name, x):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        x = (x - mean) / np.sqrt(variance + self.config.layer_norm_eps)
        return x * self.weights[f"{name}/gamma"] + self.weights[f"{name}/beta"]

    def positions(self, ids):
        if self.config.position_embedding_type == "learned":
            return self.weights["encoder/embeddings/position_embeddings"][ids]
        width = self.config.hidden_size
        table = np.zeros((self.config.max_position_embeddings, width))
        for i in range(len(table)):
            for j in range((width + 1) // 2):
                angle = i / 10000 ** (2 * j / width)
                table[i, 2 * j] = math.sin(angle)
                table[i, 2 * j + 1] = math.cos(angle)
        return table[ids]

    def attend(self, name, x, allowed):
        """x [S, H], allowed bool [S, S]."""
        length, width = x.shape
        size = self.config.head_size
        qkv = self.dense(f"{name}/query_key_value", x)
        result = np.zeros((length, width))
        for head in range(self.config.num_attention_heads):
            own = slice(head * size, (head + 1) * size)
            query, key, value = (
                qkv[:, part * width : (part + 1) * width][:, own]
                for part in range(3)
            )
            scores = query @ key.T / np.sqrt(size)
            scores = np.where(allowed, scores, -1e30)
            result[:, own] = softmax(scores) @ value
        return self.dense(f"{name}/output", result)

    def block(self, name, x, allowed):
        act = ACTIVATIONS[self.config.hidden_act]

        def attention(x):
            return self.attend(f"{name}/attention", x, allowed)

        def feed_forward(x):
            x = act(self.dense(f"{name}/feed_forward/intermediate", x))
            return self.dense(f"{name}/feed_forward/output", x)

        sublayers = (
            (attention, f"{name}/attention_layer_norm"),
            (feed_forward, f"{name}/feed_forward_layer_norm"),
        )
        for sublayer, norm in sublayers:
            if self.config.norm_position == "post":
                x = self.norm(norm, x + sublayer(x))
            else:
                x = x + sublayer(self.norm(norm, x))
        return x

    def encode(self, ids, mask, segments, positions=None, sequences=None):
        """One row: [S] arrays; returns [S, H] and [H]."""
        table = "encoder/embeddings"
        positions = np.arange(len(ids)) if positions is None else positions
        x = self.weights[f"{table}/token_embeddings"][ids]
        x = x + self.weights[f"{table}/segment_embeddings"][segments]
        x = x + self.positions(positions)
        post = self.config.norm_position == "post"
        if post:
            x = self.norm(f"{table}/layer_norm", x)
        allowed = np.broadcast_to(np.asarray(mask)[None] == 1, (len(ids),) * 2)
        if sequences is not None:
            same = sequences[:, None] == sequences[None, :]
            allowed = allowed & same & (sequences[None, :] > 0)
        for index in range(self.config.num_hidden_layers):
            x = self.block(f"encoder/block_{index}", x, allowed)
        if not post:
            x = self.norm("encoder/final_layer_norm", x)
        return x, np.tanh(self.dense("encoder/pooler", x[0]))

    def masked_lm(self, x, positions):
        act = ACTIVATIONS[self.config.hidden_act]
        x = act(self.dense("masked_lm/transform", x[positions]))
        x = self.norm("masked_lm/layer_norm", x)
        table = self.weights["encoder/embeddings/token_embeddings"]
        return x @ table.T + self.weights["masked_lm/output_bias"]

    def next_sentence(self, pooled):
        return self.dense("next_sentence/dense", pooled)


def small_config(**overrides):
    shape = {
        "vocab_size": 61,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_attention_heads": 3,
        "intermediate_size": 40,
        "max_position_embeddings": 32,
        "type_vocab_size": 3,
        # Wide weights, so that no term is too small to be noticed.
        "initializer_range": 0.4,
    }
    return BertConfig(**(shape | overrides))


def scatter_weights(layer):
    """Moves biases, gammas and betas off 0 and 1: each must count."""
    rng = np.random.default_rng(5)
    for variable in layer.weights:
        value = variable.numpy()
        if value.ndim == 1:
            variable.assign(value + rng.normal(0, 0.3, value.shape))


def make_batch(rng, rows=3, length=17, predictions=4, config=None):
    mask = np.zeros((rows, length), np.int32)
    for row, tokens in enumerate(rng.integers(5, length + 1, rows)):
        mask[row, :tokens] = 1
    return {
        "input_ids": rng.integers(0, config.vocab_size, (rows, length)),
        "input_mask": mask,
        "segment_ids": rng.integers(0, 3, (rows, length)),
        "masked_lm_positions": rng.integers(0, 5, (rows, predictions)),
        "masked_lm_ids": rng.integers(
            0, config.vocab_size, (rows, predictions)
        ),
        "masked_lm_weights": rng.integers(0, 2, (rows, predictions)),
        "next_sentence_labels": rng.integers(0, 2, (rows,)),
    }


def test_as_many_predictions_as_rows():
    # Shapes at which ops.add of Keras 3.15 reads a column as a bias.
    config = small_config()
    task = PretrainingTask(config)
    batch = make_batch(np.random.default_rng(4), 4, config=config)
    encoded = task.encoder(batch)["sequence_output"].numpy()
    reference = NumpyBert(task, config)
    logits = task(batch)["masked_lm_logits"]
    for row, positions in enumerate(batch["masked_lm_positions"]):
        np.testing.assert_allclose(
            logits[row], reference.masked_lm(encoded[row], positions), atol=1e-4
        )


@pytest.mark.parametrize("act", sorted(ACTIVATIONS))
@pytest.mark.parametrize("norm", ["post", "pre"])
@pytest.mark.parametrize("positions", ["learned", "sinusoidal"])
def test_pretraining_task_equals_numpy(act, norm, positions):
    config = small_config(
        hidden_act=act, norm_position=norm, position_embedding_type=positions
    )
    task = PretrainingTask(config, next_sentence=True, seed=3)
    scatter_weights(task)
    reference = NumpyBert(task, config)
    batch = make_batch(np.random.default_rng(0), config=config)
    encoded = task.encoder(batch)
    outputs = task(batch)
    sums = task.loss_sums(batch, outputs)

    masked_lm_loss = next_sentence_loss = 0.0
    for row in range(3):
        x, pooled = reference.encode(
            batch["input_ids"][row],
            batch["input_mask"][row],
            batch["segment_ids"][row],
        )
        logits = reference.masked_lm(x, batch["masked_lm_positions"][row])
        order = reference.next_sentence(pooled)
        for got, wanted in (
            (encoded["sequence_output"], x),
            (encoded["pooled_output"], pooled),
            (outputs["masked_lm_logits"], logits),
            (outputs["next_sentence_logits"], order),
        ):
            np.testing.assert_allclose(
                got[row], wanted, atol=1e-5 * max(1, np.abs(wanted).max())
            )
        labels = batch["masked_lm_ids"][row]
        losses = -np.log(softmax(logits)[np.arange(4), labels])
        masked_lm_loss += np.sum(losses * batch["masked_lm_weights"][row])
        label = batch["next_sentence_labels"][row]
        next_sentence_loss -= np.log(softmax(order)[label])
    np.testing.assert_allclose(
        sums["masked_lm_loss"], masked_lm_loss, rtol=1e-5
    )
    np.testing.assert_allclose(
        sums["next_sentence_loss"], next_sentence_loss, rtol=1e-5
    )


def test_inputs_that_are_left_out_have_defaults():
    config = small_config()
    encoder = BertEncoder(config)
    ids = np.random.default_rng(1).integers(0, 61, (2, 9))
    short = encoder({"input_ids": ids})
    full = encoder(
        {
            "input_ids": ids,
            "input_mask": np.ones_like(ids),
            "segment_ids": np.zeros_like(ids),
            "position_ids": np.tile(np.arange(9), (2, 1)),
            "sequence_ids": np.ones_like(ids),
        }
    )
    for name, value in short.items():
        np.testing.assert_allclose(value, full[name], atol=1e-6)


def test_padding_changes_nothing():
    config = small_config()
    encoder = BertEncoder(config)
    rng = np.random.default_rng(2)
    ids = rng.integers(0, 61, (2, 9))
    alone = encoder({"input_ids": ids})
    padded = encoder(
        {
            "input_ids": np.concatenate([ids, rng.integers(0, 61, (2, 4))], 1),
            "input_mask": np.repeat([[1] * 9 + [0] * 4], 2, axis=0),
        }
    )
    np.testing.assert_allclose(
        alone["sequence_output"], padded["sequence_output"][:, :9], atol=1e-5
    )
    np.testing.assert_allclose(
        alone["pooled_output"], padded["pooled_output"], atol=1e-5
    )


@pytest.mark.parametrize("norm", ["post", "pre"])
def test_packed_rows_equal_unpacked_rows(norm):
    config = small_config(norm_position=norm)
    task = PretrainingTask(config)
    scatter_weights(task)
    encoder, reference = task.encoder, NumpyBert(task, config)
    rng = np.random.default_rng(3)
    parts = [rng.integers(0, 61, length) for length in (5, 8, 1)]
    padding = 3
    ids = np.concatenate([*parts, np.zeros(padding, int)])
    sequences = np.repeat([1, 2, 3, 0], [5, 8, 1, padding])
    positions = np.concatenate(
        [*(np.arange(len(part)) for part in parts), np.zeros(padding, int)]
    )
    packed = encoder(
        {
            "input_ids": ids[None],
            "input_mask": (sequences > 0)[None].astype(np.int32),
            "sequence_ids": sequences[None],
            "position_ids": positions[None],
        }
    )["sequence_output"][0]
    wanted, _ = reference.encode(
        ids,
        (sequences > 0).astype(int),
        np.zeros_like(ids),
        positions,
        sequences,
    )
    np.testing.assert_allclose(packed[:14], wanted[:14], atol=1e-5)
    start = 0
    for part in parts:
        alone = encoder({"input_ids": part[None]})["sequence_output"][0]
        np.testing.assert_allclose(
            packed[start : start + len(part)], alone, atol=1e-5
        )
        start += len(part)
