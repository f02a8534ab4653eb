"""Words of sentences -> rows of BERT's input, and where each word stands.

A word is answered for at its first piece (Devlin et al. 2018, section 5.3).
Every word has one: where normalization leaves nothing of a word (a control
character, say), [UNK] stands in for it, so that no other word is shifted.

A sentence that is longer than a row is cut into windows that overlap by half
and more; each word is answered for by the window in which it has context on
both sides. So no word is lost, however long the sentence. Windows are
arithmetic on pieces: the same operations make rows for training and in the
exported graph.

Legend: B sentences, R rows (windows), S sequence, W words of all sentences.
"""

from typing import NamedTuple

import tensorflow as tf

from tfbert.errors import UserError
from tfbert.numpy_scalars import to_python
from tfbert.text.spans import Characters
from tfbert.text.vocabulary_files import CONTINUATION

# More of one word does not change its first piece, and little else.
_WORD_BYTES = 1024


class Windows(NamedTuple):
    """Rows, and the place of each word in them.

    Attributes:
      batch: input_ids, input_mask and segment_ids, int32 [R, S].
      rows, columns: RaggedTensors int64 [B, None]: where the first piece of
        each word stands in the window that answers for it.
    """

    batch: dict[str, tf.Tensor]
    rows: tf.RaggedTensor
    columns: tf.RaggedTensor


class TextWords(NamedTuple):
    """The words of texts, each a RaggedTensor [B, None, ...].

    Attributes:
      pieces: int32 [B, None, None], the pieces of each word.
      words: string, as in the text; U+FFFD for bytes that are no UTF-8.
      starts, ends: int64, half-open spans in characters (code points).
    """

    pieces: tf.RaggedTensor
    words: tf.RaggedTensor
    starts: tf.RaggedTensor
    ends: tf.RaggedTensor


class Surroundings(NamedTuple):
    """Marked words with what is around them, as far as one row has room.

    Attributes:
      pieces: int32 [E, None, None], of sentences, words, pieces.
      firsts: int64 [E], the number of the first word in its sentence.
      marked: int64 [E], the number of the marked word among these; -1: none.
    """

    pieces: tf.RaggedTensor
    firsts: tf.Tensor
    marked: tf.Tensor


