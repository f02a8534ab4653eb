"""Canonical order of combining marks, which no table of characters gives.

Decomposition (NFD) sorts the marks that follow a letter by their combining
class. BERT then strips most marks, so the order shows only where two or more
of the few marks stand that it does not strip. `characters.txt` lists these
with their classes, so the result does not depend on anyone's Unicode version.

Source: Unicode Standard, section 3.11, canonical ordering algorithm.
"""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfbert.text.normalization.characters import character_map, read_characters
from tfbert.text.normalization.trie import build_model
from tfbert.text.spans import TextBytes, gather_in_rows

# Keeps the place of a stripped mark that other marks do not pass. It is a
# private-use character, so the normalization that follows removes it.
_BARRIER = "\U000ffffd"

Source = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def disordered_pattern() -> str:
    """Matches normalized text in which the order of marks may matter."""
    marks = "".join(
        f"\\x{{{code:X}}}" for code in read_characters()["combining"]
    )
    return f"[{marks}][{marks}]"


@functools.cache
def _letters_model() -> bytes:
    table = dict(character_map(lowercase=True))
    barrier = read_characters()["barrier"]
    table.update(dict.fromkeys(barrier, _BARRIER))
    return build_model(table)


class MarkOrder(tf.Module):
    """Decomposes texts and puts their marks into canonical order."""

    def __init__(self):
        super().__init__(name="mark_order")
        sections = read_characters()
        self._normalizer = tf_text.FastBertNormalizer(
            model_buffer=tf.constant(np.frombuffer(_letters_model(), np.uint8))
        )
        codes = sorted(sections["combining"])
        self._codes = tf.constant(codes, tf.int32)
        self._classes = tf.constant(
            [ord(sections["combining"][code]) for code in codes], tf.int64
        )

    def __call__(self, texts: tf.Tensor) -> tuple[tf.Tensor, Source]:
        """Puts marks into order.

        Args:
          texts: string [B].

        Returns:
          The decomposed, lower-cased texts, string [B], to be normalized as
          usual; and a function of (rows, places in them), int64 [T] each,
          that gives the places in `texts`.
        """
        letters, sources = self._normalizer.normalize_with_offsets(texts)
        codes, places = tf.strings.unicode_decode_with_offsets(letters, "UTF-8")
        order = tf.argsort(self._sort_keys(codes), stable=True)
        ordered = codes.with_flat_values(tf.gather(codes.flat_values, order))
        places = tf.gather(places.flat_values, order)
        result = tf.strings.unicode_encode(ordered, "UTF-8")

        def source(rows: tf.Tensor, result_places: tf.Tensor) -> tf.Tensor:
            numbers = TextBytes(result).character_numbers(
                rows, result_places + 1
            )
            starts = tf.gather(codes.row_splits, rows)
            return gather_in_rows(
                sources, rows, tf.gather(places, starts + numbers - 1)
            )

        return result, source

    def _sort_keys(self, rows_of_codes: tf.RaggedTensor) -> tf.Tensor:
        """Keys by which marks sort within their run and nothing else moves."""
        codes = rows_of_codes.flat_values
        index = tf.searchsorted(self._codes, codes)
        index = tf.minimum(index, tf.size(self._codes) - 1)
        is_mark = tf.gather(self._codes, index) == codes
        classes = tf.where(is_mark, tf.gather(self._classes, index), 0)
        # A run begins at whatever is no mark, and with each text.
        runs = tf.cumsum(tf.cast(~is_mark, tf.int64))
        runs += rows_of_codes.value_rowids()
        return runs * 256 + classes
