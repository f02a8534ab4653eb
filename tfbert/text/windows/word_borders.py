"""Windows over tokens that begin and end between words.

Legend: B texts, T tokens of all of them, W windows of the longest text, R of
all.
"""

from typing import NamedTuple

import tensorflow as tf


class Spans(NamedTuple):
    """Windows, those of a text behind each other.

    `text`, `start` and `end` (exclusive) are int32 [R]: the text of each, and
    the places of its tokens in it. `cut`, bool [B], tells of each text
    whether tokens stand behind its last window.
    """

    text: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    cut: tf.Tensor


class WordBorders:
    """The places between words of tokenized texts.

    Args:
      ids: int32 [B, None]; only their number counts.
      inside: bool [T], which tokens go on with the word of the one before.
    """

    def __init__(self, ids: tf.RaggedTensor, inside: tf.Tensor):
        self._sizes = tf.cast(ids.row_lengths(), tf.int32)  # [B]
        # A text of n tokens has the places 0 to n: [T + B] of all. It begins
        # with a word, whatever its first token is.
        is_first = tf.equal(tf.ragged.range(self._sizes).flat_values, 0)
        begins = ids.with_flat_values(is_first | ~inside)
        ends = tf.ones_like(self._sizes, tf.bool)[:, None]
        flags = tf.concat([begins, ends], axis=1)
        self._first = tf.cast(flags.row_splits[:-1], tf.int32)  # [B]
        flags = flags.flat_values
        self._flags = flags
        self._borders = tf.cast(tf.where(flags)[:, 0], tf.int32)
        self._through = tf.cumsum(tf.cast(flags, tf.int32))

    def _last(self, places: tf.Tensor) -> tf.Tensor:
        """The last border at or before a place of each text, int32 [B]."""
        at = self._first + places
        number = tf.gather(self._through, at) - 1
        return tf.gather(self._borders, number) - self._first

    def _next(self, places: tf.Tensor) -> tf.Tensor:
        """The first border at or behind a place of each text, int32 [B]."""
        at = self._first + places
        is_border = tf.cast(tf.gather(self._flags, at), tf.int32)
        number = tf.gather(self._through, at) - is_border
        return tf.gather(self._borders, number) - self._first

    def _end(self, start: tf.Tensor, room: tf.Tensor) -> tf.Tensor:
        """Where a window ends that begins at a place of each text."""
        far = tf.minimum(start + room, self._sizes)
        end = self._last(far)
        # A word that is longer than a window.
        return tf.where(end > start, end, far)

    def windows(self, room: tf.Tensor, overlap: int, most: int) -> Spans:
        """Windows as long as they may be, from the first token on.

        A window ends at the last border that it can reach; the next begins at
        the first border that is no more than `overlap` tokens before that, or
        right there where it would else reach no further. A word that is
        longer than a window is cut.

        Args:
          room: int32 [B], tokens of a window, above 0.
          overlap: tokens that neighbours share at most.
          most: windows of a text at most.
        """
        shape = tf.TensorShape([None])
        arrays = [
            tf.TensorArray(tf.int32, 1, dynamic_size=True, element_shape=shape)
            for _ in range(2)
        ]

        def body(number, start, open_, starts, ends):
            end = self._end(start, room)
            starts = starts.write(number, tf.where(open_, start, -1))
            ends = ends.write(number, end)
            again = tf.maximum(end - overlap, start + 1)
            again = tf.minimum(again, self._sizes)
            again = tf.minimum(self._next(again), end)
            # Before a long word there may be no room for what is shared.
            again = tf.where(self._end(again, room) > end, again, end)
            open_ &= end < self._sizes
            start = tf.where(open_, again, start)
            return number + 1, start, open_, starts, ends

        begin = tf.zeros_like(self._sizes)
        is_open = tf.ones_like(begin, tf.bool)
        # One round at least, so that there is something to stack.
        _, _, is_open, starts, ends = tf.while_loop(
            lambda number, _, open_, *arrays: (
                (number == 0) | ((number < most) & tf.reduce_any(open_))
            ),
            body,
            (0, begin, is_open, *arrays),
        )
        starts, ends = (tf.transpose(a.stack()) for a in (starts, ends))
        there = starts >= 0  # [B, W]
        text = tf.cast(tf.where(there)[:, 0], tf.int32)
        return Spans(
            text,
            tf.boolean_mask(starts, there),
            tf.boolean_mask(ends, there),
            is_open,
        )
