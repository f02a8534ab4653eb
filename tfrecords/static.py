"""Records of the 2018 format, masked once and for all by other tools.

Files of `tf.train.Example`s with `input_ids`, `input_mask`, `segment_ids`,
`masked_lm_positions`, `masked_lm_ids`, `masked_lm_weights` and perhaps
`next_sentence_labels`, as Google's create_pretraining_data.py, NVIDIA's and
Model Garden's scripts write them, are read as they are. Their folder needs a
vocab.txt (and tokenizer_config.json for a cased one) beside them, since the
files do not say what their ids mean.
"""

import dataclasses
import mmap
import os
import struct
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfrecords import order, spec
from tfrecords.records import Records
from tfrecords.token_classes import TokenClasses

VOCABULARY_FILE = "vocab.txt"

# Names that newer scripts of Model Garden give to the same things.
_OTHER_NAMES = {
    spec.INPUT_IDS: "input_word_ids",
    spec.SEGMENT_IDS: "input_type_ids",
}
_KEYS = (
    spec.INPUT_IDS,
    spec.INPUT_MASK,
    spec.SEGMENT_IDS,
    spec.MASKED_LM_POSITIONS,
    spec.MASKED_LM_IDS,
    spec.MASKED_LM_WEIGHTS,
)
# What may lie in the folder besides records.
_NO_RECORDS = (".txt", ".json", ".md", ".yaml", ".gz")


@dataclasses.dataclass(frozen=True)
class StaticFacts:
    """What a manifest would say, as far as a trainer asks."""

    objective: str
    packed: bool = False


