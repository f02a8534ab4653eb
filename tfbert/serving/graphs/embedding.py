"""Sentences to vectors.

Legend: B batch, H hidden.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfbert.serving.graphs.servable import (
    Servable,
    encode,
    on_text,
    run_in_parts,
)

# How the vectors of the tokens become one.
POOLINGS = ("mean", "cls")


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


def embed_function(
    encoder, tokenizer, max_length: int, pooling: str = "mean"
) -> Callable:
    """The function behind `embed`: strings [B] -> {"embedding": [B, H]}.

    The embedding is float32 and has length 1. It is the mean of the vectors
    of all tokens, [CLS] and [SEP] included, or that of [CLS] alone (Reimers
    and Gurevych 2019, section 3, "MEAN" and "CLS").

    Raises:
      ValueError: `pooling` is not one of POOLINGS.
    """
    if pooling not in POOLINGS:
        raise ValueError(
            f"wanted a pooling of {', '.join(POOLINGS)}, got {pooling!r}"
        )

    def pooled(batch, training):
        vectors = encoder(batch, training=training)["sequence_output"]
        vectors = tf.cast(vectors, tf.float32)  # [B, S, H]
        if pooling == "cls":
            return {"total": vectors[:, 0]}
        mask = tf.cast(batch["input_mask"], tf.float32)[:, :, None]
        # The mean's denominator goes away when the length becomes 1.
        return {"total": tf.reduce_sum(vectors * mask, axis=1)}

    shape = [None, encoder.config.hidden_size]

    def embed(text):
        batch = encode(tokenizer, max_length, text, None)
        total = run_in_parts(pooled, batch, {"total": shape})["total"]
        return {"embedding": tf.math.l2_normalize(total, axis=-1)}

    return embed
