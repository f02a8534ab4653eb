"""Fine-tuning from Python: `finetune` and the run that it returns."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfbert.errors import UserError
from trainers.files import new_folder
from trainers.finetuning import search
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.settings import FinetuningSettings
from trainers.settings.keywords import full_names, settings_of
from trainers.settings.ranges import check_ranges

if TYPE_CHECKING:
    import keras

    from trainers.finetuning.run import Run
    from trainers.finetuning.several_runs import SeedRuns, Sweep

_OWN = ("callbacks", "loss", "task_class", "model_class")


def finetune(
    kind: str = "classification",
    *,
    train: object = None,
    validation: object = None,
    test: object = None,
    run_dir: str | os.PathLike | None = None,
    callbacks: "Sequence[keras.callbacks.Callback] | None" = None,
    task_class: Callable | None = None,
    model_class: type | None = None,
    loss: Callable | None = None,
    sweep: Mapping[str, Sequence] | str | None = None,
    **settings: object,
) -> "Run | SeedRuns | Sweep | dict[str, float]":
    """Fine-tunes a pretrained encoder; the same call again resumes.

        run = finetune(
            "classification", init_from="bert-base-uncased/",
            train="train.tsv", validation="dev.tsv", epochs=3,
        )
        run.evaluate("test.tsv"); run.predict(["so dull"]); run.export("out")

    Args:
      kind: classification, multi_label, regression, embedding,
        multiple_choice, question_answering, token_labelling or role_labelling.
      train, validation, test: a labelled file; or the same in memory: a list
        of dicts, a dict of columns, a pandas frame, a Hugging Face Dataset,
        or a tf.data.Dataset of raw columns.
      run_dir: folder of the run; None: a new temporary folder, which stays.
        Data in memory are written beside it, as RUN_DIR-data/.
      callbacks: Keras callbacks.
      task_class: a subclass of the kind's task (tfbert.tasks), called as
        that is.
      model_class: a subclass of TrainingModel.
      loss: (labels, answers) -> losses, or a keras.losses.Loss.
      sweep: settings of which every combination is run, as {"learning_rate":
        [3e-5, 1e-4], "batch_size": [16, 32]}, or as `--sweep` has it.
      **settings: any setting of `tfbert finetune` by its last part
        (learning_rate=3e-5), by its section (optimization={"steps": 10}), or
        in `settings={"runtime.spike.window": 32}`.

    Returns:
      the Run; with seeds=3 SeedRuns (`runs` by seed, `spread`); with a sweep
      a Sweep (`points`, `best`); with dry_run=True the printed plan as a dict:
      "parameters", "memory_bytes", "disk_bytes", "step_seconds", "seconds",
      "real_tokens_share". Nothing is written then.

    Raises:
      UserError: a mistake in settings, data or weights.
      Stopped: a signal ended the run early; the same call goes on.
    """
    data = {"train": train, "validation": validation, "test": test}
    own = (task_class, model_class, loss, callbacks)
    return _trained(kind, run_dir, sweep, settings, data, own)


def _trained(
    kind: str,
    run_dir: str | os.PathLike | None,
    sweep: object,
    settings: dict,
    data: Mapping[str, object],
    own: tuple,
) -> "Run | SeedRuns | Sweep | dict[str, float]":
    """What `finetune` does, once its keywords are sorted."""
    find_kind(kind)
    given = {name: "" for name, value in data.items() if value is not None}
    if sweep is not None:
        settings["sweep"] = sweep if isinstance(sweep, str) else ""
    keywords = {"task": kind, **given, **settings}
    named = full_names(FinetuningSettings, keywords, "finetune", _OWN)
    folder = new_folder.of_run(run_dir, named.get("dry_run") is True)

    def make_settings(values: Mapping[str, object]) -> FinetuningSettings:
        found: FinetuningSettings = settings_of(
            FinetuningSettings,
            {**named, "runtime.run_dir": folder, **values},
            "finetune",
        )
        check_ranges(found)
        return found

    grid = _grid(make_settings({}).sweep if sweep is None else sweep)
    # TensorFlow starts slowly: a misspelt setting does not wait for it.
    from trainers.finetuning.several_runs import trained
    from trainers.run import own_callbacks
    from trainers.run.outcome import OwnParts

    *classes, callbacks = own
    parts = OwnParts(*classes, own_callbacks.checked(callbacks))
    return trained(make_settings, grid, data, parts)


def _grid(sweep: object) -> dict[str, list]:
    """Dotted setting -> values; {} without a sweep.

    Raises:
      UserError: it is of another form, or of no setting.
    """
    if sweep is None:
        return {}
    if isinstance(sweep, str):
        sweep = search.read_values(sweep)
    form = "{'learning_rate': [3e-5, 1e-4], 'batch_size': [16, 32]}"
    if not isinstance(sweep, Mapping) or not sweep:
        raise UserError(f"wanted a sweep such as {form}, got {sweep!r:.60}")
    grid: dict[str, list] = {}
    for name, values in sweep.items():
        is_list = isinstance(values, list | tuple | range | np.ndarray)
        if not is_list or not len(values):
            raise UserError(
                f"wanted a list of values of {name} in a sweep such as {form}, "
                f"got {values!r:.60}"
            )
        for value in values:
            one = full_names(FinetuningSettings, {str(name): value}, "finetune")
            for full, plain in one.items():
                grid.setdefault(full, []).append(plain)
    # What is in memory is written once, for all runs.
    search.check_swept(grid, ("data.train", "data.validation", "data.test"))
    return grid
