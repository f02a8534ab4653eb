"""Chunks of documents -> rows: the part of a build that runs in parallel."""

import dataclasses
import multiprocessing
import os
import signal
import threading

import numpy as np

from tfbert.startup_notices import hide_startup_notices
from tfrecords import layout
from tfrecords.build import pairs, rows
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.text.corpus import Document

# A chunk's documents are tokenized and packed together. The size is part of
# the format's promise: another one would give other (equally good) rows.
CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a worker needs to turn documents into rows.

    Attributes:
      vocabulary: path of vocab.txt, or its tokens.
      lowercase: the tokenizer's setting.
      sequence_length: S.
      objective: one of `spec.OBJECTIVES`.
      packed: let short pieces share rows.
      seed: for sentence pairs.
    """

    vocabulary: str | tuple[str, ...]
    lowercase: bool
    sequence_length: int
    objective: str
    packed: bool
    seed: int


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Documents of one split that are made into rows together.

    Attributes:
      split: "train" or "held_out".
      number: of the chunk in its split.
      texts: UTF-8.
      places: (file, line, part) of each.
    """

    split: str
    number: int
    texts: list[bytes]
    places: list[tuple[str, int, int]]


@dataclasses.dataclass(frozen=True)
class ChunkRows:
    """What became of a chunk.

    Attributes:
      chunk: its documents' places, without their texts.
      rows: the rows.
      lengths: int64 [D], tokens of each document.
      unknown: how many tokens are [UNK].
      text_bytes: of all documents.
    """

    chunk: Chunk
    rows: rows.Rows
    lengths: np.ndarray
    unknown: int
    text_bytes: int


class Chunks:
    """Gathers the documents of one split into chunks."""

    def __init__(self, split: str):
        self._split = split
        self._number = 0
        self._documents: list[Document] = []

    def add(self, document: Document) -> None:
        """Takes a document."""
        self._documents.append(document)

    def close(self) -> Chunk | None:
        """The documents that wait, as a chunk."""
        if not self._documents:
            return None
        chunk = make_chunk(self._split, self._number, self._documents)
        self._number += 1
        self._documents = []
        return chunk


def make_chunk(split: str, number: int, documents: list[Document]) -> Chunk:
    """The chunk of some documents, in their order."""
    texts = [document.text for document in documents]
    places = [(doc.file, doc.line, doc.part) for doc in documents]
    return Chunk(split, number, texts, places)


class RowMaker:
    """A tokenizer and what is needed to make rows of its ids."""

    def __init__(self, recipe: Recipe):
        # TensorFlow starts slowly: only where tokens are made.
        from tfbert.text.tokenizer import Tokenizer

        self._recipe = recipe
        self._tokenizer = Tokenizer(
            recipe.vocabulary, lowercase=recipe.lowercase
        )
        self._classes = TokenClasses.of(self._tokenizer.vocabulary)

    def __call__(self, chunk: Chunk) -> ChunkRows:
        """Tokenizes a chunk and makes its rows."""
        ragged = self._tokenizer(chunk.texts)
        ids = ragged.values.numpy()
        bounds = ragged.row_splits.numpy().astype(np.int64)
        recipe = self._recipe
        length = recipe.sequence_length
        if recipe.objective == layout.MASKED_LM:
            made = rows.cut(ids, bounds, length, self._classes, recipe.packed)
        else:
            made = pairs.make(
                ids,
                bounds,
                length,
                self._classes,
                turn=recipe.objective == layout.SENTENCE_ORDER,
                seed=recipe.seed,
                chunk=(chunk.split, chunk.number),
            )
        # Half the bytes on the way back to the builder.
        narrow = np.uint16 if self._classes.vocab_size <= 1 << 16 else np.uint32
        made = dataclasses.replace(made, values=made.values.astype(narrow))
        return ChunkRows(
            chunk=dataclasses.replace(chunk, texts=[]),
            rows=made,
            lengths=np.diff(bounds),
            unknown=int(np.count_nonzero(ids == self._classes.unk_id)),
            text_bytes=sum(map(len, chunk.texts)),
        )


_row_maker: RowMaker | None = None


def start_worker(recipe: Recipe) -> None:
    """Makes this process a worker: loads the tokenizer once."""
    global _row_maker
    # A builder that is killed cannot end its workers.
    threading.Thread(target=_end_with_builder, daemon=True).start()
    # Ctrl-C is the builder's to handle, and a GPU the trainer's to use. One
    # thread each: the processes are the parallelism.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    hide_startup_notices()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    _row_maker = RowMaker(recipe)


def _end_with_builder() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def make_rows(chunk: Chunk) -> ChunkRows:
    """`RowMaker.__call__` in a worker."""
    return _row_maker(chunk)
