"""Records of the 2018 format, masked once and for all by other tools.

Files of `tf.train.Example`s with `input_ids`, `input_mask`, `segment_ids`,
`masked_lm_positions`, `masked_lm_ids`, `masked_lm_weights` and perhaps
`next_sentence_labels`, as Google's create_pretraining_data.py, NVIDIA's and
Model Garden's scripts write them, are read as they are. Their folder needs a
vocab.txt (and tokenizer_config.json for a cased one) beside them, since the
files do not say what their ids mean.
"""

import dataclasses
import functools
import hashlib
import os
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.text.tokenizer_settings import read_case
from tfbert.text.vocabulary_case import is_lowercase
from tfrecords import keyed_order, layout
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage import frames
from tfrecords.storage.legacy_examples import BadExample, Form, find_odd
from tfrecords.storage.manifest import check_folder
from tfrecords.storage.reader import Records, check_on_corrupt
from tfrecords.storage.verify import Fault
from tfrecords.text import remote

VOCABULARY_FILE = "vocab.txt"

# Rows parsed at once where all of them are checked.
_CHECKED_AT_ONCE = 1024

# What may lie in the folder besides records.
_NO_RECORDS = (".txt", ".json", ".md", ".yaml")
_COMPRESSED = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class ObjectiveAndPacking:
    """What rows were made for, and whether several texts share one.

    As much of a manifest as a trainer asks of; these records have none.
    """

    objective: str
    packed: bool = False


