"""Token tables that are longer than the vocabulary, as many published are."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfbert.converters import building, sources
from tfbert.errors import UserError
from tfbert.serving.graphs.masked_lm.fill_mask import (
    fill_mask_function,
    mask_tokenizer,
)
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights import resizing
from tfbert.weights.portable_model import check

TABLE = "encoder/embeddings/token_embeddings"
BIAS = "masked_lm/output_bias"


def padded(portable, more):
    """A model of 91 rows for 91 - `more` tokens."""
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    model = portable("pretraining", False, config)
    tokens = model.vocabulary.tokens[: config.vocab_size - more]
    vocabulary = dataclasses.replace(model.vocabulary, tokens=tokens)
    return dataclasses.replace(model, vocabulary=vocabulary)


@pytest.mark.parametrize("kind", sources.WRITERS)
@pytest.mark.parametrize("more", [1, 27])
def test_they_go_in_and_out_as_they_are(portable, kind, more, tmp_path):
    model = padded(portable, more)
    sources.write(model, kind, tmp_path / "1")
    first = sources.read(tmp_path / "1")
    assert first.config.vocab_size == 91
    assert first.vocabulary.tokens == model.vocabulary.tokens
    assert {TABLE, BIAS} < set(first.tensors)
    for name, value in first.tensors.items():
        np.testing.assert_array_equal(model.tensors[name], value)
    told = [note for note in first.notes if "stand for no token" in note]
    assert len(told) == 1 and f"91 rows for {91 - more} tokens" in told[0]
    assert check(first).notes == first.notes
    assert sources.read_tokenizer(tmp_path / "1").vocab_size == 91 - more


def test_a_table_that_is_too_short_is_refused(portable):
    model = padded(portable, 1)
    tokens = (*model.vocabulary.tokens, "one", "two")
    longer = dataclasses.replace(model.vocabulary, tokens=tokens)
    with pytest.raises(UserError, match="92 tokens, and 'two' is the first"):
        check(dataclasses.replace(model, vocabulary=longer))


def test_training_starts_without_the_padding(portable):
    """The table of a run has a row for each token, and no other."""
    model = padded(portable, 5)
    old = model.vocabulary.tokens
    config = dataclasses.replace(model.config, vocab_size=len(old))
    fitted = resizing.fit(model, config, old)
    assert fitted.tensors[TABLE].shape[0] == fitted.tensors[BIAS].size == 86
    np.testing.assert_array_equal(
        fitted.tensors[TABLE], model.tensors[TABLE][:86]
    )
    assert "5 rows that stand for no token left out" in fitted.notes
    building.set_task(building.make_pretraining_task(fitted), fitted)
    # New tokens take no row of the padding: they begin as their pieces.
    more = (*old, "ab")
    config = dataclasses.replace(config, vocab_size=len(more))
    fitted = resizing.fit(model, config, more)
    rows = [model.tensors[TABLE][old.index(x)] for x in ("a", "##b")]
    np.testing.assert_allclose(
        fitted.tensors[TABLE][86], np.mean(rows, 0), rtol=1e-6
    )
    assert fitted.tensors[TABLE].shape[0] == 87
    bare = dataclasses.replace(model, vocabulary=None)
    with pytest.raises(UserError, match=r"has 91 rows and no vocab\.txt"):
        resizing.extend_vocabulary(bare, old)


def test_a_mask_is_never_filled_with_padding(portable):
    model = padded(portable, 20)
    bias = model.tensors[BIAS].copy()
    # Whatever is asked, the padding would win.
    bias[71:] = 10
    model = dataclasses.replace(model, tensors={**model.tensors, BIAS: bias})
    task = building.make_pretraining_task(model, "float32")
    tokenizer = Tokenizer(model.vocabulary.tokens)
    fill = fill_mask_function(task, mask_tokenizer(tokenizer), 16, top_k=80)
    answer = fill(tf.constant(["a [MASK] b"]))
    assert set(answer["tokens"].numpy().ravel()) == {
        token.encode() for token in model.vocabulary.tokens
    }
