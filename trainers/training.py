"""What pretraining and fine-tuning share: run folder, model, fit, resume."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import keras
import tensorflow as tf

from tfbert import atomic
from tfbert.errors import UserError
from tfbert.optimizers import OPTIMIZERS, SCHEDULES
from tfbert.tasks.task import Task
from tfbert.tokenization import VOCABULARY_FILE
from tfbert.vocabulary import read_vocabulary
from tfbert.weights import load_weights, newest_weights
from trainers import environment
from trainers.callbacks import MetricsLog, ProgressBar, TensorBoardLog
from trainers.checkpoints import Checkpoints
from trainers.command import console
from trainers.config import (
    SETTINGS_FILE,
    check_positive,
    check_same_run,
    save_settings,
)
from trainers.distribution import Distribution
from trainers.fit import TrainingModel
from trainers.saving import SaveCheckpoints, StopAt
from trainers.stopping import STATUS, StopOnSignal, StopOnSkips

RUN_FILE = "run.json"

# (dataset, steps): held-out batches, the same at every evaluation.
Validation = tuple[tf.data.Dataset, int]


def check_settings(settings, distribution: Distribution) -> None:
    """Raises UserError for numbers that cannot be trained with."""
    optimization, runtime = settings.optimization, settings.runtime
    check_positive(
        optimization,
        "optimization",
        "batch_size",
        "accumulation_steps",
        "steps",
        "learning_rate",
        "layer_decay",
        "clip_norm",
    )
    check_positive(
        runtime,
        "runtime",
        "devices",
        "steps_per_loop",
        "evaluate_every",
        "checkpoint_every",
        "keep_checkpoints",
        "log_every",
        "max_skipped",
    )
    distribution.check_batch_size(
        optimization.batch_size, optimization.accumulation_steps
    )
    if not 0 <= optimization.warmup_steps < optimization.steps:
        raise UserError(
            f"wanted optimization.warmup_steps from 0 to below "
            f"optimization.steps ({optimization.steps}), got "
            f"{optimization.warmup_steps}"
        )
    loop = runtime.steps_per_loop
    for name, value in {
        "optimization.steps": optimization.steps,
        "runtime.evaluate_every": runtime.evaluate_every,
        "runtime.checkpoint_every": runtime.checkpoint_every,
    }.items():
        if value % loop:
            raise UserError(
                f"wanted {name} to be a multiple of runtime.steps_per_loop "
                f"({loop}), got {value}"
            )


def open_run(settings, about: dict, distribution: Distribution) -> Path:
    """Makes or re-opens the run's folder.

    Args:
      settings: resolved settings; runtime.run_dir is the folder.
      about: content of run.json.
      distribution: only the chief writes.

    Raises:
      UserError: the folder holds something else, or a run with other
        settings that has saved something already.
    """
    run_dir = Path(settings.runtime.run_dir)
    if run_dir.exists() and not run_dir.is_dir():
        raise UserError(f"wanted a folder for the run, got the file {run_dir}")
    if run_dir.is_dir() and not (run_dir / SETTINGS_FILE).exists():
        others = [path.name for path in run_dir.iterdir()]
        others = [
            n for n in others if not n.startswith(atomic.TEMPORARY_PREFIX)
        ]
        if others and distribution.num_workers == 1:
            raise UserError(
                f"wanted an empty folder or a run in runtime.run_dir, got "
                f"{run_dir} with {sorted(others)[0]!r} and no {SETTINGS_FILE}; "
                "give another folder"
            )
    if Checkpoints(run_dir).steps():
        check_same_run(settings, run_dir)
    if distribution.is_chief:
        text = json.dumps(about, indent=2, ensure_ascii=False) + "\n"
        atomic.write_file(run_dir / RUN_FILE, text)
        optimization = settings.optimization
        environment.write(
            run_dir,
            strategy=distribution.describe(
                optimization.batch_size, optimization.accumulation_steps
            ),
        )
        # Last: a folder with this file is a run that can be resumed.
        save_settings(settings, run_dir)
    return run_dir


def make_model(
    make_task: Callable[[], Task],
    settings,
    distribution: Distribution,
) -> TrainingModel:
    """Builds a task and its optimizer under the strategy.

    Args:
      make_task: called in the strategy's scope.
      settings: has sections optimization and runtime, and a seed.
      distribution: where it runs.
    """
    optimization, runtime = settings.optimization, settings.runtime
    with distribution.strategy.scope():
        model = TrainingModel(
            make_task(),
            seed=settings.seed,
            accumulation_steps=optimization.accumulation_steps,
            clip_norm=optimization.clip_norm,
            layer_decay=optimization.layer_decay,
            xla=runtime.xla,
        )
        model.compile(
            _make_optimizer(optimization),
            steps_per_execution=runtime.steps_per_loop,
        )
    return model


def _make_optimizer(optimization) -> keras.optimizers.Optimizer:
    schedule = SCHEDULES[optimization.schedule](
        optimization.learning_rate,
        optimization.warmup_steps,
        optimization.steps,
    )
    return OPTIMIZERS[optimization.optimizer](
        schedule,
        weight_decay=optimization.weight_decay,
        beta_1=optimization.beta_1,
        beta_2=optimization.beta_2,
        epsilon=optimization.epsilon,
    )


def initialise(
    model: TrainingModel, init_from: str | None, vocabulary: list[str]
) -> None:
    """Sets the encoder's weights from another run, if one is named.

    Args:
      model: its task's encoder is set.
      init_from: folder of the run; None leaves the weights as they are.
      vocabulary: the tokens that ids stand for from now on.

    Raises:
      UserError: there are no weights, they are of another shape, or their
        ids stand for other tokens.
    """
    if init_from is None:
        return
    weights = newest_weights(Path(init_from))
    path = Path(init_from) / VOCABULARY_FILE
    if path.exists() and (theirs := read_vocabulary(path)) != vocabulary:
        raise UserError(
            f"wanted weights for the vocabulary of the data "
            f"({len(vocabulary)} tokens), got {init_from}, whose vocab.txt "
            f"({len(theirs)} tokens) is another; build the data with "
            f"--vocab {path}"
        )
    load_weights(model.task.encoder, weights, prefix="encoder/")
    console.print(f"Encoder weights from {weights}")


def train(
    model: TrainingModel,
    settings,
    distribution: Distribution,
    make_batches: Callable[[int], tf.data.Dataset],
    validation: Validation | None,
    title: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Restores, fits, evaluates and saves; the same call again resumes.

    Args:
      model: from make_model.
      settings: with sections optimization and runtime.
      distribution: where it runs.
      make_batches: start step -> distributed training batches from there.
      validation: held-out batches; evaluated before the first step, every
        runtime.evaluate_every steps, and at the end.
      title: what the progress bar is called.
      callbacks: more of them, run after those of every run.

    Returns:
      the last validation's values, with "step".

    Raises:
      SystemExit: a signal ended the run early, after a checkpoint; the
        status is 130 (SIGINT) or 143 (SIGTERM).
      UserError: checkpoints are damaged or of another model.
    """
    runtime, total = settings.runtime, settings.optimization.steps
    run_dir = Path(runtime.run_dir)
    checkpoints = Checkpoints(
        run_dir, runtime.keep_checkpoints, distribution.is_chief
    )
    _restore(model, checkpoints, total)
    with StopOnSignal(distribution) as stop:
        watchers = _watchers(run_dir, runtime, total, title, distribution)
        saving = SaveCheckpoints(
            checkpoints, runtime.checkpoint_every, runtime.evaluate_every
        )
        skips = StopOnSkips(runtime.max_skipped, console.print)
        # Saving is last: a kill before it repeats steps, and loses nothing.
        all_callbacks = [skips, *watchers, StopAt(total), stop, *callbacks]
        all_callbacks.append(saving)
        last = {}
        if model.step == 0 and validation:
            last = _first_evaluation(model, validation, watchers)
        for history in _fit(
            model, total, runtime, make_batches, validation, all_callbacks
        ):
            last = _validation_values(history) or last
            if stop.signal is not None:
                break
    if distribution.is_chief:
        checkpoints.save(model, model.step)
    if stop.signal is not None and model.step < total:
        _stopped(model.step, total, checkpoints, stop.signal)
    return {**last, "step": model.step}


