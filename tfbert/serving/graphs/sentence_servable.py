"""What all kinds of task that answer for a whole text share.

Legend: B batch.
"""

from collections.abc import Callable, Mapping

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


def sentence_servable(
    task,
    tokenizer,
    max_length: int,
    pairs: bool,
    outputs: Mapping[str, list[int | None]],
    answer: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    probabilities: Callable[[tf.Tensor], tf.Tensor] | None = None,
) -> Servable:
    """A servable of sentences or pairs of sentences.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to the answer. `embed` is `embedder`'s.

    Args:
      task: reads the rows of tokens.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest sequence in tokens; longer text is truncated.
      pairs: whether the input is two sentences.
      outputs: shapes of the task's outputs that the answer needs, by name.
      answer: these outputs -> what the signature answers, [B, ...] each.
      probabilities: of logits, where they are not the task's own.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """
    if pairs:
        check_segments(task, "pairs of texts")

    def serve(text_a, text_b=None):
        batch = encode(tokenizer, max_length, text_a, text_b)
        return answer(run_in_parts(task, batch, outputs))

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {
        "serving_default": on_pairs(serve) if pairs else on_text(serve),
        "embed": on_text(embed),
    }
    return Servable(task, tokenizer, signatures, probabilities)
