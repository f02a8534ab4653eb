"""BERT's tokenizer as TensorFlow ops: text -> ids, anywhere a graph runs.

The same graph makes records, feeds fine-tuning and serves. It has two kernels
of TF.Text, both of which TF Serving links: `FastBertNormalize` with a table
of ours (`tfbert.normalizer_model`) and `FastWordpieceTokenizeWithOffsets`.

Two things do not fit into a table and a trie. Words of more than 100
characters become [UNK], where the kernel counts bytes; and canonical order
of combining marks looks at more than one character. A regular expression
finds the rare text that may be concerned, which takes the longer way.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfbert import atomic
from tfbert.characters import kernel_vocabulary
from tfbert.errors import UserError
from tfbert.input_layout import lay_out
from tfbert.mark_order import MarkOrder, disordered_pattern
from tfbert.normalizer_model import normalizer_model
from tfbert.spans import TextBytes, gather_in_rows
from tfbert.vocabulary import (
    CLS,
    CONTINUATION,
    MASK,
    MAX_WORD_CHARACTERS,
    PAD,
    SEP,
    UNK,
    check_vocabulary,
    read_vocabulary,
    vocabulary_hash,
)

VOCABULARY_FILE = "vocab.txt"
SETTINGS_FILE = "tokenizer_config.json"


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


class Tokenizer(tf.Module):
    """BERT's reference tokenization (Devlin et al. 2018) in TensorFlow ops.

    Ids equal those of Hugging Face's `BertWordPieceTokenizer`, except that
    special tokens written in text, such as a literal "[MASK]", are plain
    text. Bytes that are not UTF-8 count as U+FFFD, which BERT drops.

    Attributes:
      vocabulary: the tokens in the order of their ids, a list.
      vocab_size: their number.
      vocab_hash: sha256 of the vocabulary, hexadecimal.
      settings: {"lowercase": bool}; with the vocabulary they define the ids.
      pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
    """

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
    ):
        """Makes a tokenizer.

        Args:
          vocabulary: path of a vocab.txt, or the tokens.
          lowercase: lower-case and strip accents (uncased models), or leave
            text as it is (cased models).

        Raises:
          UserError: the vocabulary cannot be read or is none.
        """
        super().__init__(name="tokenizer")
        if isinstance(vocabulary, str | os.PathLike):
            tokens = read_vocabulary(vocabulary)
        else:
            tokens = list(vocabulary)
            check_vocabulary(tokens, "The list of tokens")
        self._tokens = tuple(tokens)
        self._lowercase = bool(lowercase)
        self.vocab_size = len(tokens)
        self.vocab_hash = vocabulary_hash(tokens)
        self.pad_id = tokens.index(PAD)
        self.unk_id = tokens.index(UNK)
        self.cls_id = tokens.index(CLS)
        self.sep_id = tokens.index(SEP)
        self.mask_id = tokens.index(MASK)
        with tf.init_scope():
            self._make_kernels()

    def _make_kernels(self) -> None:
        model = np.frombuffer(normalizer_model(self._lowercase), np.uint8)
        self._normalizer = tf_text.FastBertNormalizer(
            model_buffer=tf.constant(model)
        )
        self._mark_order = MarkOrder()
        self._wordpieces = tf_text.FastWordpieceTokenizer(
            vocab=kernel_vocabulary(self._tokens, self._lowercase),
            # No character takes more than four bytes. What the kernel lets
            # through is counted in characters afterwards.
            max_bytes_per_word=4 * MAX_WORD_CHARACTERS,
            unknown_token=UNK,
            token_out_type=tf.int32,
        )
        self._token_table = tf.constant(self._tokens)
        self._continues = tf.constant(
            [token.startswith(CONTINUATION) for token in self._tokens]
        )

    @property
    def vocabulary(self) -> list[str]:
        return list(self._tokens)

    @property
    def settings(self) -> dict[str, bool]:
        return {"lowercase": self._lowercase}

    def __call__(self, texts) -> tf.RaggedTensor:
        """Tokenizes texts.

        Args:
          texts: string [B], UTF-8.

        Returns:
          Ids, a RaggedTensor int32 [B, None] without special tokens.
        """
        texts = _as_texts(texts)
        normal = self._normalizer.normalize(texts)

        def order() -> tf.Tensor:
            return self._normalizer.normalize(self._mark_order(texts)[0])

        def careful() -> tf.RaggedTensor:
            ordered = tf.cond(
                self._is_disordered(normal), order, lambda: normal
            )
            return self._pieces(ordered).ids

        return tf.cond(
            self._is_rare(normal),
            careful,
            lambda: self._wordpieces.tokenize(normal),
        )

    def tokenize_with_offsets(self, texts) -> TokensWithOffsets:
        """Tokenizes texts and tells where each token comes from.

        Args:
          texts: string [B], UTF-8.

        Returns:
          The ids, equal to those of a call, and spans in `texts`. A span
          reaches from the first to the last character that the token was
          made of; characters that normalization removes belong to no token.
        """
        texts = _as_texts(texts)
        normal, sources = self._normalizer.normalize_with_offsets(texts)

        def plain():
            pieces = self._pieces(normal)
            rows = pieces.ids.value_rowids()
            return (
                pieces.ids,
                gather_in_rows(sources, rows, pieces.firsts),
                gather_in_rows(sources, rows, pieces.lasts),
            )

        def order():
            ordered, source = self._mark_order(texts)
            again, again_sources = self._normalizer.normalize_with_offsets(
                ordered
            )
            pieces = self._pieces(again)
            rows = pieces.ids.value_rowids()
            firsts, lasts = (
                source(rows, gather_in_rows(again_sources, rows, places))
                for places in (pieces.firsts, pieces.lasts)
            )
            return pieces.ids, firsts, lasts

        ids, firsts, lasts = tf.cond(self._is_disordered(normal), order, plain)
        spans = TextBytes(texts).character_spans(
            ids.value_rowids(), firsts, lasts
        )
        return TokensWithOffsets(
            ids, *(ids.with_flat_values(values) for values in spans)
        )

    def encode(self, text_a, text_b=None, *, max_length: int):
        """Makes BERT's input: [CLS] a [SEP], or [CLS] a [SEP] b [SEP].

        Too long a pair loses tokens from the end of the longer text, one at a
        time, see `tfbert.input_layout`.

        Args:
          text_a: string [B], UTF-8.
          text_b: string [B], the second texts of pairs.
          max_length: S, at least 3 for pairs and 2 otherwise.

        Returns:
          `input_ids`, `input_mask` (1 = token) and `segment_ids` (1 = second
          text and its [SEP]), int32 [B, S] each.

        Raises:
          ValueError: `max_length` has no room for the special tokens.
        """
        num_special = 2 if text_b is None else 3
        if max_length < num_special:
            raise ValueError(
                f"max_length is {max_length}; the special tokens alone take "
                f"{num_special}. Give a larger max_length."
            )
        second = None if text_b is None else self(text_b)
        return lay_out(
            self(text_a),
            second,
            max_length=max_length,
            pad_id=self.pad_id,
            cls_id=self.cls_id,
            sep_id=self.sep_id,
        )

    def tokens(self, ids) -> list:
        """The tokens of `ids` (any nesting of lists, array or tensor)."""
        if hasattr(ids, "to_list"):
            ids = ids.to_list()
        elif hasattr(ids, "numpy"):
            ids = ids.numpy()
        if isinstance(ids, np.ndarray):
            ids = ids.tolist()
        if isinstance(ids, int | np.integer):
            return self._tokens[ids]
        return [self.tokens(item) for item in ids]

    def detokenize(self, ids) -> tf.Tensor:
        """Joins tokens to words, and words by spaces.

        Args:
          ids: int [B, S] or RaggedTensor [B, None]. [PAD], [CLS] and [SEP]
            are left out. Lower case and lost accents stay lost.

        Returns:
          string [B].
        """
        if not isinstance(ids, tf.Tensor | tf.RaggedTensor):
            ids = tf.ragged.constant(ids, dtype=tf.int32, ragged_rank=1)
        ids = tf.cast(ids, tf.int32)
        if isinstance(ids, tf.Tensor):
            ids = tf.RaggedTensor.from_tensor(ids)
        flat = ids.flat_values
        kept = tf.ones_like(flat, tf.bool)
        for special in (self.pad_id, self.cls_id, self.sep_id):
            kept &= flat != special
        ids = tf.ragged.boolean_mask(ids, ids.with_flat_values(kept))
        words = tf.gather(self._token_table, ids)
        joined = tf.strings.reduce_join(words, axis=-1, separator=" ")
        return tf.strings.regex_replace(joined, f" {CONTINUATION}", "")

    @classmethod
    def from_folder(cls, folder: str | os.PathLike) -> "Tokenizer":
        """Reads what `save` wrote (a Hugging Face folder will do as well).

        Raises:
          UserError: vocab.txt or tokenizer_config.json is missing or broken.
        """
        path = Path(folder) / SETTINGS_FILE
        try:
            lowercase = json.loads(path.read_text("utf-8"))["do_lower_case"]
        except OSError as error:
            raise UserError(
                f"Cannot read {path}: {error.strerror}. It says whether the "
                'vocabulary is uncased: {"do_lower_case": true} or false.'
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{path}: wanted {{"do_lower_case": true}} or false in JSON; '
                f"reading it failed with {error!r}."
            ) from error
        return cls(Path(folder) / VOCABULARY_FILE, lowercase=lowercase)

    def save(self, folder: str | os.PathLike) -> None:
        """Writes vocab.txt and tokenizer_config.json into `folder`."""
        text = "".join(token + "\n" for token in self._tokens)
        atomic.write_file(Path(folder) / VOCABULARY_FILE, text)
        settings = json.dumps({"do_lower_case": self._lowercase}, indent=2)
        atomic.write_file(Path(folder) / SETTINGS_FILE, settings + "\n")

    def _is_rare(self, normal: tf.Tensor) -> tf.Tensor:
        """Whether the plain way may be wrong for a text of the batch, bool."""
        pattern = _long_pattern()
        if self._lowercase:
            pattern += "|" + disordered_pattern()
        return _any_match(normal, pattern)

    def _is_disordered(self, normal: tf.Tensor) -> tf.Tensor:
        """Whether the order of marks may matter in the batch, bool."""
        if not self._lowercase:
            return tf.constant(False)
        return _any_match(normal, disordered_pattern())

    def _pieces(self, normal: tf.Tensor) -> "_Pieces":
        """WordPiece with [UNK] for words of more than 100 characters."""
        ids, starts, ends = self._wordpieces.tokenize_with_offsets(normal)
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
        ids = tf.where(too_long, self.unk_id, ids)
        ends = tf.where(too_long, tf.gather(word_end, word), ends)
        kept = begins_word | ~too_long
        counts = tf.concat([[0], tf.cumsum(tf.cast(kept, tf.int64))], axis=0)
        return _Pieces(
            tf.RaggedTensor.from_row_splits(
                tf.boolean_mask(ids, kept),
                tf.gather(counts, splits),
                validate=False,
            ),
            tf.boolean_mask(starts, kept),
            tf.boolean_mask(ends, kept) - 1,
        )


class _Pieces(NamedTuple):
    """Ids [B, None]; first and last byte of each in the normalized text."""

    ids: tf.RaggedTensor
    firsts: tf.Tensor
    lasts: tf.Tensor


def _as_texts(texts) -> tf.Tensor:
    texts = tf.convert_to_tensor(texts, tf.string)
    if texts.shape.rank != 1:
        raise ValueError(
            f"The tokenizer takes a batch of texts, string [B]; got shape "
            f"{texts.shape}. Put a single text into a list."
        )
    return texts


def _any_match(texts: tf.Tensor, pattern: str) -> tf.Tensor:
    pattern = f"(?s).*(?:{pattern}).*"
    return tf.reduce_any(tf.strings.regex_full_match(texts, pattern))


def _long_pattern() -> str:
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