class SentenceTokenizer(tf.Module):
    """Cuts words into pieces, and texts into words.

    Args:
      tokenizer: a Tokenizer.

    Raises:
      UserError: it reads special tokens in text, and so cannot tell where
        words stand.
    """

    def __init__(self, tokenizer):
        super().__init__(name="sentence_tokenizer")
        if tokenizer.settings.get("special_tokens_in_text"):
            raise UserError(
                "labels of words need a tokenizer of plain text, but this one "
                "reads special tokens in text; set special_tokens_in_text to "
                "false in a copy of its tokenizer_config.json, and give the "
                "folder as data.tokenizer"
            )
        self.tokenizer = tokenizer
        with tf.init_scope(), tf.device("CPU:0"):
            self._continues = tf.constant(
                [t.startswith(CONTINUATION) for t in tokenizer.vocabulary]
            )

    def pieces(self, words: tf.RaggedTensor) -> tf.RaggedTensor:
        """Cuts words that are apart already.

        Args:
          words: string [B, None]. Of a word no more than 1,024 bytes are
            read.

        Returns:
          int32 [B, None, None]; at least one piece for each word.
        """
        flat = tf.strings.substr(words.values, 0, _WORD_BYTES)
        pieces = self.tokenizer(flat)  # [W, None]
        nothing = tf.cast(pieces.row_lengths() == 0, tf.int64)
        stand_in = tf.RaggedTensor.from_row_lengths(
            tf.fill([tf.reduce_sum(nothing)], self.tokenizer.unk_id), nothing
        )
        return words.with_values(tf.concat([pieces, stand_in], axis=1))

    def split(self, texts: tf.Tensor) -> TextWords:
        """Cuts texts into words as BERT's basic tokenizer does.

        Words end at white space, punctuation and ideographs (Devlin et al.
        2018, `BasicTokenizer` of google-research/bert).

        Args:
          texts: string [B], any bytes.
        """
        tokens = self.tokenizer.tokenize_with_offsets(texts)
        ids = tokens.ids.values
        begins = ~tf.gather(self._continues, ids)
        # The first and the last piece of each word. [W]
        first = tf.where(begins)[:, 0]
        until = tf.concat([first, [tf.size(ids, tf.int64)]], axis=0)
        last = until[1:] - 1
        text = tf.gather(tokens.ids.value_rowids(), first)
        starts = tf.gather(tokens.character_starts.values, first)
        ends = tf.gather(tokens.character_ends.values, last)
        words = Characters(texts).cut(text, starts, ends)

        def by_text(values):
            return tf.RaggedTensor.from_value_rowids(
                values, text, tokens.ids.nrows(), validate=False
            )

        return TextWords(
            by_text(
                tf.RaggedTensor.from_row_splits(
                    ids, tf.concat([[0], until[1:]], axis=0), validate=False
                )
            ),
            by_text(words),
            by_text(starts),
            by_text(ends),
        )

    def windows(
        self,
        pieces: tf.RaggedTensor,
        max_length: int,
        marked: tf.Tensor | None = None,
    ) -> Windows:
        """Lays sentences out in rows of at most `max_length` tokens.

        Args:
          pieces: int32 [B, None, None], of sentences, words, pieces.
          max_length: of a row, with [CLS] and [SEP]; at least 3.
          marked: integers [B], a word of each sentence whose pieces have
            segment 1 (where a window has them); -1: none.

        Raises:
          ValueError: `max_length` leaves no room for a piece.
        """
        if max_length < 3:
            raise ValueError(
                f"max_length is {max_length}; [CLS], a piece and [SEP] need 3."
            )
        room = to_python(max_length) - 2
        stride = max(room // 2, 1)
        word_splits = pieces.values.row_splits
        splits = tf.gather(word_splits, pieces.row_splits)  # [B + 1]
        sizes = splits[1:] - splits[:-1]
        excess = tf.maximum(sizes - room, 0)
        counts = 1 + (excess + stride - 1) // stride
        first_row = tf.cumsum(counts, exclusive=True)

        sentence = pieces.value_rowids()  # [W]
        place = word_splits[:-1] - tf.gather(splits, sentence)
        # Window k answers for the middle of its pieces, of width `stride`;
        # the first and the last one also for what is before and after.
        window = tf.clip_by_value(
            (place - (room - stride) // 2) // stride,
            0,
            tf.gather(counts, sentence) - 1,
        )
        rows = tf.gather(first_row, sentence) + window
        columns = place - window * stride + 1

        owner = tf.repeat(tf.range(pieces.nrows()), counts)  # [R]
        number = tf.range(tf.size(owner, tf.int64)) - tf.gather(
            first_row, owner
        )
        start = number * stride
        batch = self._rows(
            pieces,
            tf.gather(splits, owner) + start,
            tf.minimum(tf.gather(sizes, owner) - start, room),
            _marks(pieces, marked),
        )
        rows, columns = (
            tf.RaggedTensor.from_row_splits(
                values, pieces.row_splits, validate=False
            )
            for values in (rows, columns)
        )
        return Windows(batch, rows, columns)

    def _rows(self, pieces, starts, lengths, marks) -> dict[str, tf.Tensor]:
        """Rows of `lengths` [R] pieces from `starts` [R] on."""
        flat = pieces.flat_values
        # Of no rows the maximum is the smallest integer.
        width = tf.maximum(tf.reduce_max(lengths), 0) + 2
        place = tf.range(width)[None]  # [1, S]
        lengths, starts = lengths[:, None], starts[:, None]
        inside = (place > 0) & (place <= lengths)
        # What is no piece reads the padding after the last one.
        source = tf.where(inside, starts + place - 1, tf.size(flat, tf.int64))
        tokenizer = self.tokenizer
        ids = tf.gather(tf.concat([flat, [tokenizer.pad_id]], axis=0), source)
        ids = tf.where(place == lengths + 1, tokenizer.sep_id, ids)
        ids = tf.where(place == 0, tokenizer.cls_id, ids)
        return {
            "input_ids": ids,
            "input_mask": tf.cast(place <= lengths + 1, tf.int32),
            "segment_ids": tf.gather(tf.concat([marks, [0]], axis=0), source),
        }


def around(
    pieces: tf.RaggedTensor,
    sentences: tf.Tensor,
    marked: tf.Tensor,
    max_length: int,
) -> Surroundings:
    """Cuts out what a row of `max_length` tokens holds around marked words.

    What a model reads in a row without the mark tells nothing of the marked
    word, so a long sentence has one row for it, in whose middle the word
    stands, or nearer to an end where the sentence ends. A word is in it whose
    first piece is.

    Args:
      pieces: int32 [B, None, None], of sentences, words, pieces.
      sentences: int64 [E], in which sentence each marked word is.
      marked: integers [E], its number in the sentence; -1: none, and the
        whole sentence is given.
      max_length: of a row, with [CLS] and [SEP].
    """
    room = to_python(max_length) - 2
    splits = pieces.values.row_splits  # [W + 1]
    marked = tf.cast(marked, tf.int64)
    words = tf.gather(pieces.row_splits, sentences)
    after = tf.gather(pieces.row_splits, sentences + 1)
    whole = (marked < 0) | (marked >= after - words)
    begins, ends = tf.gather(splits, words), tf.gather(splits, after)
    # The first and the last piece of a row, its end exclusive. [E]
    middle = tf.gather(
        splits, words + tf.where(whole, tf.zeros_like(marked), marked)
    )
    starts = tf.clip_by_value(
        middle - (room - 1) // 2, begins, tf.maximum(ends - room, begins)
    )
    starts = tf.where(whole, begins, starts)
    ends = tf.where(whole, ends, tf.minimum(starts + room, ends))
    firsts = tf.searchsorted(splits, starts, out_type=tf.int64)
    untils = tf.searchsorted(splits, ends, out_type=tf.int64)
    numbers = tf.ragged.range(firsts, untils)  # [E, None]
    own = tf.gather(splits, numbers.values)
    until = tf.gather(splits, numbers.values + 1)
    # Of the last word there may be more pieces than there is room for.
    until = tf.minimum(until, tf.gather(ends, numbers.value_rowids()))
    places = tf.ragged.range(own, until)  # [words, None]
    cut = places.with_values(tf.gather(pieces.flat_values, places.values))
    return Surroundings(
        numbers.with_values(cut),
        firsts - words,
        tf.where(whole, marked, marked + words - firsts),
    )


def _marks(pieces: tf.RaggedTensor, marked: tf.Tensor | None) -> tf.Tensor:
    """1 for the pieces of the marked words, 0 for the others, int32."""
    words = pieces.values
    if marked is None:
        return tf.zeros_like(words.values)
    sentence = pieces.value_rowids()
    number = tf.range(words.nrows()) - tf.gather(pieces.row_splits, sentence)
    chosen = number == tf.gather(tf.cast(marked, tf.int64), sentence)
    return tf.cast(tf.gather(chosen, words.value_rowids()), tf.int32)
