"""Where tokens come from: places in a text, before and after normalization.

Texts of a batch are handled as one array of bytes with a separator after
each, so that the work is a fixed number of operations on flat arrays.
"""

from typing import NamedTuple

import tensorflow as tf


class TokensWithOffsets(NamedTuple):
    """Tokens and where they come from. All are RaggedTensors [B, None].

    `ids` int32; `byte_starts`, `byte_ends`, `character_starts` and
    `character_ends` int64 are half-open spans in the text as it was given.
    A character is a code point; one that replaces bytes which are not UTF-8
    (as `bytes.decode("utf-8", "replace")` does) counts as one.
    """

    ids: tf.RaggedTensor
    byte_starts: tf.RaggedTensor
    byte_ends: tf.RaggedTensor
    character_starts: tf.RaggedTensor
    character_ends: tf.RaggedTensor


class TextBytes:
    """The bytes of a batch of texts, and which of them begin a character.

    Args:
      texts: string [B], any bytes. A character is what a UTF-8 decoder makes
        of the bytes, U+FFFD for a maximal part of an ill-formed sequence
        (Unicode, section 3.9) included.
    """

    def __init__(self, texts: tf.Tensor):
        lengths = tf.cast(tf.strings.length(texts, unit="BYTE"), tf.int64)
        # A separator after each text keeps the texts apart; one more gives
        # the last text an end in an empty batch too.
        self._row_starts = tf.cumsum(lengths + 1, exclusive=True)
        joined = tf.strings.reduce_join(texts, separator=" ") + "  "
        flat = tf.cast(tf.io.decode_raw(joined, tf.uint8), tf.int32)
        begins = _begins_character(flat)
        # How many characters begin before each place. [bytes + 1]
        self._counts = tf.concat(
            [[0], tf.cumsum(tf.cast(begins, tf.int64))], axis=0
        )
        self._starts = tf.where(begins)[:, 0]

    def character_numbers(
        self, rows: tf.Tensor, places: tf.Tensor
    ) -> tf.Tensor:
        """How many characters of the row begin before each place."""
        starts = tf.gather(self._row_starts, rows)
        before_row = tf.gather(self._counts, starts)
        return tf.gather(self._counts, starts + places) - before_row

    def character_spans(
        self, rows: tf.Tensor, firsts: tf.Tensor, lasts: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Spans of whole characters.

        Args:
          rows: int64 [T], the text of each span.
          firsts: int64 [T], a byte of the first character.
          lasts: int64 [T], a byte of the last character.

        Returns:
          Byte starts and ends, character starts and ends, int64 [T] each;
          ends are exclusive.
        """
        row_starts = tf.gather(self._row_starts, rows)
        before_row = tf.gather(self._counts, row_starts)
        # Characters that begin at or before a byte; the last of them holds it.
        through_first = tf.gather(self._counts, row_starts + firsts + 1)
        through_last = tf.gather(self._counts, row_starts + lasts + 1)
        return (
            tf.gather(self._starts, through_first - 1) - row_starts,
            tf.gather(self._starts, through_last) - row_starts,
            through_first - 1 - before_row,
            through_last - before_row,
        )


class Characters:
    """The characters (code points) of texts, to cut pieces out of them.

    Args:
      texts: string [B], any bytes; U+FFFD stands for those that are no UTF-8,
        as in `TextBytes`.
    """

    def __init__(self, texts: tf.Tensor):
        self._codes = tf.strings.unicode_decode(texts, "UTF-8")  # [B, None]

    def cut(
        self, rows: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor
    ) -> tf.Tensor:
        """The texts between characters, string [N], valid UTF-8.

        Not by `tf.strings.substr`, which wants the whole text of each.

        Args:
          rows: int64 [N], the text of each.
          starts, ends: int64 [N], ends are exclusive.
        """
        begins = tf.gather(self._codes.row_splits, rows)
        places = tf.ragged.range(begins + starts, begins + ends)
        codes = tf.gather(self._codes.values, places.values)
        return tf.strings.unicode_encode(places.with_values(codes), "UTF-8")


def _begins_character(flat: tf.Tensor) -> tf.Tensor:
    """Which bytes begin a character, bool, for int32 bytes of any length."""

    def before(values: tf.Tensor, distance: int) -> tf.Tensor:
        padding = tf.zeros([distance], values.dtype)
        size = tf.shape(values)[0]
        return tf.concat([padding, values], axis=0)[:size]

    def within(values: tf.Tensor, low: int, high: int) -> tf.Tensor:
        return (values >= low) & (values <= high)

    trail = within(flat, 0x80, 0xBF)
    lead = before(flat, 1)
    # After some first bytes only part of the trail bytes may follow
    # (Unicode, table 3-7): no overlong forms, surrogates, or beyond 10FFFF.
    second = trail & (
        within(lead, 0xC2, 0xDF)
        | (within(lead, 0xE1, 0xEF) & (lead != 0xED))
        | within(lead, 0xF1, 0xF3)
        | ((lead == 0xE0) & (flat >= 0xA0))
        | ((lead == 0xED) & (flat <= 0x9F))
        | ((lead == 0xF0) & (flat >= 0x90))
        | ((lead == 0xF4) & (flat <= 0x8F))
    )
    third = trail & before(second, 1) & (before(flat, 2) >= 0xE0)
    fourth = trail & before(third, 1) & (before(flat, 3) >= 0xF0)
    return ~(second | third | fourth)


def gather_in_rows(
    values: tf.RaggedTensor, rows: tf.Tensor, places: tf.Tensor
) -> tf.Tensor:
    """`values[row, place]` for each pair; a place too far gives the last."""
    starts = tf.gather(values.row_splits, rows)
    ends = tf.gather(values.row_splits, rows + 1)
    return tf.gather(values.flat_values, tf.minimum(starts + places, ends - 1))
