"""A folder of records, opened: any row, found by arithmetic."""

import functools
import mmap
import os
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.text.vocabulary_files import vocabulary_hash
from tfrecords import keyed_order, layout
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.mapped_files import Maps
from tfrecords.storage.verify import Fault, verify
from tfrecords.storage.writer import file_sha256
from tfrecords.text import remote

ON_CORRUPT = ("error", "skip")


def check_on_corrupt(on_corrupt: str) -> None:
    """Raises UserError for a choice that there is not."""
    if on_corrupt not in ON_CORRUPT:
        raise UserError(
            f"on_corrupt {on_corrupt!r}: wanted one of {ON_CORRUPT}."
        )


class Records:
    """Rows of token ids in a folder that `tfbert records` wrote.

    Shards are memory-mapped: opening costs a look at each file's size, and a
    row costs one read wherever it lies. No file stays open.

    Attributes:
      path: the folder.
      manifest: its `Manifest`.
      num_rows: rows in all shards.
      sequence_length: S.
      vocabulary: the tokens, by id.
      classes: their `TokenClasses`.
      has_labels: rows carry a next-sentence label.
      bad_rows: int64, rows that cannot be read; empty unless they are skipped.
      faults: what is wrong with them.
    """

    def __init__(self, path: str | os.PathLike, on_corrupt: str = "error"):
        """Opens the folder and checks it against its manifest.

        Args:
          path: the folder.
          on_corrupt: "error" compares sizes and stops at what does not agree.
            "skip" reads every byte first; rows of damaged records then read
            as "[CLS] [SEP]", which has nothing to predict, and all others as
            ever, at the places that they have always had.

        Raises:
          UserError: a shard is missing, extra or of another size, or the
            vocabulary is not the one that the rows were made with, or no
            row can be read.
        """
        check_on_corrupt(on_corrupt)
        self.path = remote.local(path)
        self.manifest = Manifest.read(self.path)
        self.num_rows = self.manifest.rows
        self.sequence_length = self.manifest.sequence_length
        self.has_labels = self.manifest.label_columns > 0
        self.vocabulary = vocabulary_of(self.path, self.manifest)
        self.classes = TokenClasses.of(self.vocabulary)
        self._layout = self.manifest.layout
        self.faults: list[Fault] = []
        if on_corrupt == "skip":
            self.faults = verify(self.path, self.manifest, self.classes)
        else:
            self._check_shards()
        counts = [shard.rows for shard in self.manifest.shards]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        if self._starts[-1] != self.num_rows:
            raise UserError(
                f"{self.path}: the manifest counts {self.num_rows} rows, its "
                f"shards {self._starts[-1]}; build the records again."
            )
        paths = [self.path / shard.file for shard in self.manifest.shards]
        self._maps = Maps(paths, mmap.MADV_RANDOM)
        self._order = keyed_order.RowOrder(self.num_rows)
        self.bad_rows = self._rows_of(self.faults)
        if self.num_rows and len(self.bad_rows) == self.num_rows:
            raise UserError(
                f"none of the {self.num_rows} rows in {self.path} can be read "
                f"({self.faults[0]}). Copy the folder again, or build the "
                "records again."
            )

    def _check_shards(self) -> None:
        wrong = []
        for shard in self.manifest.shards:
            path = self.path / shard.file
            if not path.exists():
                wrong.append(f"{shard.file} is missing")
            elif (size := path.stat().st_size) != shard.bytes:
                wrong.append(
                    f"{shard.file} has {size} bytes, the manifest says "
                    f"{shard.bytes}"
                )
            elif shard.bytes != self._layout.shard_bytes(shard.rows):
                wrong.append(f"{shard.file}: size and rows do not agree")
        known = {shard.file for shard in self.manifest.shards}
        there = {path.name for path in self.path.glob(layout.SHARD_GLOB)}
        wrong += [f"{name} is not in it" for name in sorted(there - known)]
        if wrong:
            raise UserError(
                f"{self.path} does not agree with its {layout.MANIFEST_FILE}: "
                + "; ".join(wrong[:5])
                + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else "")
                + ". Copy the folder again, or build the records again."
            )

    def _rows_of(self, faults: list[Fault]) -> np.ndarray:
        """The rows that faults touch, int64, ascending."""
        numbers = {s.file: i for i, s in enumerate(self.manifest.shards)}
        spans = [np.zeros(0, np.int64)]
        for fault in faults:
            if fault.file not in numbers or not fault.rows:
                continue
            number = numbers[fault.file]
            first, end = self._starts[number], self._starts[number + 1]
            if fault.record is not None:
                first += fault.record * self._layout.rows_per_record
                # What stands behind the end of a file that is cut off is lost
                # with the record that it ends in.
                end = end if fault.to_end else first + fault.rows
            spans.append(np.arange(first, end))
        return np.unique(np.concatenate(spans))

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of what is read: sha256 of the manifest, hex."""
        return file_sha256(self.path / layout.MANIFEST_FILE)

    def rows_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows stand at positions of a run; see `order.rows_at`."""
        return self._order.rows_at(positions, seed)

    def rows(self, row_ids: np.ndarray) -> np.ndarray:
        """Reads rows as they are on disk.

        Args:
          row_ids: int64 [B], in [0, num_rows).

        Returns:
          int32 [B, S + labels].

        Raises:
          UserError: a row holds an id beyond the vocabulary, or a label that
            is neither 0 nor 1.
        """
        if len(self.bad_rows):
            return self._sound_rows(row_ids)
        return self._read(row_ids)

    def _sound_rows(self, row_ids: np.ndarray) -> np.ndarray:
        """As `rows`, with empty ones in the place of bad ones."""
        rows = np.full(
            (len(row_ids), self._layout.row_width), self.classes.pad_id
        )
        rows[:, :2] = self.classes.cls_id, self.classes.sep_id
        rows[:, self.sequence_length :] = 0
        sound = ~np.isin(row_ids, self.bad_rows)
        rows[sound] = self._read(row_ids[sound])
        return rows.astype(np.int32)

    def _read(self, row_ids: np.ndarray) -> np.ndarray:
        shards = np.searchsorted(self._starts, row_ids, side="right") - 1
        found = np.empty((len(row_ids), self._layout.row_bytes), np.uint8)
        places = row_ids - self._starts[shards]
        for number, chosen in keyed_order.groups(shards):
            count = self.manifest.shards[number].rows
            offsets = self._layout.row_offsets(places[chosen], count)
            found[chosen] = self._windows(number)[offsets]
        rows = found.view(self._layout.dtype).astype(np.int32)
        if rows.size and rows.max() >= self.classes.vocab_size:
            self._name_bad_row(row_ids, rows)
        labels = rows[:, self.sequence_length :]
        if labels.size and labels.max() > 1:
            self._name_bad_label(row_ids, labels)
        return rows

    def tokens(self, row_ids: np.ndarray) -> np.ndarray:
        """The token ids of rows, int32 [B, S]."""
        return self.rows(row_ids)[:, : self.sequence_length]

    def _windows(self, number: int) -> np.ndarray:
        """Shard `number` as uint8 [bytes, row_bytes]: a row at each offset."""
        data, width = self._maps[number], self._layout.row_bytes
        return np.ndarray(
            (len(data) - width + 1, width), np.uint8, data, strides=(1, 1)
        )

    def locate(self, row_id: int) -> tuple[str, int, int]:
        """(shard file, record in it, byte offset of the row in the file)."""
        number = int(np.searchsorted(self._starts, row_id, side="right")) - 1
        shard = self.manifest.shards[number]
        place = np.int64(row_id - self._starts[number])
        offset = int(self._layout.row_offsets(place, shard.rows))
        return shard.file, int(place) // self._layout.rows_per_record, offset

    def _name_bad_label(self, row_ids, labels) -> None:
        row = int(np.argmax(labels.max(axis=1) > 1))
        file, record, offset = self.locate(int(row_ids[row]))
        raise UserError(
            f"{self.path / file}, record {record}, byte {offset}: row "
            f"{row_ids[row]} has the label {labels[row].max()}, wanted 0 or "
            f"1. The file is damaged: `tfbert records verify {self.path}` "
            "checks all of it."
        )

    def _name_bad_row(self, row_ids, rows) -> None:
        size = self.classes.vocab_size
        row = int(np.argmax(rows.max(axis=1) >= size))
        file, record, offset = self.locate(int(row_ids[row]))
        raise UserError(
            f"{self.path / file}, record {record}, byte {offset}: row "
            f"{row_ids[row]} holds the token id {rows[row].max()}, the "
            f"vocabulary has {size}. The file is damaged: `tfbert records "
            f"verify {self.path}` checks all of it."
        )


def vocabulary_of(folder: Path, manifest: Manifest) -> list[str]:
    """The tokens beside some records.

    Raises:
      UserError: they are missing, or not those that the rows were made with.
    """
    facts = manifest.vocabulary
    path = folder / facts["file"]
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(
            f"{path} is missing: the folder is not whole. Copy all of it, "
            "or build the records again."
        ) from None
    tokens = text.removesuffix("\n").split("\n")
    digest = vocabulary_hash(tokens)
    if digest != facts["sha256"]:
        raise UserError(
            f"{path} is not the vocabulary that these rows were made with "
            f"(sha256 {digest[:12]}..., wanted {facts['sha256'][:12]}...)."
            " Put the right one back, or build the records again."
        )
    return tokens
