"""Sentences and pairs of sentences to labels.

Legend: B batch, H hidden, C classes.
"""

from collections.abc import Sequence

import tensorflow as tf

from tfbert.serving.graphs.sentence_servable import sentence_servable
from tfbert.serving.graphs.servable import Servable
from tfbert.text.windows.long_texts import CUT, LongTexts


def classifier(
    task,
    tokenizer,
    labels: Sequence[str],
    max_length: int,
    pairs: bool = False,
    temperature: float = 1.0,
    long_texts: LongTexts = CUT,
) -> Servable:
    """A servable that labels sentences or pairs of sentences.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to `label`, string [B], and `probabilities`,
    float32 [B, C] in the order of `labels`. `embed` is `embedder`'s.

    Args:
      task: a ClassificationTask.
      tokenizer: the Tokenizer that it was trained with.
      labels: names of the C classes.
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
        return tf.nn.softmax(logits / temperature)

    def answer(outputs):
        logits = outputs["logits"]  # [B, C]
        best = tf.argmax(logits, axis=-1)
        return {
            "label": tf.gather(names, best),
            "probabilities": probabilities(logits),
        }

    shapes = {"logits": [None, len(labels)]}
    own = None if temperature == 1.0 else probabilities
    return sentence_servable(
        task, tokenizer, max_length, pairs, shapes, answer, own, long_texts
    )
