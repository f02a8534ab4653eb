"""Texts of any length as rows of BERT's input.

One piece of code, in TensorFlow ops, for training, evaluation and serving:
what a model is trained on is what it is asked later.

Legend: B texts, R rows (every text has at least one), S sequence, T tokens of
all texts.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfbert.numpy_scalars import to_python
from tfbert.text.row_layout import kept_lengths, lay_out
from tfbert.text.tokenizer import longest_text
from tfbert.text.vocabulary_files import CONTINUATION
from tfbert.text.windows.long_texts import (
    HEAD_TAIL,
    WINDOWS,
    LongTexts,
    check_overlap,
)
from tfbert.text.windows.word_borders import WordBorders


class TextRows(NamedTuple):
    """Rows of BERT's input, and which text each is of.

    `batch` has input_ids, input_mask and segment_ids, int32 [R, S]; `text`,
    int32 [R], is ascending, and rows of a text follow each other as they do in
    it. Of each text `lengths`, int32 [B], is what a row for all its tokens
    would need, of the bytes that are read; and `cut`, bool [B], whether
    tokens of it are in no row.
    """

    batch: dict[str, tf.Tensor]
    text: tf.Tensor
    lengths: tf.Tensor
    cut: tf.Tensor


@dataclasses.dataclass(frozen=True)
class TextReader:
    """`read_texts` with a tokenizer, and what it does with long texts.

    Attributes:
      tokenizer: a Tokenizer.
      long_texts: how texts are read that are longer than a row.
    """

    tokenizer: Any
    long_texts: LongTexts

    def __call__(self, text_a, text_b=None, *, max_length: int) -> TextRows:
        return read_texts(
            self.tokenizer,
            text_a,
            text_b,
            max_length=max_length,
            long_texts=self.long_texts,
        )

    @property
    def in_windows(self) -> bool:
        """Whether a text may have several rows."""
        return self.long_texts.how == WINDOWS


def read_texts(
    tokenizer,
    text_a,
    text_b=None,
    *,
    max_length: int,
    long_texts: LongTexts,
) -> TextRows:
    """Makes the rows of texts, or of pairs.

    What fits into a row is [CLS] a [SEP], or [CLS] a [SEP] b [SEP], as
    `Tokenizer.encode` makes it, whatever `long_texts` says. Windows begin and
    end between words, but in a word that is longer than a window; neighbours
    share at most `overlap` tokens. Of a pair the longer text goes through in
    windows, each beside the whole shorter one; of that no more than half a
    row is read.

    Args:
      tokenizer: a Tokenizer.
      text_a: string [B].
      text_b: string [B], the second texts of pairs.
      max_length: S.
      long_texts: how texts are read that are longer.

    Raises:
      UserError: the overlap is more than half a window.
    """
    max_length = to_python(max_length)
    if long_texts.how == WINDOWS:
        check_overlap(long_texts.overlap, max_length)
    texts = [text for text in (text_a, text_b) if text is not None]
    read = [_tokenized(tokenizer, t, max_length, long_texts) for t in texts]
    sizes = [tf.cast(ids.row_lengths(), tf.int32) for ids in read]
    num_special = 1 + len(read)
    room = max_length - num_special
    lengths = sum(sizes, num_special)
    cut = lengths > max_length
    text = tf.range(tf.shape(lengths)[0])
    if long_texts.how == HEAD_TAIL:
        kept = kept_lengths(room, *sizes)
        read = [_without_middle(*pair) for pair in zip(read, kept, strict=True)]
    elif long_texts.how == WINDOWS:
        read, text, cut = _windows(tokenizer, read, sizes, room, long_texts)
    batch = lay_out(
        read[0],
        read[1] if len(read) > 1 else None,
        max_length=max_length,
        pad_id=tokenizer.pad_id,
        cls_id=tokenizer.cls_id,
        sep_id=tokenizer.sep_id,
    )
    return TextRows(batch, text, lengths, cut)


def bytes_read(max_length: int, long_texts: LongTexts) -> int:
    """The bytes of a text that are read at most, from either end."""
    rows = long_texts.max_windows if long_texts.how == WINDOWS else 1
    return longest_text(max_length * rows)


def _tokenized(
    tokenizer, texts, max_length: int, long_texts: LongTexts
) -> tf.RaggedTensor:
    """Ids, int32 [B, None], of no more bytes than can matter."""
    texts = tf.convert_to_tensor(texts, tf.string)
    limit = bytes_read(max_length, long_texts)
    if long_texts.how != HEAD_TAIL:
        return tokenizer(tf.strings.substr(texts, 0, limit))
    size = tf.strings.length(texts)
    most = tf.fill(tf.shape(size), limit)
    tail = tf.strings.substr(texts, tf.maximum(size - limit, 0), most)
    ends = tf.strings.join([tf.strings.substr(texts, 0, limit), tail], " ")
    return tokenizer(tf.where(size > 2 * limit, ends, texts))


def _without_middle(ids: tf.RaggedTensor, kept: tf.Tensor) -> tf.RaggedTensor:
    """The first and the last of ids [B, None], `kept` [B] of each together."""
    size = tf.cast(ids.row_lengths(), tf.int32)
    # Of a row's 510 tokens 128 and 382: a quarter of the whole row.
    head = tf.where(size > kept, (kept + 2) // 4, size)
    tail = tf.where(size > kept, kept - head, 0)
    ends = tf.cast(ids.row_splits[1:], tf.int32)
    starts = ends - size
    places = [
        tf.ragged.range(starts, starts + head),
        tf.ragged.range(ends - tail, ends),
    ]
    return tf.gather(ids.flat_values, tf.concat(places, axis=1))


def _windows(
    tokenizer,
    read: list[tf.RaggedTensor],
    sizes: list[tf.Tensor],
    room: int,
    long_texts: LongTexts,
) -> tuple[list[tf.RaggedTensor], tf.Tensor, tf.Tensor]:
    """The texts of each row, which text a row is of, and which are cut."""
    values = tf.concat([ids.flat_values for ids in read], axis=0)
    bases, before = [], 0
    for ids in read:
        starts = tf.cast(ids.row_splits[:-1], tf.int32)
        bases.append(before + starts)
        before += tf.size(ids.flat_values)
    base, size, cut = bases[0], sizes[0], tf.zeros_like(sizes[0], tf.bool)
    if len(read) > 1:
        first_is_longer = sizes[0] >= sizes[1]
        base = tf.where(first_is_longer, *bases)
        other = tf.where(first_is_longer, *bases[::-1])
        size = tf.maximum(*sizes)
        beside = tf.minimum(tf.minimum(*sizes), room // 2)
        cut = tf.minimum(*sizes) > beside
        room = room - beside
    ids = tf.gather(values, tf.ragged.range(base, base + size))
    inside = np.array(
        [token.startswith(CONTINUATION) for token in tokenizer.vocabulary]
    )
    borders = WordBorders(ids, tf.gather(tf.constant(inside), ids.flat_values))
    spans = borders.windows(
        tf.broadcast_to(room, tf.shape(size)),
        long_texts.overlap,
        long_texts.max_windows,
    )
    text, cut = spans.text, cut | spans.cut
    starts = tf.gather(base, text)
    window = starts + spans.start, starts + spans.end
    if len(read) == 1:
        return [tf.gather(values, tf.ragged.range(*window))], text, cut
    starts = tf.gather(other, text)
    whole = starts, starts + tf.gather(beside, text)
    is_first = tf.gather(first_is_longer, text)
    places = [
        [tf.where(is_first, *ends) for ends in zip(window, whole, strict=True)],
        [tf.where(is_first, *ends) for ends in zip(whole, window, strict=True)],
    ]
    found = [tf.gather(values, tf.ragged.range(*ends)) for ends in places]
    return found, text, cut
