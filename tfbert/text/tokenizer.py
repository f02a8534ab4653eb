"""BERT's tokenizer as TensorFlow ops: text -> ids, anywhere a graph runs.

The same graph makes records, feeds fine-tuning and serves. It has two kernels
of TF.Text, both of which TF Serving links: `FastBertNormalize` with a table of
ours (`tfbert.text.normalization.trie`) and
`FastWordpieceTokenizeWithOffsets`.

Two things do not fit into a table and a trie. Words of more than 100
characters become [UNK], where the kernel counts bytes; and canonical order
of combining marks looks at more than one character. A regular expression
finds the rare texts that may be concerned, which take the longer way.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfbert.errors import UserError
from tfbert.numpy_scalars import to_python
from tfbert.text import decoding, tokenizer_settings
from tfbert.text.normalization.combining_marks import (
    MarkOrder,
    disordered_pattern,
)
from tfbert.text.normalization.stand_ins import replace_special_tokens
from tfbert.text.normalization.trie import normalizer_model
from tfbert.text.row_layout import lay_out
from tfbert.text.spans import TextBytes, TokensWithOffsets, gather_in_rows
from tfbert.text.tokenizer_settings import VOCABULARY_FILE
from tfbert.text.vocabulary_files import (
    CLS,
    CONTINUATION,
    MASK,
    PAD,
    SEP,
    UNK,
    check_vocabulary,
    read_vocabulary,
    vocabulary_hash,
)
from tfbert.text.wordpieces import WordPieces, long_word_pattern


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
        It has "special_tokens_in_text" as well where that is on.
      pad_id, unk_id, cls_id, sep_id, mask_id: ids of the special tokens.
    """

    def __init__(
        self,
        vocabulary: str | os.PathLike | Sequence[str],
        lowercase: bool = True,
        *,
        special_tokens_in_text: bool = False,
    ):
        """Makes a tokenizer.

        Args:
          vocabulary: path of a vocab.txt, or the tokens.
          lowercase: lower-case and strip accents (uncased models), or leave
            text as it is (cased models).
          special_tokens_in_text: read a literal "[MASK]" in text as the
            special token, and likewise the others. Not for text from users.

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
        self._reads_specials = bool(special_tokens_in_text)
        self.vocab_size = len(tokens)
        self.vocab_hash = vocabulary_hash(tokens)
        self.pad_id = tokens.index(PAD)
        self.unk_id = tokens.index(UNK)
        self.cls_id = tokens.index(CLS)
        self.sep_id = tokens.index(SEP)
        self.mask_id = tokens.index(MASK)
        # Text is for the CPU, and a graph may be under construction.
        with tf.init_scope(), tf.device("CPU:0"):
            self._make_kernels()

    def _make_kernels(self) -> None:
        model = normalizer_model(self._lowercase, self._reads_specials)
        self._normalizer = tf_text.FastBertNormalizer(
            model_buffer=tf.constant(np.frombuffer(model, np.uint8))
        )
        self._mark_order = MarkOrder()
        self._wordpieces = WordPieces(
            self._tokens, self._lowercase, self.unk_id
        )
        self._token_table = tf.constant(self._tokens)

    @property
    def vocabulary(self) -> list[str]:
        return list(self._tokens)

    @property
    def settings(self) -> dict[str, bool]:
        settings = {"lowercase": self._lowercase}
        if self._reads_specials:
            settings["special_tokens_in_text"] = True
        return settings

    def __call__(self, texts) -> tf.RaggedTensor:
        """Tokenizes texts.

        Args:
          texts: string [B], UTF-8.

        Returns:
          Ids, a RaggedTensor int32 [B, None] without special tokens.
        """
        texts = _as_texts(texts)
        if self._reads_specials:
            texts = replace_special_tokens(texts)
        normal = self._normalizer.normalize(texts)

        rare = self._is_rare(normal)

        def with_rare() -> tf.RaggedTensor:
            places = tf.where(~rare)[:, 0], tf.where(rare)[:, 0]
            plain, rare_ones = (tf.gather(normal, some) for some in places)
            ids = [
                self._wordpieces.tokenize(plain),
                self._tokenize_carefully(
                    tf.gather(texts, places[1]), rare_ones
                ),
            ]
            order = tf.math.invert_permutation(tf.concat(places, axis=0))
            return tf.gather(tf.concat(ids, axis=0), order)

        return tf.cond(
            tf.reduce_any(rare),
            with_rare,
            lambda: self._wordpieces.tokenize(normal),
        )

    def _tokenize_carefully(
        self, texts: tf.Tensor, normal: tf.Tensor
    ) -> tf.RaggedTensor:
        """The ids of texts [B], normalized to `normal`, whatever they hold."""

        def order() -> tf.Tensor:
            return self._normalizer.normalize(self._mark_order(texts)[0])

        ordered = tf.cond(self._is_disordered(normal), order, lambda: normal)
        return self._wordpieces.pieces(ordered).ids

    def tokenize_with_offsets(self, texts) -> TokensWithOffsets:
        """Tokenizes texts and tells where each token comes from.

        Args:
          texts: string [B], UTF-8.

        Returns:
          The ids, equal to those of a call, and spans in `texts`. A span
          reaches from the first to the last character that the token was
          made of; characters that normalization removes belong to no token.

        Raises:
          ValueError: the tokenizer reads special tokens in text.
        """
        if self._reads_specials:
            raise ValueError(
                "tokenize_with_offsets is for plain text; make a Tokenizer "
                "without special_tokens_in_text for it."
            )
        texts = _as_texts(texts)
        normal, sources = self._normalizer.normalize_with_offsets(texts)

        def plain():
            pieces = self._wordpieces.pieces(normal)
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
            pieces = self._wordpieces.pieces(again)
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
        time, see `tfbert.text.row_layout`. Of a text no more than
        `longest_text(max_length)` bytes are read, so that nobody can stop a
        server by a text of many megabytes.

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
        max_length = to_python(max_length)
        limit = longest_text(max_length)

        def ids(texts):
            texts = tf.strings.substr(_as_texts(texts), 0, limit)
            return self(texts)

        return lay_out(
            ids(text_a),
            None if text_b is None else ids(text_b),
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

    def decode(self, ids) -> str | list[str]:
        """The text of ids, as a Python string; of several rows a list.

        Args:
          ids: int [S], or [B, S], or rows of any lengths: lists, an array, a
            tensor or a RaggedTensor. [PAD], [CLS] and [SEP] are left out.

        Returns:
          words joined by spaces. Lower case and lost accents stay lost.

        Raises:
          UserError: they are no ids of this vocabulary.
        """
        rows = decoding.as_rows(ids, self.vocab_size)
        if rows and isinstance(rows[0], int):
            return self.decode([rows])[0]
        if not rows:
            return "" if getattr(ids, "ndim", 1) == 1 else []
        texts = self.detokenize(tf.ragged.constant(rows, tf.int32, 1))
        return [text.decode("utf-8") for text in texts.numpy()]

    @classmethod
    def from_folder(cls, folder: str | os.PathLike) -> "Tokenizer":
        """Reads what `save` wrote (a Hugging Face folder will do as well).

        Raises:
          UserError: the vocabulary is missing, no file says do_lower_case,
            or the files describe another tokenizer than this one.
        """
        folder = Path(folder)
        settings = tokenizer_settings.read(folder)
        if settings is None:
            raise UserError(
                f"Cannot read {folder / VOCABULARY_FILE}: there is none, and "
                f"no {tokenizer_settings.TOKENIZER_FILE} either."
            )
        return cls(
            settings.tokens,
            lowercase=tokenizer_settings.require_case(settings, folder),
            special_tokens_in_text=settings.special_tokens_in_text,
        )

    def save(self, folder: str | os.PathLike) -> None:
        """Writes vocab.txt and tokenizer_config.json into `folder`."""
        tokenizer_settings.write(folder, self._tokens, self.settings)

    def _is_rare(self, normal: tf.Tensor) -> tf.Tensor:
        """Whether the plain way may be wrong for each text, bool [B]."""
        pattern = long_word_pattern()
        if self._lowercase:
            pattern += "|" + disordered_pattern()
        return _matches(normal, pattern)

    def _is_disordered(self, normal: tf.Tensor) -> tf.Tensor:
        """Whether the order of marks may matter in the batch, bool."""
        if not self._lowercase:
            return tf.constant(False)
        return tf.reduce_any(_matches(normal, disordered_pattern()))


def longest_text(max_length: int) -> int:
    """The bytes of a text that `Tokenizer.encode` reads at most.

    64 for each token, ten times what English and Chinese take, and at least
    32,768. What is cut off could have changed the input only where words or
    white space are so long that fewer tokens come before it than fit. A
    character that is cut in two is no token.
    """
    return max(64 * max_length, 32768)


def _as_texts(texts) -> tf.Tensor:
    texts = tf.convert_to_tensor(texts, tf.string)
    if texts.shape.rank != 1:
        raise ValueError(
            f"The tokenizer takes a batch of texts, string [B]; got shape "
            f"{texts.shape}. Put a single text into a list."
        )
    return texts


def _matches(texts: tf.Tensor, pattern: str) -> tf.Tensor:
    return tf.strings.regex_full_match(texts, f"(?s).*(?:{pattern}).*")
