"""A graph that answers questions about contexts of any length.

Legend: B questions, R rows (windows), S sequence, L longest answer.
"""

from typing import NamedTuple

import tensorflow as tf

from tfbert.serving.graphs.checked_inputs import signature
from tfbert.serving.graphs.embedding import embed_function
from tfbert.serving.graphs.request_bounds import DEFAULT, Limits
from tfbert.serving.graphs.segments import check_segments
from tfbert.serving.graphs.servable import (
    STRINGS,
    Servable,
    on_text,
    run_in_parts,
)
from tfbert.tasks.task import NEVER
from tfbert.text.windows.questions import Windows, make_windows


class Spans(NamedTuple):
    """The best span of each question.

    Attributes:
      score: sum of its start and end logit, float32 [B]; 2 NEVER where the
        context has no tokens.
      no_answer_score: float32 [B].
      first, last: its tokens among those of the whole context, int32 [B]; -1
        where the context has none.
    """

    score: tf.Tensor
    no_answer_score: tf.Tensor
    first: tf.Tensor
    last: tf.Tensor


def answerer(task, tokenizer, max_length: int, **options) -> Servable:
    """A servable that answers questions.

    Its signature `serving_default` is `answer_function`'s; `embed` is
    `embedder`'s.

    Args:
      task: a QuestionAnsweringTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length: longest row in tokens.
      **options: the others of `answer_function`.

    Raises:
      UserError: the encoder has one segment.
    """
    check_segments(task, "questions about contexts")
    answer = answer_function(task, tokenizer, max_length=max_length, **options)

    @signature(STRINGS, STRINGS)
    def of_question(question, context):
        return answer(question, context)

    embed = embed_function(task.encoder, tokenizer, max_length)
    signatures = {"serving_default": of_question, "embed": on_text(embed)}
    return Servable(task, tokenizer, signatures)


def answer_function(
    task,
    tokenizer,
    *,
    max_length: int,
    window_stride: int,
    max_question_length: int,
    max_answer_length: int,
    threshold: float | None = None,
    limits: Limits = DEFAULT,
):
    """The function of the signature `serving_default`.

    It maps `question` and `context`, string [B], to `answer`, string [B];
    `start` and `end`, int32 [B], the characters (code points) of the context
    that the answer takes, end exclusive, -1 where there is no answer;
    `score` and `no_answer_score`, float32 [B].

    Args:
      task: a QuestionAnsweringTask.
      tokenizer: the Tokenizer that it was trained with.
      max_length, window_stride, max_question_length: see `make_windows`.
      max_answer_length: L, in tokens.
      threshold: the answer is "" where `no_answer_score` - `score` is above
        it; None: a span is always answered.
      limits: of it `max_context_bytes` is used.
    """

    def answer(question: tf.Tensor, context: tf.Tensor) -> dict[str, tf.Tensor]:
        context = tf.strings.substr(context, 0, limits.max_context_bytes)
        windows = make_windows(
            tokenizer,
            question,
            context,
            max_length=max_length,
            window_stride=window_stride,
            max_question_length=max_question_length,
        )
        starts, ends = span_logits(task, windows.batch)
        size = tf.size(question)
        spans = best_spans(starts, ends, windows, size, max_answer_length)
        given = spans.first >= 0
        if threshold is not None:
            given &= spans.no_answer_score - spans.score <= threshold
        return _texts(context, windows, spans, given)

    return answer


def span_logits(task, batch: dict[str, tf.Tensor]):
    """Runs the task over rows, some at a time.

    Args:
      task: a QuestionAnsweringTask.
      batch: of Windows, [R, S] each.

    Returns:
      Start and end logits, float32 [R, S] each.
    """
    shapes = dict.fromkeys(("start_logits", "end_logits"), [None, None])
    outputs = run_in_parts(task, batch, shapes)
    shape = tf.shape(batch["input_ids"])
    return tuple(tf.reshape(outputs[name], shape) for name in shapes)


def best_spans(
    start_logits: tf.Tensor,
    end_logits: tf.Tensor,
    windows: Windows,
    size: tf.Tensor,
    max_answer_length: int,
) -> Spans:
    """The span with the highest score over all windows of each question.

    The best end for a start is a maximum over L places, so that no list of
    candidates is needed and the answer is exact. Of equal scores the first
    window, start and end win.

    Args:
      start_logits, end_logits: float32 [R, S].
      windows: the rows that they belong to.
      size: B.
      max_answer_length: L, in tokens.
    """
    place = tf.range(tf.shape(start_logits)[1])[None]
    column, example = windows.column[:, None], windows.example
    inside = (place >= column) & (place < column + windows.count[:, None])
    starts = tf.where(inside, start_logits, NEVER)  # [R, S]
    ends = tf.where(inside, end_logits, NEVER)
    ends = tf.pad(
        ends, [[0, 0], [0, max_answer_length - 1]], constant_values=NEVER
    )  # [R, S + L - 1]
    best_ends = tf.nn.max_pool1d(
        ends[:, :, None], max_answer_length, strides=1, padding="VALID"
    )[:, :, 0]  # [R, S]
    scores = starts + best_ends
    first = tf.argmax(scores, axis=1, output_type=tf.int32)  # [R]
    reach = first[:, None] + tf.range(max_answer_length)  # [R, L]
    reached = tf.gather(ends, reach, axis=1, batch_dims=1)
    last = first + tf.argmax(reached, axis=1, output_type=tf.int32)
    scores = tf.reduce_max(scores, axis=1)  # [R]
    best = tf.math.unsorted_segment_max(scores, example, size)  # [B]
    rows = tf.range(tf.size(scores))
    is_best = scores == tf.gather(best, example)
    row = tf.math.unsorted_segment_min(
        tf.where(is_best, rows, tf.size(scores)), example, size
    )  # [B]
    shift = windows.first - windows.column
    any_token = tf.gather(windows.count, row) > 0
    none = start_logits[:, 0] + end_logits[:, 0]
    return Spans(
        best,
        tf.math.unsorted_segment_min(none, example, size),
        tf.where(any_token, tf.gather(first + shift, row), -1),
        tf.where(any_token, tf.gather(last + shift, row), -1),
    )


def _texts(
    contexts: tf.Tensor, windows: Windows, spans: Spans, given: tf.Tensor
) -> dict[str, tf.Tensor]:
    """Cuts the answers out of their contexts; "" where not `given`."""
    tokens = windows.tokens
    row = tf.cast(tokens.ids.row_starts(), tf.int32)  # [B]
    first = tf.where(given, row + spans.first, 0)
    last = tf.where(given, row + spans.last, 0)

    def at(values: tf.RaggedTensor, places: tf.Tensor) -> tf.Tensor:
        # One more value, so that there is something to gather from.
        flat = tf.concat([values.flat_values, [0]], axis=0)
        return tf.cast(tf.gather(flat, places), tf.int32)

    byte_start = tf.where(given, at(tokens.byte_starts, first), 0)
    byte_end = tf.where(given, at(tokens.byte_ends, last), 0)
    answer = tf.strings.substr(contexts, byte_start, byte_end - byte_start)
    return {
        # A client that gave bytes which are no UTF-8 gets U+FFFD for them.
        "answer": tf.strings.unicode_transcode(answer, "UTF-8", "UTF-8"),
        "start": tf.where(given, at(tokens.character_starts, first), -1),
        "end": tf.where(given, at(tokens.character_ends, last), -1),
        "score": spans.score,
        "no_answer_score": spans.no_answer_score,
    }
