"""The SavedModel of a fine-tuned run."""

import functools
import os
from pathlib import Path

import numpy as np

from tfbert.serving.graphs.servable import Servable
from tfbert.serving.package import versions
from trainers.files.run_folder import RunFolder
from trainers.finetuning import calibration
from trainers.finetuning.evaluation import predict
from trainers.finetuning.kinds.text_kind import check_served
from trainers.finetuning.saved_run import FinetunedRun, Trained
from trainers.reports.served import exports
from trainers.reports.served.asking import Asked, asked
from trainers.reports.served.exports import ExportOptions
from trainers.reports.served.model_files import ModelFiles, of_run

_BATCH_SIZE = 64


def write_export(
    run: FinetunedRun, output: str | os.PathLike, options: ExportOptions
) -> Path:
    """Exports a run; returns the folder of the new version.

    Raises:
      UserError: no checkpoint, or `output` is in use.
    """
    versions.check_output(Path(output))
    trained = run.load_task(options.checkpoint, options.policy)
    servable, card = served(run, trained, options)
    more = {}
    if options.dtype != "float32":
        data, measure = _validation(run), None
        if data is not None:
            measure = functools.partial(_measure, run, trained.task, data)
        more = exports.store(
            servable, trained.task, options.dtype, measure, data
        )
    folder = RunFolder(run.path)
    more |= _calibration(run, trained, folder, options)
    return exports.write(
        servable, output, card, folder, trained.source, options, more
    )


def served(
    run: FinetunedRun, trained: Trained, options: ExportOptions
) -> tuple[Servable, dict]:
    """What is exported, and the facts of its card."""
    check_served(run.kind, options)
    kind = run.answering(trained, options.calibrate)
    servable, card = kind.servable(trained.task, run.tokenizer, options.limits)
    facts = {
        "step": trained.step,
        "vocabulary_sha256": run.tokenizer.vocab_hash,
    }
    # Of vectors the kind has a temperature of its own, of their loss.
    if kind is not run.kind:
        facts["temperature"] = kind.temperature
    return servable, card | facts


def model_files(run_dir: str, signature: str) -> ModelFiles:
    """The run as `tfbert predict` asks it, about files too."""
    run = FinetunedRun(run_dir)
    _, weights = run.weights(ExportOptions().checkpoint)
    return of_run(run.path, weights, signature, load)


def load(run_dir: Path, signature: str) -> Asked:
    """A run asked as its export would be."""
    run, options = FinetunedRun(run_dir), ExportOptions()
    trained = run.load_task(options.checkpoint, options.policy)
    return asked(*served(run, trained, options), signature, run_dir)


def _calibration(
    run: FinetunedRun,
    trained: Trained,
    folder: RunFolder,
    options: ExportOptions,
) -> dict[str, dict]:
    """The section of the model card about the probabilities."""
    examples = folder.about.get("validation_examples")
    facts = calibration.told(run.validation, examples)
    if not facts:
        return {}
    if calibration.TEMPERATURE in run.validation:
        if not options.calibrate:
            facts = {"temperature": "1 (not calibrated: asked to leave it)"}
        elif run.answering(trained) == run.kind:
            facts = {
                "temperature": "1 (not calibrated: these are not the weights "
                "that validation chose)"
            }
    return {"Calibration": facts}


def _validation(run: FinetunedRun) -> Path | None:
    """The validation file of a run, if it is there."""
    path = RunFolder(run.path).settings.get("data", {}).get("validation")
    if isinstance(path, str) and Path(path).is_file():
        return Path(path)
    return None


def _measure(run: FinetunedRun, task, data: Path):
    """(figures, outputs of all rows) of a task."""
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    outputs = predict(task, encoded.columns, run.kind.outputs, _BATCH_SIZE)
    result = run.kind.evaluate(examples, encoded, outputs, step=0)
    numbers = {
        name: values.astype(np.float32)
        for name, values in outputs.items()
        if values.dtype != object
    }
    return result.figures, numbers
