"""What all kinds of task that answer for a whole text share.

Legend: B batch.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import (
    Servable,
    on_pairs,
    on_text,
    read,
    run_in_parts,
)
from tfbert.tasks.text_windows import NUM_TEXTS, WINDOW_TEXTS, WINDOW_VECTORS
from tfbert.text.windows.long_texts import CUT, WINDOWS, LongTexts
from tfbert.text.windows.texts import TextRows


def sentence_servable(
    task,
    tokenizer,
    max_length: int,
    pairs: bool,
    outputs: Mapping[str, list[int | None]],
    answer: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    probabilities: Callable[[tf.Tensor], tf.Tensor] | None = None,
    long_texts: LongTexts = CUT,
) -> Servable:
    """A servable of sentences or pairs of sentences.

    Its signature `serving_default` maps `text` (pairs: `text_a` and
    `text_b`), string [B], to the answer. `embed` is `embedder`'s.

    Args:
      task: reads the rows of tokens.
      tokenizer: the Tokenizer that it was trained with.
      max_length: of a row, in tokens.
      pairs: whether the input is two sentences.
      outputs: shapes of the task's outputs that the answer needs, by name.
      answer: these outputs -> what the signature answers, [B, ...] each.
      probabilities: of logits, where they are not the task's own.
      long_texts: how texts are read that are longer than a row.

    Raises:
      UserError: of pairs, if the encoder has one segment.
    """
    if pairs:
        check_segments(task, "pairs of texts")

    def serve(text_a, text_b=None):
        rows = read(tokenizer, max_length, text_a, text_b, long_texts)
        return answer(outputs_of(task, rows, outputs, long_texts))

    embed = embed_function(
        task.encoder, tokenizer, max_length, long_texts=long_texts
    )
    signatures = {
        "serving_default": on_pairs(serve) if pairs else on_text(serve),
        "embed": on_text(embed),
    }
    return Servable(task, tokenizer, signatures, probabilities)


def outputs_of(
    task,
    rows: TextRows,
    outputs: Mapping[str, list[int | None]],
    long_texts: LongTexts,
    **more: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """The outputs of a task for texts, which may have several rows.

    Windows go through the encoder as rows do, those of like length together,
    so that memory does not depend on how many there are.

    Args:
      task: a PooledTask; of texts in windows it pools them.
      rows: of `read`.
      outputs: those that are wanted, with their shapes.
      long_texts: how the texts were read.
      **more: what the batch of a task of windows has beside tokens.
    """
    if long_texts.how != WINDOWS:
        return run_in_parts(task, rows.batch, outputs)

    def vectors(batch, training):
        return {WINDOW_VECTORS: task.pooled(batch, training=training)}

    shape = [None, task.config.hidden_size]
    found = run_in_parts(vectors, rows.batch, {WINDOW_VECTORS: shape})
    batch = {
        **found,
        WINDOW_TEXTS: rows.text,
        NUM_TEXTS: tf.size(rows.lengths),
        **more,
    }
    return task(batch, training=False)
