"""Words -> pieces: the WordPiece kernel, and words counted in characters."""

from collections.abc import Sequence
from typing import NamedTuple

import tensorflow as tf
import tensorflow_text as tf_text

from tfbert.text.normalization.stand_ins import kernel_vocabulary
from tfbert.text.spans import TextBytes
from tfbert.text.vocabulary_files import CONTINUATION, MAX_WORD_CHARACTERS


class Pieces(NamedTuple):
    """Ids [B, None]; first and last byte of each in the normalized text."""

    ids: tf.RaggedTensor
    firsts: tf.Tensor
    lasts: tf.Tensor


class WordPieces(tf.Module):
    """Greedy longest-match-first WordPiece on normalized text.

    The kernel is the linear-time one of Song et al. 2021, "Fast WordPiece
    Tokenization". It measures words in bytes, BERT in characters.
    """

    def __init__(self, tokens: Sequence[str], lowercase: bool, unk_id: int):
        super().__init__(name="wordpieces")
        self._unk_id = unk_id
        kernel_tokens = kernel_vocabulary(tokens, lowercase)
        self._kernel = tf_text.FastWordpieceTokenizer(
            vocab=kernel_tokens,
            # No character takes more than four bytes.
            max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
            unknown_token=kernel_tokens[unk_id],
            token_out_type=tf.int32,
        )
        self._continues = tf.constant(
            [token.startswith(CONTINUATION) for token in tokens]
        )

    def tokenize(self, normal: tf.Tensor) -> tf.RaggedTensor:
        """Ids of texts [B] in which `long_word_pattern` does not match."""
        return self._kernel.tokenize(normal)

    def pieces(self, normal: tf.Tensor) -> Pieces:
        """Cuts words, and makes those of more than 100 characters [UNK]."""
        ids, starts, ends = self._kernel.tokenize_with_offsets(normal)
        rows = ids.value_rowids()
        ids, starts, ends, splits = (
            ids.flat_values,
            starts.flat_values,
            ends.flat_values,
            ids.row_splits,
        )
        text_bytes = TextBytes(normal)
        begins_word = ~tf.gather(self._continues, ids)
        word = tf.cumsum(tf.cast(begins_word, tf.int32)) - 1
        first = tf.where(begins_word)[:, 0]
        # The token before the next word's first. [words]
        last = tf.concat([first, [tf.size(ids, tf.int64)]], axis=0)[1:] - 1
        word_end = tf.gather(ends, last)
        word_row = tf.gather(rows, first)
        length = text_bytes.character_numbers(
            word_row, word_end
        ) - text_bytes.character_numbers(word_row, tf.gather(starts, first))
        too_long = tf.gather(length > MAX_WORD_CHARACTERS, word)
        ids = tf.where(too_long, self._unk_id, ids)
        ends = tf.where(too_long, tf.gather(word_end, word), ends)
        kept = begins_word | ~too_long
        counts = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int64))], axis=0)
        return Pieces(
            tf.RaggedTensor.from_row_splits(
                tf.boolean_mask(ids, kept),
                tf.gather(counts, splits),
                validate=False,
            ),
            tf.boolean_mask(starts, kept),
            tf.boolean_mask(ends, kept) - 1,
        )


def long_word_pattern() -> str:
    """Matches normalized text that may hold a word of too many characters.

    Characters that BERT splits at are left out of words, as far as is needed
    for ordinary text, Chinese included, not to match.
    """
    splits = (
        r" !-/:-@\[-`{-~"
        r"\x{2010}-\x{2027}\x{3001}-\x{3003}\x{3008}-\x{3011}"
        r"\x{4E00}-\x{9FFF}\x{FF0C}-\x{FF0F}\x{FF1A}-\x{FF1B}\x{FF1F}"
    )
    return f"[^{splits}]{{{MAX_WORD_CHARACTERS + 1}}}"
