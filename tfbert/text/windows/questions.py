"""Windows over a context of any length, each with the question before it.

One piece of code, in TensorFlow ops, for training, evaluation and serving:
what a model is trained on is what it is asked later.

Legend: B questions, R rows (windows; every question has at least one), S
sequence.
"""

from typing import NamedTuple

import tensorflow as tf

from tfbert.errors import UserError
from tfbert.numpy_scalars import to_python
from tfbert.text.row_layout import lay_out
from tfbert.text.spans import TokensWithOffsets

# [CLS] question [SEP] context [SEP]
_SPECIAL_TOKENS = 3
# What is read of a question before tokens are counted: nobody asks more, and
# megabytes of it should cost nothing.
_QUESTION_BYTES = 1 << 14


class Windows(NamedTuple):
    """Rows of BERT's input, and where their tokens stand in the contexts.

    `batch` has input_ids, input_mask and segment_ids, int32 [R, S]. The
    others are int32 [R]: `example`, the question that a row belongs to (rows
    of a question follow each other); `first`, the place of its first context
    token among the tokens of the whole context; `count`, how many there are;
    `column`, where they begin in the row. `tokens` are the contexts'.
    """

    batch: dict[str, tf.Tensor]
    example: tf.Tensor
    first: tf.Tensor
    count: tf.Tensor
    column: tf.Tensor
    tokens: TokensWithOffsets


def check_lengths(
    max_length: int, window_stride: int, max_question_length: int
) -> None:
    """Refuses lengths that leave a window no room.

    Raises:
      UserError: so it is.
    """
    most = max_length - _SPECIAL_TOKENS - 1
    if not 1 <= max_question_length <= most:
        raise UserError(
            f"wanted max_question_length from 1 to {most} (max_length "
            f"{max_length} less [CLS], two [SEP] and a token of context), got "
            f"{max_question_length}"
        )
    if window_stride < 1:
        raise UserError(f"wanted window_stride above 0, got {window_stride}")


def _tokenize_questions(tokenizer, questions: tf.Tensor) -> tf.RaggedTensor:
    """Their ids, int32 [B, None]."""
    if tokenizer.settings.get("special_tokens_in_text"):
        raise UserError(
            "question answering needs a tokenizer of plain text, but this one "
            "reads special tokens in text; set special_tokens_in_text to "
            "false in a copy of its tokenizer_config.json, and give the "
            "folder as data.tokenizer"
        )
    return tokenizer(tf.strings.substr(questions, 0, _QUESTION_BYTES))


def make_windows(
    tokenizer,
    questions: tf.Tensor,
    contexts: tf.Tensor,
    *,
    max_length: int,
    window_stride: int,
    max_question_length: int,
) -> Windows:
    """Slides windows over contexts (google-research/bert, `run_squad.py`).

    A window begins `window_stride` tokens after the one before it, or less
    where the room beside the question is smaller, so that every token of the
    context is in a window; the last one reaches the context's end.

    Args:
      tokenizer: a Tokenizer.
      questions: string [B]; tokens after `max_question_length` are left out,
        and all after 16 KiB.
      contexts: string [B], of any length.
      max_length: longest row in tokens.
      window_stride: tokens between the starts of two windows.
      max_question_length: most tokens of a question.

    Returns:
      Windows; S is what the longest row needs.

    Raises:
      UserError: as `check_lengths`; or the tokenizer reads special tokens in
        text, and so cannot tell where tokens stand.
    """
    sizes = (max_length, window_stride, max_question_length)
    max_length, window_stride, max_question_length = map(to_python, sizes)
    check_lengths(max_length, window_stride, max_question_length)
    asked = _tokenize_questions(tokenizer, questions)[:, :max_question_length]
    tokens = tokenizer.tokenize_with_offsets(contexts)
    lengths = tf.cast(tokens.ids.row_lengths(), tf.int32)  # [B]
    question_lengths = tf.cast(asked.row_lengths(), tf.int32)  # [B]
    room = max_length - _SPECIAL_TOKENS - question_lengths
    stride = tf.minimum(window_stride, room)
    # Rounded up, and not negative where the context is short.
    more = (tf.maximum(lengths - room, 0) + stride - 1) // stride
    numbers = tf.ragged.range(1 + more)  # [B, None]
    example = tf.cast(numbers.value_rowids(), tf.int32)  # [R]
    first = numbers.flat_values * tf.gather(stride, example)
    left = tf.gather(lengths, example) - first
    count = tf.minimum(tf.gather(room, example), left)
    starts = tf.cast(tf.gather(tokens.ids.row_splits, example), tf.int32)
    places = tf.ragged.range(starts + first, starts + first + count)
    batch = lay_out(
        tf.gather(asked, example),
        tf.gather(tokens.ids.flat_values, places),
        max_length=max_length,
        pad_id=tokenizer.pad_id,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
    )
    column = tf.gather(question_lengths, example) + 2
    rows = _without_padding(batch, column + count + 1)
    return Windows(rows, example, first, count, column, tokens)


def _without_padding(batch: dict, lengths: tf.Tensor) -> dict:
    """The rows [R, S] as long as the longest of `lengths` [R]."""
    # Of no rows the maximum is the smallest int32.
    longest = tf.maximum(tf.reduce_max(lengths), 1)
    return {key: value[:, :longest] for key, value in batch.items()}
