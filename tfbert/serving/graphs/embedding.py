"""Sentences to vectors.

Legend: B batch, H hidden.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfbert.serving.graphs.servable import (
    Servable,
    encode,
    on_pairs,
    on_text,
    run_in_parts,
)
from tfbert.tasks.embedding import POOLINGS, check_pooling, pooled

__all__ = ["POOLINGS", "embed_function", "embedder", "sentence_embedder"]


def embedder(
    encoder,
    tokenizer,
    max_length: int,
    pooling: str = "mean",
    more: Mapping[str, Callable] | None = None,
) -> Servable:
    """A servable that turns sentences into vectors.

    Its signatures `serving_default` and `embed` are `embed_function`'s.

    Args:
      encoder: a BertEncoder, or a task that has one.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest sequence in tokens; longer text is truncated.
      pooling: one of POOLINGS.
      more: name -> function on text, string [B], for other signatures.
    """
    own = getattr(encoder, "encoder", encoder)
    embed = on_text(embed_function(own, tokenizer, max_length, pooling))
    signatures = {"serving_default": embed, "embed": embed}
    for name, function in (more or {}).items():
        signatures[name] = on_text(function)
    return Servable(encoder, tokenizer, signatures)


def sentence_embedder(
    task, tokenizer, max_length: int, pooling: str
) -> Servable:
    """A servable of a task that has learnt vectors.

    Its signatures `serving_default` and `embed` are `embed_function`'s;
    `similarity` maps `text_a` and `text_b`, string [B], to `similarity`,
    float32 [B]: the cosine of their vectors.

    Args:
      task: an EmbeddingTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest sequence in tokens; longer text is truncated.
      pooling: that of the task.
    """
    function = embed_function(task.encoder, tokenizer, max_length, pooling)

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
    encoder, tokenizer, max_length: int, pooling: str = "mean"
) -> Callable:
    """The function behind `embed`: strings [B] -> {"embedding": [B, H]}.

    The embedding is float32 and has length 1. It is the mean of the vectors
    of all tokens, [CLS] and [SEP] included, that of [CLS] alone, or the
    largest value of each dimension (Reimers and Gurevych 2019, section 3,
    "MEAN", "CLS" and "MAX").

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
        batch = encode(tokenizer, max_length, text, None)
        found = run_in_parts(total, batch, {"total": shape})["total"]
        return {"embedding": tf.math.l2_normalize(found, axis=-1)}

    return embed