class StaticRecords:
    """Masked rows in files of the 2018 format, found by their number.

    Attributes:
      path: the folder.
      manifest: `StaticFacts`.
      num_rows: records in all files, one row each.
      sequence_length: S.
      max_predictions: P, as it was when the files were made.
      vocabulary: the tokens, by id.
      classes: their `TokenClasses`.
      has_labels: rows carry a next-sentence label.
    """

    def __init__(self, path: str | os.PathLike):
        """Finds where every record lies.

        Raises:
          UserError: there are no such records, or no vocabulary.
        """
        self.path = Path(path)
        self.vocabulary = self._read_vocabulary()
        self.classes = TokenClasses.of(self.vocabulary)
        self._files = _record_files(self.path)
        self._data = [_mapped(file) for file in self._files]
        indices = [
            _scan(data, file)
            for data, file in zip(self._data, self._files, strict=True)
        ]
        counts = [len(index) for index in indices]
        self._offsets = np.concatenate(indices)  # [rows, (offset, length)]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self.num_rows = len(self._offsets)
        self._names, sizes = self._read_first()
        self.sequence_length = sizes[spec.INPUT_IDS]
        self.max_predictions = sizes[spec.MASKED_LM_POSITIONS]
        self.has_labels = spec.NEXT_SENTENCE_LABELS in sizes
        self.manifest = StaticFacts(
            spec.NEXT_SENTENCE if self.has_labels else spec.MASKED_LM
        )
        self._sizes = sizes

    def _read_vocabulary(self) -> list[str]:
        path = self.path / VOCABULARY_FILE
        try:
            return (
                path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
            )
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.path} has neither a {spec.MANIFEST_FILE} (records of "
                f"`tfbert records`) nor a {VOCABULARY_FILE} (records of the "
                "2018 format need the vocabulary that they were made with "
                "beside them). Name a folder of records, or copy the "
                "vocabulary there."
            ) from None

    def _read_first(self) -> tuple[dict[str, str], dict[str, int]]:
        """({key: name in the files}, {key: length}) of the first record."""
        import tensorflow as tf

        try:
            example = tf.train.Example.FromString(self._serialised(0))
        except Exception as error:
            raise self._bad(0, f"it is no tf.train.Example ({error})") from None
        features = example.features.feature
        names, sizes = {}, {}
        for key in (*_KEYS, spec.NEXT_SENTENCE_LABELS):
            name = key if key in features else _OTHER_NAMES.get(key, key)
            if name not in features:
                if key == spec.NEXT_SENTENCE_LABELS:
                    continue
                raise self._bad(
                    0,
                    f"it has no {key!r}, only {sorted(features)}; wanted the "
                    "features of the 2018 format",
                )
            names[key] = name
            feature = features[name]
            sizes[key] = len(feature.int64_list.value) or len(
                feature.float_list.value
            )
        return names, sizes

    def _serialised(self, row: int) -> bytes:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        offset, length = self._offsets[row]
        return self._data[number][offset : offset + length]

    def rows_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows stand at positions of a run; see `order.rows_at`."""
        return order.rows_at(positions, self.num_rows, seed)

    def batch(self, row_ids: np.ndarray) -> dict[str, np.ndarray]:
        """Reads rows with the masks that they were written with.

        Args:
          row_ids: int64 [B].

        Returns:
          The batch keys of `spec`.

        Raises:
          UserError: a record is damaged, of another shape than the first, or
            holds an id beyond the vocabulary.
        """
        import tensorflow as tf

        features = {
            name: tf.io.FixedLenFeature(
                [self._sizes[key]],
                tf.float32 if key == spec.MASKED_LM_WEIGHTS else tf.int64,
            )
            for key, name in self._names.items()
        }
        data = [self._serialised(int(row)) for row in row_ids]
        try:
            parsed = tf.io.parse_example(data, features)
        except tf.errors.InvalidArgumentError:
            self._name_bad(row_ids, data, features)
        made = {
            key: parsed[name].numpy().astype(_type_of(key))
            for key, name in self._names.items()
        }
        self._check(made, row_ids)
        if self.has_labels:
            key = spec.NEXT_SENTENCE_LABELS
            made[key] = made[key].reshape(-1)
        return made

    def _check(self, made, row_ids) -> None:
        size = self.classes.vocab_size
        for key, limit in (
            (spec.INPUT_IDS, size),
            (spec.MASKED_LM_IDS, size),
            (spec.MASKED_LM_POSITIONS, self.sequence_length),
        ):
            values = made[key]
            bad = ((values < 0) | (values >= limit)).any(axis=1)
            if bad.any():
                place = int(np.argmax(bad))
                raise self._bad(
                    int(row_ids[place]),
                    f"{key} holds {values[place].max()}, wanted less than "
                    f"{limit}; is {VOCABULARY_FILE} the right one",
                )

    def _name_bad(self, row_ids, data, features) -> None:
        import tensorflow as tf

        for row, one in zip(row_ids.tolist(), data, strict=True):
            try:
                tf.io.parse_example([one], features)
            except tf.errors.InvalidArgumentError as error:
                raise self._bad(row, error.message) from None

    def _bad(self, row: int, problem: str) -> UserError:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        offset = int(self._offsets[row][0]) - spec.LENGTH_BYTES
        record = row - int(self._starts[number])
        return UserError(
            f"{self._files[number]}, record {record}, byte {offset}: {problem}."
        )


def _type_of(key: str) -> type:
    return np.float32 if key == spec.MASKED_LM_WEIGHTS else np.int32


def _record_files(folder: Path) -> list[Path]:
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.suffix not in _NO_RECORDS
        and not path.name.startswith(".")
        and path.stat().st_size
    ]
    if not files:
        raise UserError(
            f"no records in {folder}: neither a {spec.MANIFEST_FILE} nor "
            "TFRecord files. `tfbert records` makes records from text."
        )
    return files


def _mapped(path: Path) -> mmap.mmap:
    with open(path, "rb") as stream:
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)


def _scan(data: mmap.mmap, path: Path) -> np.ndarray:
    """int64 [N, 2]: where each record's data begins, and its length."""
    found = []
    offset, size = 0, len(data)
    read_length = struct.Struct("<Q").unpack_from
    frame = spec.LENGTH_BYTES + spec.CHECKSUM_BYTES
    while offset < size:
        length = size
        if offset + frame <= size:
            (length,) = read_length(data, offset)
        if offset + frame + length > size:
            raise UserError(
                f"{path}, record {len(found)}, byte {offset}: the file ends "
                "inside the record, or is no TFRecord file. Copy it again, or "
                "take it out of the folder."
            )
        found.append((offset + spec.LENGTH_BYTES, length))
        offset += frame + length
    return np.array(found, np.int64)


def open_records(path: str | os.PathLike) -> Records | StaticRecords:
    """Opens a folder of records, of `tfbert records` or the 2018 format.

    Raises:
      UserError: it is neither.
    """
    if (Path(path) / spec.MANIFEST_FILE).exists():
        return Records(path)
    return StaticRecords(path)
