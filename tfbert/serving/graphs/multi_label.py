"""Sentences and pairs of sentences to any number of labels.

Legend: B batch, H hidden, C labels.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfbert.serving.graphs.sentence_servable import sentence_servable
from tfbert.serving.graphs.servable import Servable
from tfbert.text.windows.long_texts import CUT, LongTexts


def multi_labeller(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    pairs: bool = False,
    temperature: float = 1.0,
    long_texts: LongTexts = CUT,
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
      max_length: of a row, in tokens.
      pairs: whether the input is two sentences.
      temperature: what logits are divided by for the probabilities; the
        answers stay as they are.
      long_texts: how texts are read that are longer than a row.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """
    names = tf.constant(list(labels), tf.string)  # [C]

    def probabilities(logits):
        return tf.sigmoid(logits / temperature)

    def answer(outputs):
        logits = outputs["logits"]  # [B, C]
        order = tf.argsort(logits, axis=-1, direction="DESCENDING", stable=True)
        chosen = tf.gather(logits, order, batch_dims=1) > 0
        return {
            "labels": tf.where(chosen, tf.gather(names, order), ""),
            "probabilities": probabilities(logits),
        }

    shapes = {"logits": [None, len(labels)]}
    own = None if temperature == 1.0 else probabilities
    return sentence_servable(
        task, tokenizer, max_length, pairs, shapes, answer, own, long_texts
    )
