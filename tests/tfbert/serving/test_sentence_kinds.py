"""Scores, sets of labels and choices: signatures on any input."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.serving.graphs.classification import classifier
from tfbert.serving.graphs.multi_label import multi_labeller
from tfbert.serving.graphs.multiple_choice import chooser
from tfbert.serving.graphs.question_answering import answerer
from tfbert.serving.graphs.regression import regressor
from tfbert.serving.graphs.role_labelling import role_labeller
from tfbert.tasks import (
    ClassificationTask,
    MultiLabelTask,
    MultipleChoiceTask,
    RegressionTask,
    TokenLabellingTask,
)
from tfbert.text.tokenizer import Tokenizer

LABELS = ["bad", "good", "très bien"]
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a bad film fun good is it not
the very was x ##x""".split()
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=16,
    initializer_range=0.3,
)
ODD = [b"", b"\xff\xfe\x80", b" \t\n", b"x" * 100_000, "\U0010ffff".encode()]
TEXTS = [b"a good film", b"it was not fun", b"bad", b"very " * 30]


@pytest.fixture(scope="module")
def signatures():
    """Kind -> (its task, its serving_default)."""
    tokenizer = Tokenizer(VOCABULARY)
    score = RegressionTask(CONFIG, mean=2.0, scale=3.0, seed=1)
    label = MultiLabelTask(CONFIG, len(LABELS), seed=1)
    # So that some labels are answered, and some are not.
    label.classifier.bias.assign([1.0, 0.5, 1.5])
    choose = MultipleChoiceTask(CONFIG, seed=1)
    served = {
        "regression": (score, regressor(score, tokenizer, 12)),
        "pairs": (score, regressor(score, tokenizer, 12, pairs=True)),
        "multi_label": (label, multi_labeller(label, tokenizer, LABELS, 12)),
        "multiple_choice": (choose, chooser(choose, tokenizer, 12)),
    }
    return {
        kind: (task, servable.functions["serving_default"])
        for kind, (task, servable) in served.items()
    } | {"tokenizer": tokenizer}


def ask(signatures, kind, texts):
    """The answers to texts; of choices, each against three others."""
    _, function = signatures[kind]
    given = [tf.constant(texts, tf.string)]
    if kind == "pairs":
        given.append(tf.constant(texts[::-1], tf.string))
    if kind == "multiple_choice":
        rows = [[b"good", text, b"bad film"] for text in texts]
        given.append(tf.reshape(tf.constant(rows, tf.string), [-1, 3]))
    return {name: value.numpy() for name, value in function(*given).items()}


KINDS = ("regression", "pairs", "multi_label", "multiple_choice")


@pytest.mark.parametrize("kind", KINDS)
def test_odd_input_and_no_input_are_answered(signatures, kind):
    for name, value in ask(signatures, kind, ODD).items():
        assert len(value) == len(ODD), name
        if value.dtype != object:
            assert np.isfinite(value).all(), name
    assert all(len(v) == 0 for v in ask(signatures, kind, []).values())


@pytest.mark.parametrize("kind", ("regression", "multi_label"))
def test_answers_do_not_depend_on_batch_mates(signatures, kind):
    together = ask(signatures, kind, TEXTS)
    for row, text in enumerate(TEXTS):
        for name, value in ask(signatures, kind, [text]).items():
            if value.dtype == object:
                assert value[0].tolist() == together[name][row].tolist()
            else:
                np.testing.assert_allclose(
                    value[0], together[name][row], rtol=1e-6, atol=1e-6
                )


def test_scores_and_labels_are_the_tasks_own(signatures):
    batch = signatures["tokenizer"].encode(TEXTS, max_length=12)
    task, _ = signatures["regression"]
    score = ask(signatures, "regression", TEXTS)["score"]
    np.testing.assert_allclose(score, task(batch)["scores"], atol=1e-6)
    task, _ = signatures["multi_label"]
    answer = ask(signatures, "multi_label", TEXTS)
    wanted = np.array(task(batch)["probabilities"])
    np.testing.assert_allclose(answer["probabilities"], wanted, atol=1e-6)
    assert (wanted > 0.5).any() and (wanted < 0.5).any()
    for names, row in zip(answer["labels"], wanted, strict=True):
        best = [LABELS[i].encode() for i in np.argsort(-row) if row[i] > 0.5]
        assert [name for name in names if name] == best


