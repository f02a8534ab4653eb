"""A fine-tuned run as evaluation and export read it."""

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.file_names import (
    BEST_FILE,
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    MODEL_FILE,
)
from tfbert.tasks.task import Task
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import (
    assign_tensors,
    named_variables,
    read_tensors,
)
from trainers.checkpoints.best import read_best
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import read_verified
from trainers.files.run_folder import RunFolder
from trainers.finetuning.calibration import TEMPERATURE
from trainers.finetuning.kinds.by_name import KINDS, find_kind
from trainers.finetuning.kinds.kind import Encoded, Examples, Kind


@dataclasses.dataclass(frozen=True)
class Trained:
    """A task with the weights of a run.

    Attributes:
      task: the task.
      step: the step that its weights are of.
      source: the file that they came from.
    """

    task: Task
    step: int
    source: Path


class FinetunedRun:
    """The folder of a `tfbert finetune` run.

    Args:
      path: the folder.
      task_class: of the task, if it was not trained with its kind's own.

    Attributes:
      path: the folder.
      kind: the kind of task, with labels and the like.
      config: the encoder's shape.
      tokenizer: what the run was trained with.
      validation: figures of the best weights; {}: there was no validation.

    Raises:
      UserError: not a folder of such a run.
    """

    def __init__(
        self, path: str | os.PathLike, task_class: Callable | None = None
    ):
        self._task_class = task_class
        folder = RunFolder(path)
        about = folder.about
        name = about.get("kind")
        if name not in KINDS:
            raise UserError(
                f"wanted a run of `tfbert finetune`, got {folder.path}, whose "
                f"run.json says kind {name!r}"
            )
        try:
            self.kind: Kind = find_kind(name).from_about(about)
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{folder.path / 'run.json'} has no usable {error}; it was "
                "changed, or is of another version"
            ) from error
        best = folder.path / BEST_FILE
        # A converted folder keeps what validation of the run has found.
        figures = about.get("validation") or {}
        if best.exists():
            figures = read_best(best)
        self.kind = self.kind.with_validation(figures)
        self.validation = figures
        self.path = folder.path
        self.config = BertConfig.from_json(folder.path / CONFIG_FILE)
        self.tokenizer = Tokenizer.from_folder(folder.path)

    def answering(self, trained: Trained, calibrate: bool = True) -> Kind:
        """The kind as it answers with weights of the run.

        Args:
          trained: these.
          calibrate: whether probabilities are those with the temperature that
            validation of the best weights has found.
        """
        found = self.validation.get(TEMPERATURE)
        best = trained.source in (self.path / BEST_FILE, self.path / MODEL_FILE)
        if not (calibrate and found and best):
            return self.kind
        return self.kind.with_temperature(found)

    def read_examples(
        self,
        data: str | os.PathLike,
        reading: Mapping[str, str | bool] | None = None,
    ) -> Examples:
        """Reads a labelled file with the columns of the training data.

        Args:
          data: the file.
          reading: of it, if it is of another form than that of training.

        Raises:
          UserError: it is not as it should be, or has unknown labels.
        """
        kind = self.kind.read_as(reading) if reading else self.kind
        examples = kind.read(data, kind)
        self.kind.check(examples)
        return examples

    def encode(self, examples: Examples) -> Encoded:
        """Tokenizes examples as in training."""
        return self.kind.encode(examples, self.tokenizer)

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
        task = self.kind.make_task(
            self.config, dtype or "float32", task_class=self._task_class
        )
        step, path = self.weights(checkpoint)
        self._load(task, path)
        return Trained(task, step, path)

    def weights(self, checkpoint: str = "best") -> tuple[int, Path]:
        """The step and the file of the weights; see load_task."""
        best = self.path / BEST_FILE
        if checkpoint == "best" and best.exists():
            return int(read_best(best)["step"]), best
        checkpoints = Checkpoints(self.path)
        steps = checkpoints.steps()
        converted = self.path / MODEL_FILE
        if not steps and converted.exists():
            # Written by `tfbert convert`: nobody trained here.
            return 0, converted
        if not steps:
            raise UserError(
                f"{self.path / CHECKPOINTS_FOLDER} holds no checkpoint; let "
                "`tfbert finetune` run to its end"
            )
        folder = checkpoints.path(steps[-1])
        read_verified(folder)
        return steps[-1], folder / MODEL_FILE

    def _load(self, task: Task, path: Path) -> None:
        tensors = read_tensors(path)
        wanted, found = map(_heads, (named_variables(task), tensors))
        if wanted != found:
            raise UserError(
                f"{path} holds the weights of another task: it has the heads "
                f"{', '.join(sorted(found)) or 'none'}, and {self.kind.name} "
                f"(the kind in {self.path / 'run.json'}) has "
                f"{', '.join(sorted(wanted))}. Give the run that they are of"
            )
        assign_tensors(named_variables(task), tensors, source=path)


def _heads(names: Iterable[str]) -> set[str]:
    """The parts of a task beside its encoder, by the names of weights."""
    return {name.split("/")[0] for name in names} - {"encoder"}
