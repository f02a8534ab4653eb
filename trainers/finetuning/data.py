"""The labelled files of a fine-tuning run, read, checked and counted."""

import dataclasses
import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import tensorflow as tf

from tfbert.converters import sources
from tfbert.errors import UserError
from tfbert.layers.real_tokens import Sizes
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import vocabulary_hash
from tfrecords.labelled import batches
from tfrecords.labelled.encoded import WindowRows
from tfrecords.labelled.epochs import batch_order
from tfrecords.labelled.overlap import Overlap, overlap
from trainers.distributed.strategies import Distribution
from trainers.finetuning import real_tokens
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.kinds.kind import Encoded, Examples, Kind
from trainers.finetuning.kinds.text_kind import (
    check_reads_long_texts,
    for_task,
)
from trainers.finetuning.real_tokens import Lengths, RealTokens
from trainers.finetuning.settings import with_length
from trainers.run.run_setup import evaluation_batch_size

# A batch that has each row so many times, and is large, is a slip.
_MOST_TIMES, _LARGE_BATCH = 4, 256


@dataclasses.dataclass(frozen=True)
class LoadedData:
    """What a run learns from.

    Attributes:
      kind: the kind of task, with what the training file taught.
      tokenizer: text -> ids.
      num_examples: training examples.
      train: their rows.
      validation_examples: validation examples, or None.
      validation: their rows, of the same length; or None.
      overlap: how many texts occur twice.
      remarks: what the kind has to say of the files.
    """

    kind: Kind
    tokenizer: Tokenizer
    num_examples: int
    train: Encoded
    validation_examples: Examples | None
    validation: Encoded | None
    overlap: Overlap
    remarks: list[str]

    def about(self) -> dict:
        """What run.json says of the data, for those who read the run."""
        return {
            "kind": self.kind.name,
            **self.kind.about(),
            "train_examples": self.num_examples,
            "validation_examples": len(self.validation_examples or ()),
            "truncated_or_full": self.train.full_rows,
            "hashes": self.hashes(),
            **dataclasses.asdict(self.overlap),
        }

    def hashes(self) -> dict[str, str]:
        """What is trained on, as a run and its checkpoints remember it."""
        digest = hashlib.sha256()
        for name, values in sorted(self.train.columns.items()):
            digest.update(f"{name} {values.dtype} {values.shape}".encode())
            digest.update(values.tobytes())
        return {
            "data": digest.hexdigest(),
            "vocabulary": vocabulary_hash(self.tokenizer.vocabulary),
        }

    def row_ids(self, settings) -> Callable[[int], np.ndarray]:
        """A function: number of a global batch -> its rows, int64 [B]."""
        return batch_order(
            len(self.train),
            settings.optimization.batch_size,
            settings.seed,
        )

    def in_fixed_shapes(self) -> Self:
        """The same data, whose batches all have as many windows."""
        if not isinstance(self.train.columns["input_ids"], WindowRows):
            return self
        validation = self.validation and self.validation.with_windows_alike()
        return dataclasses.replace(
            self,
            train=self.train.with_windows_alike(),
            validation=validation,
        )

    def real_tokens(self, settings, distribution: Distribution) -> RealTokens:
        """How many places of an epoch are real tokens."""
        parts = settings.optimization.accumulation_steps
        return real_tokens.count(
            _lengths(self.train),
            self.train.sequence_length,
            self.row_ids(settings),
            parts * distribution.num_replicas,
            settings.runtime.skip_padding,
        )

    def fixed_sizes(
        self, settings, distribution: Distribution
    ) -> dict[int, Sizes]:
        """Shapes that all micro-batches of a run and its validation fit into.

        Twice the steps of the run are looked at: a rollback leaves batches
        out, and reads later ones in their place.
        """
        optimization, rows_of = settings.optimization, self.row_ids(settings)
        found = real_tokens.fixed_sizes(
            _lengths(self.train),
            self.train.sequence_length,
            map(rows_of, range(2 * optimization.steps)),
            optimization.accumulation_steps * distribution.num_replicas,
        )
        if self.validation is None:
            return found
        size = evaluation_batch_size(settings, distribution)
        rows = np.arange(-(-len(self.validation) // size) * size)
        # What fills the last batch up is the first row.
        rows[len(self.validation) :] = 0
        held_out = real_tokens.fixed_sizes(
            _lengths(self.validation),
            self.validation.sequence_length,
            rows.reshape(-1, size),
            distribution.num_replicas,
        )
        return real_tokens.largest(found, held_out)

    def check_batch(self, batch_size: int) -> list[str]:
        """What is to be said of a batch that is larger than the data.

        Raises:
          UserError: it is so much larger that it cannot be meant.
        """
        rows = len(self.train)
        if batch_size <= rows:
            return []
        times = batch_size / rows
        text = (
            f"optimization.batch_size = {batch_size:,} is larger than the "
            f"training data: each step reads its {rows:,} rows {times:.1f} "
            "times, for the update and with the memory of so many"
        )
        if times >= _MOST_TIMES and batch_size > _LARGE_BATCH:
            raise UserError(
                f"{text}; wanted at most {rows:,}. Give a smaller one"
            )
        return [text]

    def account(self) -> list[str]:
        """What a user should know about the data, a line each."""
        overlap = self.overlap
        lines = []
        if self.validation_examples is not None:
            lines.append(
                f"validation: {overlap.validation_in_train:,} of "
                f"{len(self.validation_examples):,} texts are in train too"
            )
        lines.append(
            f"train: {overlap.repeated_in_train:,} texts repeat an earlier "
            f"one, {overlap.conflicting_in_train:,} of them with another label"
        )
        return [*lines, *self.remarks]

    def training_batches(
        self, settings, distribution: Distribution, start_step: int
    ):
        """Distributed training batches from step `start_step` on."""
        return distribution.dataset(
            lambda first_replica, local_replicas: batches.training_batches(
                self.train.columns,
                seed=settings.seed,
                global_batch_size=settings.optimization.batch_size,
                num_replicas=distribution.num_replicas,
                first_replica=first_replica,
                local_replicas=local_replicas,
                start_step=start_step,
            )
        )

    def validation_batches(
        self, settings, distribution: Distribution
    ) -> tuple[tf.data.Dataset, int] | None:
        """(distributed batches, steps), or None without validation data."""
        if self.validation is None:
            return None
        size = evaluation_batch_size(settings, distribution)

        def make(first_replica: int, local_replicas: int) -> tf.data.Dataset:
            dataset, _ = batches.evaluation_batches(
                self.validation.columns,
                global_batch_size=size,
                num_replicas=distribution.num_replicas,
                first_replica=first_replica,
                local_replicas=local_replicas,
            )
            # Endless, so that shapes stay static under a strategy; the
            # number of steps ends an evaluation.
            return dataset.repeat()

        return distribution.dataset(make), -(-len(self.validation) // size)


def load_data(settings, task_class: Callable | None = None) -> LoadedData:
    """Reads the files that `settings.data` names.

    Args:
      settings: FinetuningSettings.
      task_class: of a task of the user's own.

    Raises:
      UserError: a setting is missing, or a file is not as it should be.
    """
    data = settings.data
    kind_class = find_kind(settings.task)
    if data.train is None:
        raise UserError(
            "wanted data.train, a labelled file (.tsv, .csv, .jsonl or "
            "another that the task reads)"
        )
    tokenizer = _tokenizer(data.tokenizer, settings.model.init_from)
    data = _readable(settings, kind_class, task_class)
    train, validation, test = (
        None if path is None else kind_class.read(path, data)
        for path in (data.train, data.validation, data.test)
    )
    kind = kind_class.from_training(data, train)
    if data.max_length < kind.least_length():
        raise UserError(
            f"wanted data.max_length from {kind.least_length()}, for the "
            f"special tokens and one of each text, got {data.max_length}"
        )
    if (weights := settings.optimization.class_weights) is not None:
        kind = kind.with_class_weights(weights, train)
    if test is not None:
        # After hours of training is too late to find an unknown label.
        kind.check(test)
    kind, rows = kind.decided(kind.encode(train, tokenizer))
    length = rows.sequence_length
    remarks = kind.label_remarks(train, validation)
    remarks += kind.remarks(train, rows)
    validation_rows = None
    if validation is not None:
        kind.check(validation)
        validation_rows = kind.encode(validation, tokenizer)
        remarks += kind.remarks(validation, validation_rows)
        # One length for both: the step is compiled for one shape.
        length = max(length, validation_rows.sequence_length)
        validation_rows = validation_rows.with_length(length)
    return LoadedData(
        kind,
        tokenizer,
        len(train),
        rows.with_length(length),
        validation,
        validation_rows,
        overlap(
            train.inputs(),
            kind.golds(train),
            validation.inputs() if validation is not None else (),
        ),
        remarks,
    )


def _readable(settings, kind_class: type[Kind], task_class: Callable | None):
    """The data with a max_length, and long texts as the task can read them.

    Raises:
      UserError: settings say otherwise.
    """
    data = with_length(settings.data, settings.model)
    check_reads_long_texts(kind_class, data)
    if not kind_class.reads_long_texts:
        return data
    return for_task(data, task_class)


def _lengths(rows: Encoded) -> Lengths:
    """Tokens of each row, of each choice that there is, or of each window."""
    mask = rows.columns["input_mask"]
    if isinstance(mask, WindowRows):
        tokens = mask.rows.sum(axis=-1, dtype=np.int64)
        slots = math.prod(mask.shape[1:-1])
        return Lengths(tokens, mask.examples(), slots)
    lengths = mask.sum(axis=-1, dtype=np.int64)
    return Lengths(lengths * rows.columns.get("choice_mask", 1))


def _tokenizer(folder: str | None, init_from: str | None) -> Tokenizer:
    if folder is None and init_from is None:
        raise UserError(
            "wanted model.init_from (a pretraining run) or data.tokenizer (a "
            "folder with vocab.txt: records or a run)"
        )
    if folder is None:
        return sources.read_tokenizer(init_from)
    if not Path(folder).is_dir():
        raise UserError(f"there is no folder {folder} to take vocab.txt from")
    return Tokenizer.from_folder(folder)
