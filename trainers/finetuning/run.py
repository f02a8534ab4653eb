"""A fine-tuned run in Python: measured, asked and exported."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras

from tfbert.errors import UserError
from tfbert.weights.variables import (
    assign_tensors,
    named_variables,
    read_tensors,
)
from tfrecords.batches import mistakes
from trainers.distributed.strategies import Distribution
from trainers.files import new_folder
from trainers.finetuning import (
    evaluation,
    exporting,
    in_memory,
    training,
)
from trainers.finetuning.kinds.sentence_kind import SentenceKind
from trainers.finetuning.saved_run import FinetunedRun
from trainers.finetuning.settings import FinetuningSettings
from trainers.reports.served.asking import Asked, as_inputs, asked
from trainers.reports.served.exports import ExportOptions, export_options
from trainers.run.outcome import OwnParts


class Run:
    """A fine-tuned run.

    Attributes:
      model: the keras.Model that was trained, with the run's best weights.
      history: name -> its value in each epoch, those of validation under
        "val_...".
      figures: "step", "validation_..." and "test_..." of the best weights.
      run_dir: the folder of the run.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        model: keras.Model | None = None,
        history: dict[str, list[float]] | None = None,
        figures: dict[str, float] | None = None,
        task_class: Callable | None = None,
    ):
        self.run_dir = Path(run_dir)
        self.model, self.history, self.figures = model, history, figures
        self._saved = FinetunedRun(run_dir, task_class)
        self._models: dict[bool, Asked] = {}

    def __repr__(self) -> str:
        return f"<a run of {self._saved.kind.name} in {self.run_dir}>"

    def evaluate(
        self,
        data: object,
        name: str | None = None,
        checkpoint: str = "best",
        batch_size: int = 64,
    ) -> dict[str, object]:
        """Measures the run on labelled data, as `tfbert evaluate` does.

        Args:
          data: a labelled file, or data in memory; see `finetune`.
          name: of the files with the results in the run's folder; None: the
            file's name, "data" for data in memory.
          checkpoint: "best" on validation data, or "last".
          batch_size: rows of a forward pass; changes only rounding.

        Returns:
          all figures by name, "step" and "examples" among them.

        Raises:
          UserError: the data are not as they should be.
        """
        if checkpoint not in ("best", "last"):
            raise UserError(
                f"wanted checkpoint best or last, got {checkpoint!r}"
            )
        if not isinstance(batch_size, int) or batch_size < 1:
            raise UserError(f"wanted a batch_size above 0, got {batch_size!r}")
        folder = new_folder.beside(self.run_dir)
        columns = columns_of(self._saved.kind, self._saved.kind)
        path = in_memory.as_file(data, folder, "data", columns)
        if name is None and not isinstance(data, str | os.PathLike):
            name = "data"
        with mistakes.raised():
            result = evaluation.evaluate(
                self._saved, path, name, checkpoint, batch_size
            )
        return {**result.figures, **result.to_dict()}

    def predict(self, data: object, calibrate: bool = True) -> list[dict]:
        """What the export would answer.

        Args:
          data: texts; of a model of pairs (text_a, text_b) each, of questions
            (question, context), of multiple choice (question, [choice, ...]).
            Or rows with the columns of the training data, as `finetune` takes
            them: a frame, a list of dicts, a dict of columns, a Dataset; or
            the pathlib.Path of a file, as `tfbert predict --input` takes it.
          calibrate: as the option of an export.

        Returns:
          an answer for each, as `tfbert predict --json` prints it.

        Raises:
          UserError: the texts are none, or not of the model's form.
        """
        if isinstance(data, Iterator):
            data = list(data)
        if not in_memory.is_table(data):
            data = as_inputs(data)
        if calibrate not in self._models:
            self._models[calibrate] = self._load(calibrate)
        model = self._models[calibrate]
        inputs = in_memory.inputs_of(data, model)
        model.check(inputs)
        return list(model.answer(inputs)) if inputs else []

    def _load(self, calibrate: bool) -> Asked:
        options = ExportOptions(calibrate=calibrate)
        trained = self._saved.load_task(options.checkpoint, options.policy)
        return asked(*exporting.served(self._saved, trained, options))

    def export(self, output: str | os.PathLike, **options: object) -> Path:
        """Writes the next version of a SavedModel that takes raw text.

        Args:
          output: folder of the versions, OUTPUT/1, OUTPUT/2, ...
          **options: fields of `ExportOptions`: checkpoint, precision, dtype,
            licence, limits, calibrate.

        Returns:
          the folder of the version.

        Raises:
          UserError: no such option, or `output` is in use.
        """
        return exporting.write_export(
            self._saved, output, export_options(options)
        )


def run_of(
    settings: FinetuningSettings, distribution: Distribution, own: OwnParts
) -> Run:
    """Trains once; the settings name files."""
    outcome = training.train(settings, distribution, own)
    run = Run(
        settings.runtime.run_dir,
        outcome.model,
        outcome.history,
        outcome.figures,
        own.task_class,
    )
    _take_best(run)
    return run


def _take_best(run: Run) -> None:
    """Gives the model the weights that are evaluated and exported."""
    _, source = run._saved.weights()
    variables = named_variables(run.model.task)
    assign_tensors(variables, read_tensors(source), source=source)


def columns_of(kind, data) -> Sequence[str]:
    """The columns of a (text, label) example, where there are such."""
    if kind is not None and not isinstance(kind, SentenceKind):
        return ()
    return [*data.text_columns, data.label_column]
