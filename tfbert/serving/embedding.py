"""Sentences to vectors.

Legend: B batch, H hidden.
"""

from collections.abc import Callable

import tensorflow as tf

from tfbert.serving.servable import Servable, encode, on_text


def embedder(encoder, tokenizer, max_length: int) -> Servable:
    """A servable that turns sentences into vectors.

    Its signatures `serving_default` and `embed` map `text`, string [B], to
    `embedding`, float32 [B, H]: the mean of the vectors of all tokens,
    [CLS] and [SEP] included, at length 1 (Reimers and Gurevych 2019,
    section 3, "MEAN").
    """
    embed = on_text(embed_function(encoder, tokenizer, max_length))
    signatures = {"serving_default": embed, "embed": embed}
    return Servable(encoder, tokenizer, signatures)


def embed_function(encoder, tokenizer, max_length: int) -> Callable:
    """The function behind `embed`: strings [B] -> {"embedding": [B, H]}."""

    def embed(text):
        batch = encode(tokenizer, max_length, text, None)
        vectors = encoder(batch, training=False)["sequence_output"]
        mask = tf.cast(batch["input_mask"], tf.float32)[:, :, None]
        # The mean's denominator goes away when the length becomes 1.
        total = tf.reduce_sum(tf.cast(vectors, tf.float32) * mask, axis=1)
        return {"embedding": tf.math.l2_normalize(total, axis=-1)}

    return embed
