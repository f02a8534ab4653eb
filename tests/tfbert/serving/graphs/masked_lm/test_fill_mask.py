import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.masked_lm import fill_mask
from tfbert.serving.graphs.masked_lm.fill_mask import (
    fill_mask_function,
    mask_tokenizer,
)
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer

VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a b c d e [ ] mask sep cls pad
unk ##x""".split()
LONGEST = 12


@pytest.fixture(scope="module")
def task():
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=LONGEST,
        initializer_range=0.5,
    )
    return PretrainingTask(config, next_sentence=True, seed=1)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def fill(task, tokenizer):
    function = tf.function(
        fill_mask_function(task, mask_tokenizer(tokenizer), LONGEST, top_k=4),
        input_signature=[tf.TensorSpec([None], tf.string)],
    )

    def fill(texts):
        answer = function(tf.constant(texts, tf.string))
        return {name: value.numpy() for name, value in answer.items()}

    return fill


def test_fills_are_the_heads_best(fill, task, tokenizer):
    got = fill(["a [MASK] c [MASK]d", "b[MASK]", "a b"])
    assert got["tokens"].shape == got["scores"].shape == (3, 2, 4)
    assert got["masks"].tolist() == [2, 1, 0]
    rows = [[2, 5, 4, 7, 4, 8, 3], [2, 6, 4, 3, 0, 0, 0]]
    batch = {
        "input_ids": tf.constant(rows),
        "input_mask": tf.cast(tf.constant(rows) > 0, tf.int32),
        "masked_lm_positions": tf.constant([[2, 4], [2, 0]]),
    }
    logits = np.array(task(batch)["masked_lm_logits"])
    for row, mask in ((0, 0), (0, 1), (1, 0)):
        want = np.exp(logits[row, mask])
        want /= want.sum()
        best = np.argsort(-want)[:4]
        tokens = [token.decode() for token in got["tokens"][row, mask]]
        assert tokens == [VOCABULARY[i] for i in best]
        np.testing.assert_allclose(
            got["scores"][row, mask], want[best], rtol=1e-4
        )
    assert (got["tokens"][1, 1] == b"").all()
    assert (got["scores"][2] == 0).all()


def test_only_the_mask_is_read_in_text(tokenizer):
    from tfbert.serving.graphs.masked_lm.fill_mask import _only_masks

    texts = [f"a[{name}]b [ {name}]" for name in ("SEP", "CLS", "PAD", "UNK")]
    reads = mask_tokenizer(tokenizer)
    got = reads(_only_masks(tf.constant(texts))).to_list()
    assert got == tokenizer(texts).to_list()
    assert reads(_only_masks(tf.constant(["[MASK]"]))).to_list() == [[4]]
    assert tokenizer(["[MASK]"]).to_list() == [[10, 12, 11]]


def test_fills_do_not_depend_on_batch_mates(fill):
    texts = ["a [MASK]", "", "[MASK] " * 30, "\xff b [MASK] e", "x"]
    together = fill(texts)
    # As many as there is room for beside [CLS] and [SEP].
    assert together["masks"].tolist() == [1, 0, LONGEST - 2, 1, 0]
    for n, text in enumerate(texts):
        alone = fill([text])
        count = alone["masks"][0]
        assert count == together["masks"][n]
        for name in ("tokens", "scores"):
            one, other = alone[name][0, :count], together[name][n, :count]
            if name == "tokens":
                assert one.tolist() == other.tolist()
            else:
                np.testing.assert_allclose(one, other, atol=1e-6)


def test_masks_are_scored_some_at_a_time(fill, task, tokenizer, monkeypatch):
    texts = ["[MASK] a [MASK][MASK]", "b", "[MASK] " * 7]
    whole = fill(texts)
    monkeypatch.setattr(fill_mask, "_MASKS_AT_ONCE", 2)
    reads = mask_tokenizer(tokenizer)
    most = Limits(max_masks=4)
    some = tf.function(fill_mask_function(task, reads, LONGEST, 4, most))
    answer = {n: v.numpy() for n, v in some(tf.constant(texts)).items()}
    # The first ones, as there are among many.
    assert answer["masks"].tolist() == [3, 0, 4]
    assert answer["tokens"].tolist() == whole["tokens"][:, :4].tolist()
    np.testing.assert_allclose(
        answer["scores"], whole["scores"][:, :4], rtol=1e-5
    )


def test_odd_batches_are_answered(fill):
    assert fill([b"\xff[MASK]\xc3"])["masks"].tolist() == [1]
    assert fill(["a"])["tokens"].shape == (1, 0, 4)
    assert fill([])["tokens"].shape == (0, 0, 4)


def test_poolings(task, tokenizer):
    texts = tf.constant(["a b", "c"])
    batch = tokenizer.encode(texts, max_length=4)
    vectors = np.array(task.encoder(batch)["sequence_output"])
    mask = np.array(batch["input_mask"])[..., None]
    wanted = {"cls": vectors[:, 0], "mean": (vectors * mask).sum(1)}
    wanted["max"] = np.where(mask == 1, vectors, -np.inf).max(1)
    for pooling, want in wanted.items():
        embed = embed_function(task.encoder, tokenizer, LONGEST, pooling)
        want = want / np.linalg.norm(want, axis=1, keepdims=True)
        got = embed(texts)["embedding"].numpy()
        np.testing.assert_allclose(got, want, atol=1e-6)
    with pytest.raises(ValueError, match="wanted a pooling of mean, cls"):
        embed_function(task.encoder, tokenizer, LONGEST, "sum")
