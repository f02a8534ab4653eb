"""The data of a pretraining run: settings, folders of records, batches."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tfbert.errors import UserError
from tfbert.text.vocabulary_files import vocabulary_hash
from tfrecords.batches.batch import AnyRecords
from tfrecords.batches.mixture import Mixture, open_mixture
from tfrecords.layout import HELD_OUT_FOLDER
from tfrecords.masking.masking import MASKS_VERSION, Masking
from tfrecords.masking.word_list import WordList
from tfrecords.storage.legacy_2018 import StaticRecords, open_records
from tfrecords.storage.reader import Records
from trainers.checkpoints.files import MASKS_FACT

if TYPE_CHECKING:
    pass

DEFAULT_RECORDS = "records"


@dataclasses.dataclass
class MixedRecords:
    """One folder of a mixture.

    Args:
      records: folder that `tfbert records` wrote.
      weight: its weight in the mixture; null: its number of rows.
    """

    records: str
    weight: float | None = None


@dataclasses.dataclass
class PretrainingData:
    """What is read, and how tokens are hidden.

    Args:
      records: folder that `tfbert records` wrote, or one of TFRecords in the
        format of 2018.
      mixture: several folders with weights, in the place of `records`.
      temperature: shares of a mixture are weight ** temperature; below 1,
        small ones get more than their weight.
      vocab: vocabulary of records in the format of 2018 that have no
        vocab.txt beside them.
      on_corrupt: at damaged records, stop (error), or go on without them and
        count them (skip; reads every byte once when the run starts).
      word_list: file of words, one a line, that masking takes as a whole, for
        Chinese; null: every Chinese character is a word.
      held_out: records for evaluation; null: RECORDS/held_out if it exists.
      evaluation_rows: at most this many held-out rows.
      final_masking_rate: the share of tokens to predict at the end of the
        run, to which it goes in a straight line from masking.rate;
        evaluations hide as many throughout; null: masking.rate.
      masking: which tokens are predicted, and how they are hidden.
    """

    records: str = DEFAULT_RECORDS
    mixture: list[MixedRecords] | None = None
    temperature: float = 1.0
    vocab: str | None = None
    on_corrupt: Literal["error", "skip"] = "error"
    word_list: str | None = None
    held_out: str | None = None
    evaluation_rows: int = 2048
    final_masking_rate: float | None = None
    masking: Masking = dataclasses.field(default_factory=Masking)

    @property
    def evaluation_masking(self) -> Masking:
        """How tokens are hidden in evaluations: as at the end of the run."""
        if self.final_masking_rate is None:
            return self.masking
        return dataclasses.replace(self.masking, rate=self.final_masking_rate)

    @property
    def folders(self) -> list[str]:
        """The folders of records that are trained on.

        Raises:
          UserError: both a folder and a mixture are named.
        """
        if self.mixture is None:
            return [self.records]
        if self.records != DEFAULT_RECORDS:
            raise UserError(
                f"wanted data.records or data.mixture, got both "
                f"({self.records} and {len(self.mixture)} folders); leave one "
                "out"
            )
        return [entry.records for entry in self.mixture]


def open_training(data: PretrainingData) -> AnyRecords:
    """Opens what is trained on.

    Raises:
      UserError: it is not there, damaged, or does not go together.
    """
    folders = data.folders
    if data.mixture is None:
        records = open_records(folders[0], data.vocab, data.on_corrupt)
    else:
        weights = [entry.weight for entry in data.mixture]
        records = open_mixture(
            folders, weights, data.temperature, data.on_corrupt
        )
    use_words(records, data.word_list)
    return records


def use_words(records: AnyRecords, word_list: str | None) -> None:
    """Lets masking take the words of a list as a whole.

    Raises:
      UserError: the list cannot be used.
    """
    if word_list is not None:
        words = WordList.read(word_list, records.vocabulary)
        records.classes = dataclasses.replace(records.classes, words=words)


def open_held_out(
    data: PretrainingData, records: AnyRecords
) -> AnyRecords | None:
    """Opens the held-out records, those of all folders of a mixture.

    Raises:
      UserError: they are not there, damaged, or have another vocabulary.
    """
    if data.held_out is not None:
        held_out = open_records(data.held_out, data.vocab, data.on_corrupt)
    else:
        sources = getattr(records, "sources", [records])
        paths = [source.path / HELD_OUT_FOLDER for source in sources]
        paths = [path for path in paths if path.is_dir()]
        if not paths:
            return None
        found = [Records(path, data.on_corrupt) for path in paths]
        held_out = found[0] if len(found) == 1 else Mixture(found)
    if held_out.vocabulary != records.vocabulary:
        raise UserError(
            f"wanted held-out records with the vocabulary of {records.path}, "
            f"got another one in {held_out.path}; build both with the "
            "same `tfbert records --vocab`"
        )
    held_out.classes = records.classes
    return held_out


def predictions(masking: Masking, records: AnyRecords) -> int:
    """P, the places for predictions in a row.

    Raises:
      UserError: rows are too short for as many as are asked for.
    """
    if isinstance(records, StaticRecords):
        return records.max_predictions
    return masking.predictions(records.sequence_length)


def save_tokenizer(records: AnyRecords, run_dir: Path) -> None:
    """Writes the tokenizer that the records were made with."""
    # Imported here: --help should not wait for TensorFlow Text.
    from tfbert.text.tokenizer import Tokenizer

    if isinstance(records, StaticRecords):
        tokenizer = Tokenizer(records.vocabulary, lowercase=records.lowercase)
    else:
        tokenizer = Tokenizer.from_folder(records.path)
    tokenizer.save(run_dir)


def hashes(records: AnyRecords) -> dict[str, str]:
    """What is trained on, as a run and its checkpoints remember it."""
    found = {
        "data": records.fingerprint,
        "vocabulary": vocabulary_hash(records.vocabulary),
    }
    if records.classes.words is not None:
        # What the file says, so that a changed one is found under one name.
        found["data.word_list"] = records.classes.words.fingerprint
    if not isinstance(records, StaticRecords):  # Those are masked already.
        found[MASKS_FACT] = str(MASKS_VERSION)
    return found


def describe(records: AnyRecords) -> str:
    """What is trained on, in a line or one for each folder."""
    text = f"{records.num_rows:,} rows of {records.sequence_length} tokens"
    if not isinstance(records, Mixture):
        return f"{text} from {records.path}"
    lines = [
        f"  {100 * share:.2f} % from {source.path} ({source.num_rows:,} rows)"
        for source, share in zip(records.sources, records.shares, strict=True)
    ]
    return "\n".join([f"{text}, mixed:", *lines])


def describe_damage(records: AnyRecords) -> str | None:
    """The account of rows that are skipped, or None if there are none."""
    if not records.faults:
        return None
    count, faults = len(records.bad_rows), len(records.faults)
    return (
        f"{count:,} of {records.num_rows:,} rows are damaged and were skipped "
        f"({faults:,} fault{'s' if faults > 1 else ''}; the first: "
        f"{records.faults[0]})"
    )