def test_pairs_need_two_segments():
    config = BertConfig(**{**CONFIG.to_dict(), "type_vocab_size": 1})
    tokenizer = Tokenizer(VOCABULARY)
    score = RegressionTask(config)
    regressor(score, tokenizer, 12)
    labels = TokenLabellingTask(config, 3)
    for make in (
        lambda: regressor(score, tokenizer, 12, pairs=True),
        lambda: multi_labeller(score, tokenizer, LABELS, 12, pairs=True),
        lambda: classifier(score, tokenizer, LABELS, 12, pairs=True),
        lambda: chooser(score, tokenizer, 12),
        lambda: answerer(score, tokenizer, 12),
        lambda: role_labeller(labels, tokenizer, ["O", "B-V", "I-V"], 12),
    ):
        with pytest.raises(UserError, match="need type_vocab_size of 2"):
            make()


def test_an_empty_choice_is_none(signatures):
    _, choose = signatures["multiple_choice"]
    short = choose(tf.constant(["it is"]), tf.constant([["good", "bad"]]))
    filled = choose(tf.constant(["it is"]), tf.constant([["good", "bad", ""]]))
    probabilities = filled["probabilities"].numpy()[0]
    assert probabilities[2] == 0
    np.testing.assert_allclose(
        probabilities[:2], short["probabilities"].numpy()[0], atol=1e-6
    )
    best = int(filled["choice"][0])
    assert filled["answer"].numpy()[0] == [b"good", b"bad"][best]


@pytest.mark.parametrize("kind", ["multi_label", "multiple_choice", "classes"])
def test_a_temperature_changes_probabilities_alone(signatures, kind):
    tokenizer = signatures["tokenizer"]
    if kind == "classes":
        task = ClassificationTask(CONFIG, len(LABELS), seed=1)
    else:
        task, _ = signatures[kind]
    make = {
        "multi_label": lambda t: multi_labeller(
            task, tokenizer, LABELS, 12, temperature=t
        ),
        "multiple_choice": lambda t: chooser(task, tokenizer, 12, t),
        "classes": lambda t: classifier(
            task, tokenizer, LABELS, 12, temperature=t
        ),
    }[kind]
    plain, soft = make(1.0).functions, make(3.0).functions
    given = [tf.constant(TEXTS)]
    if kind == "multiple_choice":
        rows = [[b"good", text, b"bad film"] for text in TEXTS]
        rows[1][2] = b""  # No choice.
        given.append(tf.constant(rows))
    one, other = (f["serving_default"](*given) for f in (plain, soft))
    for name in one:
        if name != "probabilities":
            np.testing.assert_array_equal(one[name], other[name])
    hard = one["probabilities"].numpy().astype(np.float64)
    if kind == "multi_label":
        powers = (hard / (1 - hard)) ** (1 / 3)
        wanted = powers / (1 + powers)
    else:
        powers = hard ** (1 / 3)
        wanted = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(other["probabilities"], wanted, atol=1e-5)
    # The signature on tokens says the same, of the same logits.
    ids = tf.constant([[2, 6, 7, 3], [2, 9, 3, 0]])
    batch = {"input_ids": ids, "input_mask": tf.cast(ids > 0, tf.int32)}
    batch["segment_ids"] = tf.zeros_like(ids)
    if kind == "multiple_choice":
        batch = {name: value[None] for name, value in batch.items()}
        batch["choice_mask"] = tf.constant([[1, 1]])
    one, other = (f["tokens"](**batch) for f in (plain, soft))
    np.testing.assert_array_equal(one["logits"], other["logits"])
    apply = tf.sigmoid if kind == "multi_label" else tf.nn.softmax
    np.testing.assert_allclose(
        other["probabilities"], apply(one["logits"] / 3), atol=1e-6
    )
