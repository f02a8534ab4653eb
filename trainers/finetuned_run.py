"""A fine-tuned run as evaluation and export read it."""

import dataclasses
import os
from pathlib import Path

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.tasks.classification import ClassificationTask
from tfbert.tokenization import Tokenizer
from tfbert.weights import load_weights
from tfrecords.finetuning import classification
from trainers.best import BEST_FILE, read_best
from trainers.checkpoints import FOLDER, MODEL_FILE, Checkpoints, read_verified
from trainers.run_folder import RunFolder

KIND = "classification"


@dataclasses.dataclass(frozen=True)
class Trained:
    """A task with the weights of a run.

    Attributes:
      task: the task.
      step: the step that its weights are of.
      source: the file that they came from.
    """

    task: ClassificationTask
    step: int
    source: Path


class FinetunedRun:
    """The folder of a `tfbert finetune` run.

    Attributes:
      path: the folder.
      labels: names of the classes, in the order of the logits.
      text_columns: one column name (sentences) or two (pairs).
      label_column: name of the label's column.
      max_length: longest sequence in tokens.
      config: the encoder's shape.
      tokenizer: what the run was trained with.

    Raises:
      UserError: not a folder of such a run.
    """

    def __init__(self, path: str | os.PathLike):
        folder = RunFolder(path)
        about = folder.about
        if about.get("kind") != KIND:
            raise UserError(
                f"wanted a run of `tfbert finetune`, got {folder.path}, whose "
                f"run.json says kind {about.get('kind')!r}"
            )
        try:
            self.labels = list(about["labels"])
            self.text_columns = list(about["text_columns"])
            self.label_column = str(about["label_column"])
            self.max_length = int(about["max_length"])
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder.path / 'run.json'} has no usable {error}; it was "
                "changed, or is of another version"
            ) from error
        self.path = folder.path
        self.config = BertConfig.from_json(folder.path / "config.json")
        self.tokenizer = Tokenizer.from_folder(folder.path)

    @property
    def pairs(self) -> bool:
        """Whether the input is two sentences."""
        return len(self.text_columns) == 2

    def read_examples(self, data: str | os.PathLike) -> classification.Examples:
        """Reads a labelled file with the columns of the training data."""
        return classification.read_examples(
            data, self.text_columns, self.label_column
        )

    def encode(
        self, examples: classification.Examples
    ) -> classification.Encoded:
        """Tokenizes examples as in training."""
        return classification.encode(
            examples, self.tokenizer.encode, self.labels, self.max_length
        )

    def load_task(
        self, checkpoint: str = "best", dtype: str | None = None
    ) -> Trained:
        """Builds the task and loads its weights.

        Args:
          checkpoint: "best" on validation data (the last where there was
            none), or "last".
          dtype: Keras policy; None is float32.

        Raises:
          UserError: the run has no checkpoint yet, or it is damaged.
        """
        task = ClassificationTask(
            self.config, len(self.labels), dtype=dtype or "float32"
        )
        best = self.path / BEST_FILE
        if checkpoint == "best" and best.exists():
            load_weights(task, best)
            return Trained(task, int(read_best(best)["step"]), best)
        checkpoints = Checkpoints(self.path)
        steps = checkpoints.steps()
        if not steps:
            raise UserError(
                f"{self.path / FOLDER} holds no checkpoint; let `tfbert "
                "finetune` run to its end"
            )
        folder = checkpoints.path(steps[-1])
        read_verified(folder)
        load_weights(task, folder / MODEL_FILE)
        return Trained(task, steps[-1], folder)
