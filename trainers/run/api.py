"""What pretraining and fine-tuning share: run folder, model, training."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import keras

from tfbert.converters import building, sources
from tfbert.file_names import RUN_FILE
from tfbert.optimizers import OPTIMIZERS, SCHEDULES
from tfbert.tasks.task import Task
from tfbert.weights import resizing
from trainers.distributed.strategies import Distribution
from trainers.files.run_folder import read_json
from trainers.run import own_callbacks, resource_errors
from trainers.run.run_data import RunData
from trainers.run.run_setup import check_settings, open_run, run_facts
from trainers.run.training_run import TrainingRun
from trainers.step.options import Execution, Rule
from trainers.step.training_model import TrainingModel
from trainers.watching.metrics_log import (
    MetricsLog,
    ProgressBar,
    TensorBoardLog,
)
from trainers.watching.system_metrics import Vitals

_log = logging.getLogger(__name__)

__all__ = ["check_settings", "initialise", "make_model", "open_run", "train"]


def make_model(
    make_task: Callable[[], Task],
    settings,
    distribution: Distribution,
    model_class: type[TrainingModel] = TrainingModel,
) -> TrainingModel:
    """Builds a task and its optimizer under the strategy.

    Args:
      make_task: called in the strategy's scope.
      settings: has sections optimization and runtime, and a seed.
      distribution: where it runs.
      model_class: what trains it.
    """
    optimization, runtime = settings.optimization, settings.runtime
    with distribution.strategy.scope():
        task = make_task()
        task.encoder.recompute = runtime.recompute
        model = model_class(
            task,
            seed=settings.seed,
            rule=Rule(
                optimization.clip_norm,
                optimization.layer_decay,
                optimization.average_decay,
            ),
            execution=Execution(
                optimization.accumulation_steps,
                runtime.xla,
                runtime.all_reduce_dtype,
                runtime.log_gradient_norms,
            ),
        )
        model.time_data = not runtime.deterministic
        model.compile(
            _make_optimizer(optimization),
            steps_per_execution=runtime.steps_per_loop,
        )
    distribution.watch(model)
    return model


def _make_optimizer(optimization) -> keras.optimizers.Optimizer:
    share = optimization.decay_share
    schedule = SCHEDULES[optimization.schedule](
        optimization.learning_rate,
        optimization.warmup_steps,
        optimization.steps,
        **({} if share is None else {"decay_share": share}),
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
    """Sets weights from another run or a foreign source, if one is named.

    Args:
      model: its task's encoder is set, and those pretraining heads that both
        have.
      init_from: any source of `tfbert.load_encoder`; None leaves the weights
        as they are.
      vocabulary: the tokens that ids stand for from now on. It may be longer
        than that of the weights: new rows are made for the tokens behind it.

    Raises:
      UserError: there are no weights, they are of another shape, or their
        ids stand for other tokens.
    """
    if init_from is None:
        return
    source = sources.read(init_from)
    fitted = resizing.fit(source, model.task.config, vocabulary)
    done = building.set_task(model.task, fitted)
    _log.info(
        f"Weights from {init_from} ({sources.DESCRIPTIONS[source.kind]}): "
        + ", ".join(name.replace("_", " ") for name in done)
    )
    for note in fitted.notes:
        _log.info(f"  {note}")


def train(
    model: TrainingModel,
    settings,
    distribution: Distribution,
    data: RunData,
    title: str,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, float]:
    """Restores, fits, evaluates and saves; the same call again resumes.

    Args:
      model: from make_model.
      settings: with sections optimization and runtime, and a seed.
      distribution: where it runs.
      data: what it reads; what is held out is evaluated before the first
        step, every runtime.evaluate_every steps, and at the end.
      title: what the progress bar is called.
      callbacks: more of them, run after those of every run; then those that
        runtime.callbacks names.

    Returns:
      the last validation's values, with "step".

    Raises:
      Stopped: a signal ended the run early, after a checkpoint; its status
        is 130 (SIGINT) or 143 (SIGTERM).
      Diverged: runtime.on_nan, max_skipped or spike ended the run.
      SaveError: a checkpoint could not be written.
      UserError: checkpoints are damaged or of another run.
    """
    runtime = settings.runtime
    run_dir = Path(runtime.run_dir)
    about = read_json(run_dir / RUN_FILE)
    vitals = Vitals(run_dir)
    if distribution.is_chief:
        make = vitals.watching(model, distribution, data.make_batches)
        data = dataclasses.replace(data, make_batches=make)
    work = data.stages and data.stages.work
    run = TrainingRun(
        model,
        settings,
        distribution,
        data,
        _watchers(run_dir, settings, title, distribution, vitals, work),
        [*callbacks, *own_callbacks.make(runtime.callbacks)],
        run_facts(settings, about),
    )
    with resource_errors.explained():
        return run.run()


def _watchers(run_dir, settings, title, distribution, vitals, work) -> list:
    if not distribution.is_chief:
        return []
    total = settings.optimization.steps
    every = settings.runtime.log_every
    every = {"every": every, "total_steps": total, "vitals": vitals}
    watchers = [
        MetricsLog(run_dir, **every),
        TensorBoardLog(run_dir, **every),
        ProgressBar(total, title, vitals=vitals),
    ]
    for watcher in watchers:
        watcher.pace.work = work
    return watchers
