"""Sentences and pairs of sentences to labels.

Legend: B batch, H hidden, C classes.
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


def classifier(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    pairs: bool = False,
) -> Servable:
    """A servable that labels sentences or pairs of sentences.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `label`, string [B], and `probabilities`,
    float32 [B, C] in the order of `labels`. `embed` is `embedder`'s.

    Args:
      task: a ClassificationTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the C classes.
      max_length: longest sequence in tokens; longer text is truncated.
      pairs: whether the input is two sentences.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """
    names = tf.constant(list(labels), tf.string)  # [C]

    if pairs:
        check_segments(task, "pairs of texts")

    def classify(text_a, text_b=None):
        batch = encode(tokenizer, max_length, text_a, text_b)
        logits = run_in_parts(task, batch, {"logits": [None, len(labels)]})
        probabilities = tf.nn.softmax(logits["logits"])  # [B, C]
        best = tf.argmax(probabilities, axis=-1)
        return {
            "label": tf.gather(names, best),
            "probabilities": probabilities,
        }

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {
        "serving_default": on_pairs(classify) if pairs else on_text(classify),
        "embed": on_text(embed),
    }
    return Servable(task, tokenizer, signatures)
