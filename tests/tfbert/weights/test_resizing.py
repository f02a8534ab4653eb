"""Foreign weights for more tokens and other lengths; what the loss does."""

import dataclasses

import numpy as np
import pytest

from tfbert.converters import building
from tfbert.errors import UserError
from tfbert.tasks import PretrainingTask
from tfbert.weights import resizing
from tfbert.weights.portable_model import Vocabulary

NEW = ("ab", "##cd", "abc", "é", "##é", "éa")
TABLE = "encoder/embeddings/token_embeddings"
POSITIONS = "encoder/embeddings/position_embeddings"


def losses(model, ids, labels):
    """Masked-LM losses [B, P] at the first positions of each row."""
    task = building.make_pretraining_task(model)
    ids, labels = np.asarray(ids), np.asarray(labels)
    places = np.tile(np.arange(labels.shape[1]), (len(ids), 1))
    outputs = task(
        {
            "input_ids": ids,
            "masked_lm_positions": places,
            "masked_lm_ids": labels,
        }
    )
    return outputs["masked_lm_losses"].numpy()


def random_rows(length, rows=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(5, 60, (rows, length)), rng.integers(5, 60, (rows, 3))


def test_new_rows_are_the_mean_of_their_old_pieces(portable):
    model = portable("pretraining")
    old = model.vocabulary.tokens
    tokens = (*old, *NEW)
    longer = resizing.extend_vocabulary(model, tokens)
    assert longer.config.vocab_size == len(tokens)
    assert longer.vocabulary == Vocabulary(tokens, True)
    ids = {token: index for index, token in enumerate(old)}
    for name in (TABLE, "masked_lm/output_bias"):
        before, after = model.tensors[name], longer.tensors[name]
        np.testing.assert_array_equal(after[: len(old)], before)
        for index, pieces in enumerate(
            (["a", "##b"], ["##c", "##d"], ["a", "##b", "##c"])
        ):
            wanted = np.mean([before[ids[piece]] for piece in pieces], axis=0)
            np.testing.assert_allclose(
                after[len(old) + index], wanted, atol=1e-6
            )
        # Characters that nothing is known of: the mean of all.
        for index in (3, 4, 5):
            np.testing.assert_allclose(
                after[len(old) + index], before.mean(axis=0), atol=1e-6
            )
    assert "6 tokens added" in longer.notes[-1]
    assert "3 of unknown characters" in longer.notes[-1]
    # Nothing to add is nothing done.
    assert resizing.extend_vocabulary(model, old) is model
    bare = dataclasses.replace(model, vocabulary=None)
    assert resizing.extend_vocabulary(bare, old) is bare


def test_the_loss_of_an_extended_vocabulary(portable):
    model = portable("pretraining")
    old = len(model.vocabulary.tokens)
    longer = resizing.extend_vocabulary(model, (*model.vocabulary.tokens, *NEW))
    ids, labels = random_rows(12)
    # Old text: only the softmax has more classes, so the loss grows, and no
    # more than if all new tokens were as probable as their pieces.
    before, after = losses(model, ids, labels), losses(longer, ids, labels)
    assert (after >= before - 1e-5).all()
    assert (after - before).mean() < 0.5
    # New text: a row made of old pieces beats one made of noise.
    noise = dict(longer.tensors)
    rng = np.random.default_rng(1)
    table = noise[TABLE].copy()
    table[old:] = rng.normal(0, table.std(), table[old:].shape)
    noise[TABLE] = table
    noisy = dataclasses.replace(longer, tensors=noise)
    # What the model itself expects there, so that there is something to lose.
    pieces = [model.vocabulary.tokens.index(x) for x in ("a", "##b")]
    ids[:, 0] = old
    split = ids.copy()
    split[:, 0] = pieces[0]
    answers = expected(model, split)
    assert (
        losses(longer, ids, answers).mean() < losses(noisy, ids, answers).mean()
    )


def expected(model, ids):
    task = building.make_pretraining_task(model)
    places = np.tile(np.arange(1, 4), (len(ids), 1))
    logits = task({"input_ids": ids, "masked_lm_positions": places})
    return logits["masked_lm_logits"].numpy().argmax(-1)


def test_the_loss_of_other_position_tables(portable):
    model = portable("pretraining")
    assert model.config.max_position_embeddings == 24
    assert resizing.resize_positions(model, 24) is model
    cut = resizing.resize_positions(model, 12)
    long = resizing.resize_positions(model, 60)
    assert "cut: 24 -> 12" in cut.notes[-1]
    assert "lengthened by copies: 24 -> 60" in long.notes[-1]
    ids, labels = random_rows(12)
    wanted = losses(model, ids, labels)
    # Rows that fit have the loss that they had, bit by bit.
    np.testing.assert_array_equal(losses(cut, ids, labels), wanted)
    np.testing.assert_array_equal(losses(long, ids, labels), wanted)
    with pytest.raises(ValueError, match="longer than"):
        losses(cut, *random_rows(13))
    # Longer rows can be read, and attention meets places that it knows.
    table = long.tensors[POSITIONS]
    np.testing.assert_array_equal(table[24:48], table[:24])
    np.testing.assert_array_equal(table[48:], table[:12])
    assert np.isfinite(losses(long, *random_rows(60))).all()
    # A row of two equal halves has two equal sums of embeddings.
    task = building.make_pretraining_task(long)
    half = random_rows(24)[0]
    x = task.encoder.embeddings(np.concatenate([half, half], axis=1))
    np.testing.assert_array_equal(x[:, :24], x[:, 24:])


def test_fitting_sets_task_and_heads(portable):
    model = portable("pretraining")
    tokens = (*model.vocabulary.tokens, "abc")
    config = dataclasses.replace(
        model.config,
        vocab_size=len(tokens),
        max_position_embeddings=30,
        hidden_dropout_prob=0.2,
    )
    task = PretrainingTask(config, next_sentence=True)
    fitted = resizing.fit(model, config, tokens)
    assert building.set_task(task, fitted) == [
        "encoder",
        "masked_lm",
        "next_sentence",
    ]
    np.testing.assert_array_equal(
        task.masked_lm.output_bias.numpy()[:-1],
        model.tensors["masked_lm/output_bias"],
    )
    encoder = portable("encoder")
    task = PretrainingTask(model.config, next_sentence=False)
    assert building.set_task(task, encoder) == ["encoder"]


def test_what_does_not_fit_is_refused(portable):
    model = portable("pretraining")
    tokens = model.vocabulary.tokens
    other = dataclasses.replace(model.config, hidden_act="relu")
    with pytest.raises(UserError, match="another shape: hidden_act 'gelu'"):
        resizing.fit(model, other, tokens)
    with pytest.raises(UserError, match=r"whose vocab.txt \(91 tokens\)"):
        resizing.extend_vocabulary(model, ("new", *tokens))
    bare = dataclasses.replace(model, vocabulary=None)
    with pytest.raises(UserError, match="no vocab.txt"):
        resizing.extend_vocabulary(bare, (*tokens, "new"))
    changes = {"hidden_dropout_prob": 0.3, "max_position_embeddings": 9}
    changed = resizing.changed_config(model.config, changes, "x")
    assert changed == dataclasses.replace(model.config, **changes)
    with pytest.raises(UserError, match=r"model.hidden_size is 64, .* has 32"):
        resizing.changed_config(model.config, {"hidden_size": 64}, "x")
