"""Sentences of words with tags -> rows of ids, and back to the words.

Legend: R rows (windows), S sequence, W words of all sentences, C tags.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow as tf

from tfbert.text.windows.sentences import (
    SentenceTokenizer,
    Surroundings,
    around,
)

# A label of tokens that are no word's first piece, and of tags that the
# model does not have.
NO_LABEL = -1
# Instead of the row of a word that is in none.
NO_ROW = -1
_OUTSIDE = "O"
# A logit that no model reaches.
_CERTAIN = 1e4

_SENTENCES_AT_ONCE = 1024
_LENGTH_MULTIPLE = 8
_FILLERS = {
    "input_ids": 0,
    "input_mask": 0,
    "segment_ids": 0,
    "label_ids": NO_LABEL,
}


@dataclass(frozen=True)
class TaggedWords:
    """Sentences, before or after their words were split further.

    Attributes:
      words: of each sentence.
      tags: of each word; BIO, or plain tags.
      marked: of each sentence the word whose pieces have segment 1, or -1.
    """

    words: list[list[str]]
    tags: list[list[str]]
    marked: list[int]


@dataclass(frozen=True)
class EncodedWords:
    """Sentences as arrays.

    Attributes:
      columns: input_ids int32, input_mask and segment_ids int8, label_ids
        int16 (batches have int32), [R, S].
      full_rows: 0; a sentence that does not fit into a row takes several, or
        is read around the marked word.
      sentences: what was encoded, its words as the rows have them.
      rows, places: int64 [W], where each word's first piece stands; NO_ROW
        where a marked word is so far away that the word is not read.
      extra_rows: how many rows there are more than sentences.
      outside: the place of O among the labels.
    """

    columns: dict[str, np.ndarray]
    sentences: TaggedWords
    rows: np.ndarray
    places: np.ndarray
    extra_rows: int
    outside: int = 0
    full_rows: int = 0

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    @property
    def sequence_length(self) -> int:
        """S."""
        return self.columns["input_ids"].shape[1]

    def with_length(self, length: int) -> "EncodedWords":
        """The same rows with S = `length`; only padding is cut off.

        Raises:
          ValueError: tokens would be cut off.
        """
        if self.columns["input_mask"][:, length:].any():
            raise ValueError(f"length {length} would cut tokens off")
        columns = {
            name: _with_width(array, length, _FILLERS[name])
            for name, array in self.columns.items()
        }
        return replace(self, columns=columns)

    def word_values(self, values: np.ndarray) -> list[np.ndarray]:
        """The values at the words' first pieces.

        Args:
          values: [R, S, ...], an output of a task; [R, S, C], logits, where
            words are not read: they are O.

        Returns:
          For each sentence [its words, ...].
        """
        counts = [len(words) for words in self.sentences.words]
        at = values[self.rows, self.places]
        unread = self.rows == NO_ROW
        if unread.any():
            at[unread] = 0
            at[unread, self.outside] = _CERTAIN
        return np.split(at, np.cumsum(counts)[:-1])


def encode(
    sentences: TaggedWords, tokenizer, labels: Sequence[str], max_length: int
) -> EncodedWords:
    """Lays sentences out in rows; S is what the longest needs.

    Args:
      sentences: words and tags.
      tokenizer: a Tokenizer.
      labels: the tags that the model has; of others no label is given.
      max_length: of a row; longer sentences take several, and those with a
        marked word one, see `around`.
    """
    cutter = SentenceTokenizer(tokenizer)
    parts: dict[str, list[np.ndarray]] = {name: [] for name in _FILLERS}
    rows, places = [], []
    number = {label: index for index, label in enumerate(labels)}
    count = extra = 0
    for some in _parts(len(sentences.words)):
        words, tags = sentences.words[some], sentences.tags[some]
        pieces = cutter.pieces(_ragged(words))
        near = around(
            pieces,
            tf.range(pieces.nrows()),
            tf.constant(sentences.marked[some], tf.int64),
            max_length,
        )
        windows = cutter.windows(near.pieces, max_length, near.marked)
        read = _numbers(pieces, near)
        batch = {name: value.numpy() for name, value in windows.batch.items()}
        at = windows.rows.values.numpy(), windows.columns.values.numpy()
        batch["label_ids"] = np.full_like(batch["input_ids"], NO_LABEL)
        ids = [number.get(tag, NO_LABEL) for line in tags for tag in line]
        batch["label_ids"][at] = np.array(ids, np.int64)[read]
        for name, array in batch.items():
            parts[name].append(array)
        for parts_of, values in ((rows, at[0] + count), (places, at[1])):
            parts_of.append(np.full(len(ids), NO_ROW))
            parts_of[-1][read] = values
        count += len(batch["input_ids"])
        extra += len(batch["input_ids"]) - len(words)
    return EncodedWords(
        _columns(parts, max_length),
        sentences,
        np.concatenate(rows),
        np.concatenate(places),
        extra,
        number.get(_OUTSIDE, 0),
    )


def _columns(
    parts: dict[str, list[np.ndarray]], max_length: int
) -> dict[str, np.ndarray]:
    """The arrays of all parts, joined and of one width."""
    longest = max(array.shape[1] for array in parts["input_ids"])
    longest = -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    kinds = {"input_ids": np.int32, "label_ids": np.int16}
    return {
        name: np.concatenate(
            [
                _with_width(
                    array, min(longest, max_length), _FILLERS[name]
                ).astype(kinds.get(name, np.int8))
                for array in arrays
            ]
        )
        for name, arrays in parts.items()
    }


def _numbers(pieces: tf.RaggedTensor, near: Surroundings) -> np.ndarray:
    """The numbers of the words in `near` among all words, int64."""
    starts = pieces.row_starts() + near.firsts
    return tf.ragged.range(
        starts, starts + near.pieces.row_lengths()
    ).values.numpy()


def split_further(sentences: TaggedWords, tokenizer) -> TaggedWords:
    """Splits words as raw text is split when it is served.

    The first part of a word has the word's tag, the others that which goes
    on with it: B-X becomes B-X I-X. A marked word's first part is marked.
    """
    cutter = SentenceTokenizer(tokenizer)
    words, tags, marked = [], [], []
    for some in _parts(len(sentences.words)):
        ragged = _ragged(sentences.words[some])
        pieces = cutter.split(ragged.values).words.to_list()
        parts = iter(pieces)
        for sentence, line, mark in zip(
            sentences.words[some],
            sentences.tags[some],
            sentences.marked[some],
            strict=True,
        ):
            new_words: list[str] = []
            new_tags: list[str] = []
            first = -1
            for place, (word, tag) in enumerate(
                zip(sentence, line, strict=True)
            ):
                own = [part.decode("utf-8") for part in next(parts)] or [word]
                if place == mark:
                    first = len(new_words)
                new_words += own
                inside = f"I-{tag[2:]}" if tag.startswith("B-") else tag
                new_tags += [tag] + [inside] * (len(own) - 1)
            words.append(new_words)
            tags.append(new_tags)
            marked.append(first)
    return TaggedWords(words, tags, marked)


def _ragged(words: list[list[str]]) -> tf.RaggedTensor:
    """string [B, None]; much faster than tf.ragged.constant."""
    flat = [word for sentence in words for word in sentence]
    return tf.RaggedTensor.from_row_lengths(
        tf.constant(flat, tf.string), [len(sentence) for sentence in words]
    )


def _parts(count: int) -> Iterator[slice]:
    for start in range(0, count, _SENTENCES_AT_ONCE):
        yield slice(start, start + _SENTENCES_AT_ONCE)


def _with_width(array: np.ndarray, width: int, filler: int) -> np.ndarray:
    array = np.ascontiguousarray(array[:, :width])
    missing = width - array.shape[1]
    return np.pad(array, ((0, 0), (0, missing)), constant_values=filler)
