"""One folder of records in the making: rows, counts and manifest."""

import collections
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.text import tokenizer_settings
from tfbert.text.vocabulary_files import vocabulary_hash
from tfrecords import keyed_order
from tfrecords.build import next_sentence
from tfrecords.build.chunks import ChunkRows
from tfrecords.build.plan import one_document
from tfrecords.build.settings import BuildSettings
from tfrecords.layout import MANIFEST_FILE, MASKED_LM, NEXT_SENTENCE, Layout
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.writer import ShardWriter

_LONGEST_DOCUMENTS = 10

# What counts, by the names of attributes.
_COUNTED = ("documents", "rows", "_seen", "_last", "_counted", "_sequences")
_COUNTED += ("_tokens", "_unknown", "_bytes", "_longest")

# Pairs wait here until all of them are there.
_PAIRS_FILE = "pairs"


class Split:
    """One folder of records in the making."""

    def __init__(
        self, settings: BuildSettings, tokens: list[str], folder: Path
    ):
        """Args:
        settings: what to make.
        tokens: the vocabulary, which is kept with the rows.
        folder: exists, and is empty, or holds what `go_on` goes on with.
        """
        self._settings = settings
        self._vocabulary = tokens
        self._folder = folder
        labels = 0 if settings.objective == MASKED_LM else 1
        self._layout = Layout.make(settings.max_length, labels, len(tokens))
        self._writer = ShardWriter(folder, self._layout, settings.shard_rows)
        self._pairs = None
        if settings.objective == NEXT_SENTENCE:
            classes = TokenClasses.of(tokens)
            path = folder / _PAIRS_FILE
            self._pairs = next_sentence.Pairs(path, self._layout, classes)
        # Documents that are rows, documents at all, and the last one's place.
        self.documents = self.rows = self._seen = 0
        self._last: tuple[str, int] | None = None
        self._counted = False
        self._sequences = self._tokens = self._unknown = self._bytes = 0
        self._lengths: collections.Counter = collections.Counter()
        self._longest: list[tuple[int, str, int]] = []

    def state(self) -> dict:
        """All there is to know behind the last chunk, as JSON has it.

        Raises:
          OSError: the rows do not get to the disk.
        """
        return {
            "writer": self._writer.state(),
            "pairs": None if self._pairs is None else self._pairs.state(),
            "lengths": {str(bits): n for bits, n in self._lengths.items()},
            **{name: getattr(self, name) for name in _COUNTED},
        }

    def go_on(self, state: dict) -> None:
        """Goes on behind the chunk at which `state` was asked for.

        Raises:
          OSError, ValueError: the rows before are not there.
        """
        self._writer.go_on(state["writer"])
        if self._pairs is not None:
            self._pairs.go_on(state["pairs"])
        for name in _COUNTED:
            setattr(self, name, state[name])
        self._last = self._last and tuple(self._last)
        self._longest = [tuple(entry) for entry in self._longest]
        self._lengths.update(
            {int(bits): n for bits, n in state["lengths"].items()}
        )

    def take(self, result: ChunkRows) -> None:
        """Writes rows and counts what they hold."""
        made = result.rows
        numbers = self._count(result)
        if self._pairs is None:
            self._writer.write(made.values)
        else:
            self._pairs.add(made.values, numbers[made.documents])
        self.rows += len(made.values)
        self._sequences += made.sequences
        self._tokens += made.tokens
        self._unknown += result.unknown
        self._bytes += result.text_bytes
        longest = []
        for (file, line, _), length in zip(
            result.chunk.places, result.lengths.tolist(), strict=True
        ):
            if length:
                self._lengths[length.bit_length() - 1] += 1
                longest.append((length, file, line))
        # Ties go to what was read first, whatever came with it.
        longest = self._longest + longest
        longest.sort(key=lambda entry: -entry[0])
        self._longest = longest[:_LONGEST_DOCUMENTS]

    def _count(self, result: ChunkRows) -> np.ndarray:
        """Counts the documents of a chunk; their numbers, int64 [D]."""
        numbers = []
        for place, length in zip(
            result.chunk.places, result.lengths.tolist(), strict=True
        ):
            if place[:2] != self._last:
                self._last = place[:2]
                self._seen += 1
                self._counted = False
            numbers.append(self._seen)
            if length and not self._counted:
                self._counted = True
                self.documents += 1
        return np.array(numbers, np.int64)

    def finish(self, name: str, rejected: dict, sources: list) -> Manifest:
        """Writes what is left, the vocabulary and the manifest.

        Raises:
          UserError: half of the pairs cannot be of two documents, because
            all are of one.
        """
        if self._pairs is not None:
            self._exchange(name)
        shards = self._writer.close()
        tokenizer = {"lowercase": self._settings.lowercase}
        tokenizer_settings.write(self._folder, self._vocabulary, tokenizer)
        settings, layout = self._settings, self._layout
        frame = 2 if settings.objective == MASKED_LM else 3
        # Imported here: the package's own module needs no record to be read.
        from tfbert import __version__

        manifest = Manifest(
            objective=settings.objective,
            packed=settings.packed,
            sequence_length=layout.sequence_length,
            label_columns=layout.label_columns,
            token_bytes=layout.token_bytes,
            rows_per_record=layout.rows_per_record,
            vocabulary={
                "file": "vocab.txt",
                "size": len(self._vocabulary),
                "sha256": vocabulary_hash(self._vocabulary),
            },
            tokenizer=tokenizer,
            split=name,
            held_out_share=settings.held_out,
            seed=settings.seed,
            rows=self.rows,
            sequences=self._sequences,
            documents=self.documents,
            tokens=self._tokens,
            special_tokens=frame * self._sequences,
            unknown_tokens=self._unknown,
            text_bytes=self._bytes,
            document_lengths={
                str(bits): self._lengths[bits] for bits in sorted(self._lengths)
            },
            longest_documents=[
                {"file": file, "line": line, "tokens": tokens}
                for tokens, file, line in self._longest
            ],
            rejected=rejected,
            sources=sources,
            shards=tuple(shards),
            builder=__version__,
        )
        path = self._folder / MANIFEST_FILE
        path.write_text(manifest.to_json(), encoding="utf-8")
        return manifest

    def _exchange(self, name: str) -> None:
        key = keyed_order.fold(
            keyed_order.fold(self._settings.seed, 0x9E27), len(name)
        )
        self._tokens, changed = self._pairs.write(self._writer, key)
        if self.rows and not changed:
            raise UserError(one_document(name, *self._last))
