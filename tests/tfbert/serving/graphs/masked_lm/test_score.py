import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.serving.graphs import servable
from tfbert.serving.graphs.masked_lm import score
from tfbert.serving.graphs.masked_lm.score import score_function
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e [ ] mask sep ##x
""".split()
LONGEST = 12
TEXTS = ["a bx c", "", "e", "d [MASK] zzz", "a b c d e " * 9, "e d c b a a"]


@pytest.fixture(scope="module", params=[False, True])
def task(request):
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LONGEST,
        initializer_range=0.5,
    )
    return PretrainingTask(config, next_sentence=request.param, seed=1)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


def scored(task, tokenizer, texts):
    function = tf.function(
        score_function(task, tokenizer, LONGEST),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )
    answer = function(tf.constant(texts, tf.string, [len(texts)]))
    return {name: value.numpy() for name, value in answer.items()}


def brute_force(task, ids):
    """One row and one forward pass for each token."""
    total = 0.0
    for place in range(1, len(ids) - 1):
        masked = np.array([ids])
        masked[0, place] = 4
        logits = task(
            {
                "input_ids": tf.constant(masked),
                "input_mask": tf.ones_like(masked),
                "masked_lm_positions": tf.constant([[place]]),
            }
        )["masked_lm_logits"]
        total += tf.nn.log_softmax(logits[0, 0])[ids[place]].numpy()
    return total


@pytest.mark.parametrize(
    ("tokens", "masks"),
    [
        pytest.param(1, 128, marks=pytest.mark.long),
        (40, 128),
        pytest.param(8192, 5, marks=pytest.mark.long),
        pytest.param(8192, 128, marks=pytest.mark.long),
    ],
)
def test_it_is_the_sum_over_tokens_masked_in_turn(
    task, tokenizer, monkeypatch, tokens, masks
):
    monkeypatch.setattr(servable, "_TOKENS_AT_ONCE", tokens)
    monkeypatch.setattr(score, "AT_ONCE", masks)
    answer = scored(task, tokenizer, TEXTS)
    rows = tokenizer.encode(tf.constant(TEXTS), max_length=LONGEST)
    lengths = rows["input_mask"].numpy().sum(axis=1)
    # No token of a text is a mask of its own making.
    assert lengths.tolist() == [6, 2, 3, 7, LONGEST, 8]
    assert answer["tokens"].tolist() == (lengths - 2).tolist()
    ids = rows["input_ids"].numpy()
    wanted = [
        brute_force(task, row[:length].tolist())
        for row, length in zip(ids, lengths, strict=True)
    ]
    np.testing.assert_allclose(answer["log_likelihood"], wanted, rtol=1e-5)
    assert answer["log_likelihood"][1] == 0
    assert (answer["log_likelihood"] <= 0).all()


def test_no_texts_have_no_scores(task, tokenizer):
    answer = scored(task, tokenizer, [])
    assert answer["log_likelihood"].shape == answer["tokens"].shape == (0,)