class StaticRecords:
    """Masked rows in files of the 2018 format, found by their number.

    Attributes:
      path: the folder.
      manifest: `ObjectiveAndPacking`.
      num_rows: records in all files, one row each.
      sequence_length: S.
      max_predictions: P, as it was when the files were made.
      vocabulary: the tokens, by id.
      classes: their `TokenClasses`.
      lowercase: whether the vocabulary is an uncased one.
      has_labels: rows carry a next-sentence label.
      bad_rows: int64, rows that cannot be read; empty unless they are skipped.
      faults: what is wrong with them.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        vocab: str | os.PathLike | None = None,
        on_corrupt: str = "error",
    ):
        """Finds where every record lies.

        Args:
          path: the folder.
          vocab: the vocabulary; None: the vocab.txt in the folder.
          on_corrupt: "error" stops at a record that cannot be read. "skip"
            reads every byte first; damaged records then read as
            "[CLS] [SEP]", which has nothing to predict.

        Raises:
          UserError: there are no such records, or no vocabulary.
        """
        check_on_corrupt(on_corrupt)
        self.path = remote.local(path)
        self._vocab = Path(vocab or self.path / VOCABULARY_FILE)
        self.vocabulary = self._read_vocabulary()
        self.classes = TokenClasses.of(self.vocabulary)
        self.lowercase = _lowercase(self._vocab, self.vocabulary)
        self._files = _record_files(self.path, self._vocab)
        self._data = frames.OpenFiles(self._files)
        self.faults: list[Fault] = []
        indices = [
            self._scan(data, file, on_corrupt)
            for data, file in zip(self._data, self._files, strict=True)
        ]
        counts = [len(index) for index in indices]
        self._offsets = np.concatenate(indices)  # [rows, (offset, length)]
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self.num_rows = len(self._offsets)
        lost = self._offsets[:, 1] == frames.DAMAGED
        self.bad_rows = np.flatnonzero(lost)
        if lost.all():
            raise UserError(
                f"none of the {len(lost)} records in {self.path} can be read "
                f"({self.faults[0]}). Copy the folder again, or name another."
            )
        self._form = self._form_of(int(np.argmin(lost)))
        sizes = self._form.sizes
        self.sequence_length = sizes[layout.INPUT_IDS]
        self.max_predictions = sizes[layout.MASKED_LM_POSITIONS]
        self.has_labels = layout.NEXT_SENTENCE_LABELS in sizes
        self.manifest = ObjectiveAndPacking(
            layout.NEXT_SENTENCE if self.has_labels else layout.MASKED_LM
        )
        if on_corrupt == "skip":
            self._find_odd_rows()
        else:
            self._check_first_rows()

    def _scan(self, data, file: Path, on_corrupt: str) -> np.ndarray:
        if on_corrupt == "error":
            return frames.scan(data, file)
        index, faults = frames.scan_whole(data, file)
        self.faults += faults
        return index

    def _check_first_rows(self) -> None:
        """Reads the first row of each file.

        Folders of several lengths, or with another vocabulary, are known
        before anything waits for their batches.
        """
        firsts = np.unique(self._starts[:-1][np.diff(self._starts) > 0])
        for some in np.array_split(firsts, -(-len(firsts) // _CHECKED_AT_ONCE)):
            self._read(some)

    def _find_odd_rows(self) -> None:
        """Adds sound records that are none of ours to the bad rows."""
        sound = np.setdiff1d(np.arange(self.num_rows), self.bad_rows)
        odd = []
        for first in range(0, len(sound), _CHECKED_AT_ONCE):
            some = sound[first : first + _CHECKED_AT_ONCE]
            try:
                self._read(some)
                continue
            except UserError:
                pass
            for row in some.tolist():
                try:
                    self._read(np.array([row]))
                except UserError as error:
                    odd.append(row)
                    file, record, offset = self._place(row)
                    problem = str(error).split(": ", 1)[-1].rstrip(".")
                    self.faults.append(
                        Fault(file.name, problem, record, offset, 1)
                    )
        self.bad_rows = np.union1d(self.bad_rows, np.array(odd, np.int64))

    def _read_vocabulary(self) -> list[str]:
        try:
            data = self._vocab.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"{self.path} has no {layout.MANIFEST_FILE} (records of "
                "`tfbert records`), and records of the 2018 format need the "
                f"vocabulary that they were made with: {self._vocab} is not "
                "there. Name a folder of records, or the vocabulary."
            ) from None
        except OSError as error:
            raise UserError(
                f"{self._vocab} cannot be read: {error.strerror}. Records of "
                "the 2018 format need the vocabulary that they were made with."
            ) from None
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data[: error.start].count(b"\n") + 1
            raise UserError(
                f"{self._vocab}:{line}: not UTF-8 (byte "
                f"0x{data[error.start]:02x}). Take the vocabulary that the "
                "records were made with; do not remove the line, as its "
                "number is a token's id."
            ) from None
        return text.removesuffix("\n").split("\n")

    def _form_of(self, row: int) -> Form:
        """The form of record `row`."""
        try:
            return Form.of(self._serialised(row))
        except BadExample as error:
            raise self._bad(row, error.problem) from None

    def _serialised(self, row: int) -> bytes:
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        offset, length = self._offsets[row]
        return self._data[number][offset : offset + length].tobytes()

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of what is read, sha256, hex.

        Of each record its length and the checksum of its content that the
        file has, in their order: other names, or other borders between files,
        change nothing, and another bit in a record does.
        """
        digest = hashlib.sha256()
        for number, data in enumerate(self._data):
            own = slice(*self._starts[number : number + 2])
            index = self._offsets[own]
            given = frames.checksums(data, index)
            digest.update(np.stack([index[:, 1], given], axis=1).tobytes())
        return digest.hexdigest()

    def rows_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows stand at positions of a run; see `order.rows_at`."""
        return keyed_order.rows_at(positions, self.num_rows, seed)

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
        sound = ~np.isin(row_ids, self.bad_rows)
        if sound.all():
            return self._read(row_ids)
        read = self._read(row_ids[sound]) if sound.any() else self._form.empty()
        made = {}
        for key, values in read.items():
            shape = (len(row_ids), *values.shape[1:])
            made[key] = np.zeros(shape, values.dtype)
            made[key][sound] = values
        made[layout.INPUT_IDS][~sound] = self.classes.pad_id
        made[layout.INPUT_IDS][~sound, :2] = (
            self.classes.cls_id,
            self.classes.sep_id,
        )
        made[layout.INPUT_MASK][~sound, :2] = 1
        return made

    def _read(self, row_ids: np.ndarray) -> dict[str, np.ndarray]:
        """As `batch`, of rows that are all there, one or more."""
        data = [self._serialised(int(row)) for row in row_ids]
        self._check_bits(row_ids)
        try:
            made = self._form.parse(data)
        except BadExample as error:
            raise self._bad(int(row_ids[error.place]), error.problem) from None
        odd = find_odd(made, self.classes.vocab_size)
        if odd is not None:
            row, problem = odd
            if problem.startswith((layout.INPUT_IDS, layout.MASKED_LM_IDS)):
                problem += f"; is {self._vocab} the right one"
            raise self._bad(int(row_ids[row]), problem)
        return made

    def _check_bits(self, row_ids: np.ndarray) -> None:
        """Raises UserError if the bits of a record have changed."""
        files = np.searchsorted(self._starts, row_ids, side="right") - 1
        for number in np.unique(files):
            rows = row_ids[files == number]
            bad = frames.bad_data(self._data[number], self._offsets[rows])
            if len(bad):
                raise self._bad(
                    int(rows[bad[0]]),
                    f"{frames.BAD_CHECKSUM}. Copy the file again, or "
                    "leave such records out with data.on_corrupt: skip",
                )

    def _place(self, row: int) -> tuple[Path, int, int]:
        """(file, record in it, byte offset of the record)."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        offset = int(self._offsets[row][0]) - layout.LENGTH_BYTES
        return self._files[number], row - int(self._starts[number]), offset

    def _bad(self, row: int, problem: str) -> UserError:
        file, record, offset = self._place(row)
        return UserError(f"{file}, record {record}, byte {offset}: {problem}.")