def _stopped(step: int, total: int, checkpoints: Checkpoints, signal: int):
    console.print(
        f"Stopped at step {step} of {total}; saved {checkpoints.path(step)}. "
        "The same command goes on from there."
    )
    raise SystemExit(STATUS[signal])


def _restore(model, checkpoints: Checkpoints, total: int) -> None:
    restored = checkpoints.restore(model)
    if restored is None:
        return
    model.step = restored.step
    for message in restored.passed_over:
        console.print(f"warning: passed over a checkpoint: {message}")
    if restored.step >= total:
        console.print(
            f"The run is complete: {restored.path} is its step {restored.step} "
            f"of {total}"
        )
    else:
        console.print(
            f"Resuming at step {restored.step} of {total} from {restored.path}"
        )


def _watchers(run_dir, runtime, total, title, distribution) -> list:
    if not distribution.is_chief:
        return []
    return [
        MetricsLog(run_dir, runtime.log_every),
        TensorBoardLog(run_dir, runtime.log_every),
        ProgressBar(total, title),
    ]


def _first_evaluation(model, validation, watchers) -> dict:
    dataset, steps = validation
    values = model.evaluate(dataset, steps)
    for watcher in watchers:
        watcher.on_validation(values)
    return values


def _fit(model, total, runtime, make_batches, validation, callbacks):
    """Yields the history of each `fit`; an epoch is an evaluation interval.

    A run that was resumed between two evaluations first finishes that
    interval, so that evaluations stay at multiples of evaluate_every.
    """
    every = runtime.evaluate_every
    # The last epoch may be a short one; StopAt ends it.
    epochs = math.ceil(total / every)
    while model.step < total:
        start = model.step
        epoch, into = divmod(start, every)
        before = model.step
        history = model.fit(
            make_batches(start),
            initial_epoch=epoch,
            epochs=epoch + 1 if into else epochs,
            steps_per_epoch=every - into,
            validation_data=validation and validation[0],
            validation_steps=validation and validation[1],
            callbacks=keras.callbacks.CallbackList(
                callbacks, add_history=True, model=model
            ),
            verbose=0,
            shuffle=False,
        )
        yield history
        if model.step == before:
            raise UserError(
                f"the training data ended at step {before} of {total}"
            )


def _validation_values(history) -> dict[str, float]:
    """The last validation's values of a `fit`, without "val_"."""
    logs = history.history if hasattr(history, "history") else history
    return {
        name.removeprefix("val_"): values[-1]
        for name, values in logs.items()
        if name.startswith("val_") and values
    }
