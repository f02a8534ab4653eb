"""Counting the words of any amount of text, exactly and in bounded memory.

Words are what the Tokenizer cuts into pieces: the same table of characters
splits the text. Counts that outgrow memory go to sorted files on disk, which
are merged when they are read; so the result depends neither on the order of
the text nor on how much memory there is.
"""

import collections
import functools
import heapq
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text

from tfbert.text.normalization.characters import character_map, split_map
from tfbert.text.normalization.combining_marks import (
    MarkOrder,
    disordered_pattern,
)
from tfbert.text.normalization.trie import build_model

# Text is normalized in batches of about so many bytes.
_BATCH_BYTES = 1 << 20


@functools.cache
def _words_model(lowercase: bool) -> bytes:
    normal, splits = character_map(lowercase), split_map()
    table = {code: text.translate(splits) for code, text in normal.items()}
    for code in splits:
        # An ideograph is set apart whatever it decomposes to.
        text = f" {normal.get(code, chr(code))} "
        table[code] = text.translate(splits)
    return build_model(table)


class WordSplitter:
    """Cuts text into words as the Tokenizer does before WordPiece."""

    def __init__(self, lowercase: bool):
        model = np.frombuffer(_words_model(lowercase), np.uint8)
        self._normalizer = tf_text.FastBertNormalizer(
            model_buffer=tf.constant(model)
        )
        self._mark_order = MarkOrder() if lowercase else None
        self._disordered = f"(?s).*{disordered_pattern()}.*"

    def split(self, text: bytes) -> list[bytes]:
        """The words of a text, normalized, UTF-8."""
        texts = tf.constant([text])
        normal = self._normalizer.normalize(texts)
        if self._mark_order and tf.strings.regex_full_match(
            normal[0], self._disordered
        ):
            normal = self._normalizer.normalize(self._mark_order(texts)[0])
        return normal.numpy()[0].split()


class WordCounts:
    """How often each word occurs.

    Use as a context manager: counts may wait in temporary files.

    Attributes:
      total: words counted, repetitions included.
    """

    def __init__(self, max_words_in_memory: int = 8_000_000):
        self._max_words = max_words_in_memory
        self._counts: collections.Counter[bytes] = collections.Counter()
        self._files: list = []
        self.total = 0

    def __enter__(self) -> "WordCounts":
        return self

    def __exit__(self, *_) -> None:
        for file in self._files:
            file.close()
        self._files.clear()

    def add(self, words: list[bytes]) -> None:
        """Counts words, which hold no white space."""
        self._counts.update(words)
        self.total += len(words)
        if len(self._counts) > self._max_words:
            self._spill()

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """Yields (word, count), each word once, in the order of its bytes."""
        sources = [_read_counts(file) for file in self._files]
        sources.append(sorted(self._counts.items()))
        last, total = None, 0
        for word, count in heapq.merge(*sources):
            if word != last:
                if last is not None:
                    yield last, total
                last, total = word, 0
            total += count
        if last is not None:
            yield last, total

    def _spill(self) -> None:
        file = tempfile.TemporaryFile(prefix="tfbert-words-")
        for word, count in sorted(self._counts.items()):
            file.write(b"%s %d\n" % (word, count))
        self._files.append(file)
        self._counts = collections.Counter()


def _read_counts(file) -> Iterator[tuple[bytes, int]]:
    file.seek(0)
    for line in file:
        word, count = line.split()
        yield word, int(count)


def count_words(
    texts: Iterable[bytes], lowercase: bool, counts: WordCounts
) -> None:
    """Adds the words of UTF-8 texts to `counts`."""
    splitter = WordSplitter(lowercase)
    held: list[bytes] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _BATCH_BYTES:
            counts.add(splitter.split(b"\n".join(held)))
            held, size = [], 0
    counts.add(splitter.split(b"\n".join(held)))
