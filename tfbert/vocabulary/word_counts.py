"""Counting the words of any amount of text, exactly and in bounded memory.

Words are what the Tokenizer cuts into pieces: the same table of characters
splits the text. Counts that outgrow memory go to sorted files on disk, which
are merged when they are read; so the result depends neither on the order of
the text nor on how much memory there is.
"""

import collections
import functools
import heapq
import io
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import IO

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

    def save(self, stream: IO[bytes]) -> None:
        """Writes what is counted, for `load`: words in no order, some twice.

        Raises:
          OSError: it cannot be written.
        """
        for file in self._files:
            file.seek(0)
            shutil.copyfileobj(file, stream, _BATCH_BYTES)
            file.seek(0, io.SEEK_END)
        _write_counts(stream, self._counts.items())

    def load(self, stream: IO[bytes], total: int) -> None:
        """Adds what `save` wrote, up to a line "end".

        Args:
          stream: at its first line.
          total: of the words, repetitions included.

        Raises:
          ValueError: it was not written so, or not to its end.
        """
        found = 0
        for line in stream:
            word, count = line.rstrip(b"\n").rpartition(b" ")[::2]
            if not word and count == b"end":
                break
            if not word:
                raise ValueError("a line is no count")
            found += int(count)
            self._counts[word] += int(count)
            if len(self._counts) > self._max_words:
                self._spill()
        else:
            raise ValueError("it is cut off")
        if found != total:
            raise ValueError(f"{found} words, and {total} were counted")
        self.total += total

    def _spill(self) -> None:
        file = tempfile.TemporaryFile(prefix="tfbert-words-")
        _write_counts(file, sorted(self._counts.items()))
        self._files.append(file)
        self._counts = collections.Counter()


def _write_counts(file: IO[bytes], counts: Iterable[tuple[bytes, int]]) -> None:
    for word, count in counts:
        file.write(b"%s %d\n" % (word, count))


def _read_counts(file) -> Iterator[tuple[bytes, int]]:
    file.seek(0)
    for line in file:
        word, count = line.split()
        yield word, int(count)


def count_words(
    texts: Iterable[bytes],
    lowercase: bool,
    counts: WordCounts,
    counted: Callable[[], None] = lambda: None,
) -> None:
    """Adds the words of UTF-8 texts to `counts`.

    Args:
      texts: the texts.
      lowercase: the tokenizer's setting.
      counts: what is added to.
      counted: called whenever all texts that were taken are counted.
    """
    splitter = WordSplitter(lowercase)
    held: list[bytes] = []
    size = 0
    for text in texts:
        held.append(text)
        size += len(text)
        if size >= _BATCH_BYTES:
            counts.add(splitter.split(b"\n".join(held)))
            held, size = [], 0
            counted()
    counts.add(splitter.split(b"\n".join(held)))
    counted()
