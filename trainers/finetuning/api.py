"""Fine-tuning from Python: `finetune` and the run that it returns."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from trainers.files import new_folder
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.settings import FinetuningSettings
from trainers.settings.keywords import settings_of
from trainers.settings.ranges import check_ranges

if TYPE_CHECKING:
    import keras

    from trainers.finetuning.run import Run


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
    **settings: object,
) -> "Run":
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
      **settings: any setting of `tfbert finetune` by its last part
        (learning_rate=3e-5), by its section (optimization={"steps": 10}), or
        in `settings={"runtime.spike.window": 32}`.

    Raises:
      UserError: a mistake in settings, data or weights.
      Stopped: a signal ended the run early; the same call goes on.
    """
    find_kind(kind)
    folder = new_folder.of_run(run_dir)
    data = {"train": train, "validation": validation, "test": test}
    given = {name: "" for name, value in data.items() if value is not None}
    found: FinetuningSettings = settings_of(
        FinetuningSettings,
        {"task": kind, "run_dir": folder, **given, **settings},
        "finetune",
        ("callbacks", "loss", "task_class", "model_class"),
    )
    check_ranges(found)
    # TensorFlow starts slowly: a misspelt setting does not wait for it.
    from trainers.finetuning.run import run_of

    return run_of(found, data, callbacks, task_class, model_class, loss)
