"""Pretraining from Python: `pretrain` and the run that it returns."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainers.files import new_folder
from trainers.pretraining.settings import PretrainingSettings
from trainers.settings.keywords import settings_of
from trainers.settings.ranges import check_ranges

if TYPE_CHECKING:
    import keras

    from trainers.pretraining.run import Run

_OTHERS = (
    *("vocab_size", "max_length", "lowercase", "callbacks"),
    *("task_class", "model_class"),
)


def pretrain(
    data: object,
    *,
    vocab: str | os.PathLike | None = None,
    vocab_size: int = 8192,
    max_length: int = 128,
    lowercase: bool | None = None,
    held_out: float | str | os.PathLike | None = None,
    run_dir: str | os.PathLike | None = None,
    callbacks: "Sequence[keras.callbacks.Callback] | None" = None,
    task_class: Callable | None = None,
    model_class: type | None = None,
    **settings: object,
) -> "Run | dict[str, float]":
    """Pretrains an encoder; the same call again resumes.

        run = pretrain(["a text", ...], preset="tiny", steps=1000)
        run.embed(["a text"]); run.fill_mask(["a [MASK]"]); run.export("out")

    Args:
      data: a folder of records; or text, of which vocabulary and records are
        made in RUN_DIR-data/: a file, folder or pattern, a list of them, or a
        list of texts.
      vocab: vocab.txt of the text; None: that of init_from, else one is
        learnt from the text.
      vocab_size: tokens of a vocabulary that is learnt, at most.
      max_length: tokens of a row of records that are made.
      lowercase: of the text, and no accents; None: as a given vocabulary
        says, else true.
      held_out: folder of records for evaluation; or the share of the text
        that is held out.
      run_dir: folder of the run; None: a new temporary folder, which stays.
      callbacks: Keras callbacks.
      task_class: (config, dtype=, seed=) -> Task.
      model_class: a subclass of TrainingModel.
      **settings: any setting of `tfbert pretrain` by its last part
        (learning_rate=1e-4), by its section (optimization={"steps": 10}), or
        in `settings={"data.masking.strategy": "span"}`. Without batch_size
        it is 256, or fewer where there are fewer rows.

    Returns:
      the Run; with dry_run=True the printed plan as a dict: "parameters",
      "memory_bytes", "disk_bytes", "step_seconds" and "seconds". Nothing is
      left then; records of text are made for it in a temporary folder.

    Raises:
      UserError: a mistake in settings, text or records.
      Stopped: a signal ended the run early; the same call goes on.
    """
    dry = settings.get("dry_run") is True
    given = {"run_dir": new_folder.of_run(run_dir, dry), **settings}
    found = settings_of(PretrainingSettings, given, "pretrain", _OTHERS)
    check_ranges(found)
    # TensorFlow starts slowly: a misspelt setting does not wait for it.
    from trainers.pretraining import run

    text = (vocab, vocab_size, max_length, lowercase, held_out)
    own = (task_class, model_class, None, callbacks)
    return run.run_of(found, data, text, own, _gives(settings, "batch_size"))


def _gives(settings: dict, name: str) -> bool:
    """Whether keywords give a setting, however it is written."""
    for key, value in settings.items():
        if key.rsplit(".", 1)[-1] == name:
            return True
        if isinstance(value, dict) and _gives(value, name):
            return True
    return False
