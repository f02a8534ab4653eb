"""Sentences to vectors.

Legend: B batch, H hidden.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfbert.serving.graphs.servable import (
    Servable,
    on_pairs,
    on_text,
    read,
    run_in_parts,
)
from tfbert.tasks.embedding import POOLINGS, check_pooling, pooled
from tfbert.tasks.text_windows import TextWindows
from tfbert.text.windows.long_texts import CUT, WINDOWS, LongTexts

__all__ = ["POOLINGS", "embed_function", "embedder", "sentence_embedder"]


def embedder(
    encoder,
    tokenizer,
    max_length: int,
    pooling: str = "mean",
    more: Mapping[str, Callable] | None = None,
    long_texts: LongTexts = CUT,
) -> Servable:
    """A servable that turns sentences into vectors.

    Its signatures `serving_default` and `embed` are `embed_function`'s.

    Args:
      encoder: a BertEncoder, or a task that has one.
      tokenizer: the Tokenizer that it was trained with.
      max_length: of a row, in tokens.
      pooling: one of POOLINGS.
      more: name -> function on text, string [B], for other signatures.
      long_texts: how texts are read that are longer than a row.
    """
    own = getattr(encoder, "encoder", encoder)
    function = embed_function(own, tokenizer, max_length, pooling, long_texts)
    embed = on_text(function)
    signatures = {"serving_default": embed, "embed": embed}
    for name, other in (more or {}).items():
        signatures[name] = on_text(other)
    return Servable(encoder, tokenizer, signatures)


def sentence_embedder(
    task,
    tokenizer,
    max_length: int,
    pooling: str,
    long_texts: LongTexts = CUT,
) -> Servable:
    """A servable of a task that has learnt vectors.

    Its signatures `serving_default` and `embed` are `embed_function`'s;
    `similarity` maps `text_a` and `text_b`, string [B], to `similarity`,
    float32 [B]: the cosine of their vectors.

    Args:
      task: an EmbeddingTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: of a row, in tokens.
      pooling: that of the task.
      long_texts: how texts are read that are longer than a row.
    """
    function = embed_function(
        task.encoder, tokenizer, max_length, pooling, long_texts
    )

    def similarity(text_a, text_b):
        a, b = function(text_a)["embedding"], function(text_b)["embedding"]
        return {"similarity": tf.reduce_sum(a * b, axis=-1)}

    embed = on_text(function)
    signatures = {
        "serving_default": embed,
        "embed": embed,
        "similarity": on_pairs(similarity),
    }
    return Servable(task, tokenizer, signatures)


def embed_function(
    encoder,
    tokenizer,
    max_length: int,
    pooling: str = "mean",
    long_texts: LongTexts = CUT,
) -> Callable:
    """The function behind `embed`: strings [B] -> {"embedding": [B, H]}.

    The embedding is float32 and has length 1. It is the mean of the vectors
    of all tokens, [CLS] and [SEP] included, that of [CLS] alone, or the
    largest value of each dimension (Reimers and Gurevych 2019, section 3,
    "MEAN", "CLS" and "MAX"). Of a text in windows it is the mean of what that
    is of each, brought to length 1.

    Raises:
      UserError: `pooling` is not one of POOLINGS.
    """
    check_pooling(pooling)

    def total(batch, training):
        vectors = encoder(batch, training=training)["sequence_output"]
        vectors = tf.cast(vectors, tf.float32)  # [B, S, H]
        return {"total": pooled(vectors, batch["input_mask"], pooling)}

    shape = [None, encoder.config.hidden_size]

    def embed(text):
        rows = read(tokenizer, max_length, text, None, long_texts)
        found = run_in_parts(total, rows.batch, {"total": shape})["total"]
        if long_texts.how == WINDOWS:
            found = TextWindows(rows.text, tf.size(rows.lengths)).mean(found)
        return {"embedding": tf.math.l2_normalize(found, axis=-1)}

    return embed
