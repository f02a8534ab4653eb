"""Sentences and pairs of sentences to any number of labels.

Legend: B batch, H hidden, C labels.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import (
    Servable,
    encode,
    on_pairs,
    on_text,
    run_in_parts,
)


def multi_labeller(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    pairs: bool = False,
) -> Servable:
    """A servable that gives sentences or pairs any number of labels.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `labels`, string [B, C]: those whose
    probability is above one half, the likeliest first, then empty strings;
    and `probabilities`, float32 [B, C] in the order of the label list.
    `embed` is `embedder`'s.

    Args:
      task: a MultiLabelTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the C labels.
      max_length: longest sequence in tokens; longer text is truncated.
      pairs: whether the input is two sentences.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """
    names = tf.constant(list(labels), tf.string)  # [C]

    if pairs:
        check_segments(task, "pairs of texts")

    def label(text_a, text_b=None):
        batch = encode(tokenizer, max_length, text_a, text_b)
        shapes = {"logits": [None, len(labels)]}
        logits = run_in_parts(task, batch, shapes)["logits"]  # [B, C]
        order = tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True)
        chosen = tf.gather(logits, order, batch_dims=1) > 0
        return {
            "labels": tf.where(chosen, tf.gather(names, order), ""),
            "probabilities": tf.sigmoid(logits),
        }

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {
        "serving_default": on_pairs(label) if pairs else on_text(label),
        "embed": on_text(embed),
    }
    return Servable(task, tokenizer, signatures)
