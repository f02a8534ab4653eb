"""The labelled files of a fine-tuning run, read, checked and counted."""

import dataclasses
from pathlib import Path

import tensorflow as tf

from tfbert.errors import UserError
from tfbert.tokenization import Tokenizer
from tfrecords.finetuning import batches, classification
from trainers.distribution import Distribution


@dataclasses.dataclass(frozen=True)
class LoadedData:
    """What a run learns from.

    Attributes:
      tokenizer: text -> ids.
      labels: names of the classes, in the order of the logits.
      train: training examples.
      validation: validation examples, of the same length; or None.
      overlap: how many texts occur twice.
      max_length: longest sequence that was asked for.
    """

    tokenizer: Tokenizer
    labels: list[str]
    train: classification.Encoded
    validation: classification.Encoded | None
    overlap: classification.Overlap
    max_length: int

    def about(self, data) -> dict:
        """What run.json says of the data, for those who read the run."""
        return {
            "labels": self.labels,
            "text_columns": data.text_columns,
            "label_column": data.label_column,
            "max_length": data.max_length,
            "train_examples": len(self.train),
            "validation_examples": len(self.validation or ()),
            "truncated_or_full": self.train.full_rows,
            **dataclasses.asdict(self.overlap),
        }

    def account(self) -> list[str]:
        """What a user should know about the data, a line each."""
        overlap = self.overlap
        lines = []
        if self.validation is not None:
            lines.append(
                f"validation: {overlap.validation_in_train:,} of "
                f"{len(self.validation):,} texts are in train too"
            )
        lines.append(
            f"train: {overlap.repeated_in_train:,} texts repeat an earlier "
            f"one, {overlap.conflicting_in_train:,} of them with another label"
        )
        if self.train.full_rows:
            lines.append(
                f"train: {self.train.full_rows:,} of {len(self.train):,} "
                f"texts fill data.max_length = {self.max_length} tokens or "
                "were truncated to it"
            )
        return lines

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
        size = settings.optimization.batch_size

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


def load_data(settings) -> LoadedData:
    """Reads the files that `settings.data` names.

    Raises:
      UserError: a setting is missing, or a file is not as it should be.
    """
    data = settings.data
    if data.train is None:
        raise UserError("wanted data.train, a .tsv, .csv or .jsonl file")
    tokenizer = _tokenizer(data.tokenizer or settings.model.init_from)

    def read(path: str | None) -> classification.Examples | None:
        if path is None:
            return None
        return classification.read_examples(
            path, data.text_columns, data.label_column
        )

    train, validation, test = map(
        read, (data.train, data.validation, data.test)
    )
    labels = classification.label_list(train)
    if test is not None:
        # After hours of training is too late to find an unknown label.
        classification.label_ids(test, labels)
    encoded = [
        examples
        and classification.encode(
            examples, tokenizer.encode, labels, data.max_length
        )
        for examples in (train, validation)
    ]
    # One length for both: the step is compiled for one shape.
    length = max(part.sequence_length for part in encoded if part)
    train_ids, validation_ids = [
        part and part.with_length(length) for part in encoded
    ]
    return LoadedData(
        tokenizer,
        labels,
        train_ids,
        validation_ids,
        classification.overlap(train, validation),
        data.max_length,
    )


def _tokenizer(folder: str | None) -> Tokenizer:
    if folder is None:
        raise UserError(
            "wanted model.init_from (a pretraining run) or data.tokenizer (a "
            "folder with vocab.txt: records or a run)"
        )
    if not Path(folder).is_dir():
        raise UserError(f"there is no folder {folder} to take vocab.txt from")
    return Tokenizer.from_folder(folder)