def _lowercase(vocab: Path, tokens: list[str]) -> bool:
    """Whether text is lower-cased before it meets this vocabulary.

    tokenizer_config.json beside it says so; without one, the tokens tell
    (`is_lowercase`), and where they do not, it is uncased, as by default.

    Raises:
      UserError: the file is broken, or describes another tokenizer.
    """
    said = read_case(vocab.parent)
    return is_lowercase(tokens) is not False if said is None else said


def _record_files(folder: Path, vocab: Path) -> list[Path]:
    if not folder.is_dir():
        raise UserError(f"no records in {folder}: there is no such folder.")
    files = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path != vocab
        and path.suffix not in _NO_RECORDS
        and not path.name.startswith(".")
        and path.stat().st_size
        and not _is_other_gzip(path)
    ]
    if not files:
        raise UserError(
            f"no records in {folder}: neither a {layout.MANIFEST_FILE} nor "
            "TFRecord files. `tfbert records` makes records from text."
        )
    return files


def _is_other_gzip(path: Path) -> bool:
    """Whether a file is compressed, and holds no records.

    Raises:
      UserError: it is compressed and does hold records.
    """
    with open(path, "rb") as stream:
        if stream.read(len(_COMPRESSED)) != _COMPRESSED:
            return False
    if frames.is_compressed(path):
        raise UserError(
            f"{path} holds TFRecords, compressed with gzip, and rows are read "
            "at random. Unpack the files and take the compressed ones out: "
            f"gunzip -c {path.name} > {path.name.removesuffix('.gz')}.tfrecord"
        )
    return path.suffix == ".gz"


def open_records(
    path: str | os.PathLike,
    vocab: str | os.PathLike | None = None,
    on_corrupt: str = "error",
) -> Records | StaticRecords:
    """Opens a folder of records, of `tfbert records` or the 2018 format.

    Args:
      path: the folder.
      vocab: the vocabulary of records of the 2018 format that have none
        beside them; others know theirs.
      on_corrupt: see `Records` and `StaticRecords`.

    Raises:
      UserError: it is neither, or damaged.
    """
    path = remote.local(path)
    check_folder(path)
    if (path / layout.MANIFEST_FILE).exists():
        return Records(path, on_corrupt)
    return StaticRecords(path, vocab, on_corrupt)
