"""A fine-tuning run from its settings: read, described, trained, measured."""

import dataclasses
import functools
import logging
from pathlib import Path

from tfbert.errors import UserError
from tfbert.file_names import BEST_FILE, CONFIG_FILE
from tfbert.tasks.own_loss import use_loss
from trainers.checkpoints.best import KeepBest, read_best
from trainers.distributed.strategies import Distribution
from trainers.files.run_folder import RunFolder
from trainers.files.text import figure_text
from trainers.finetuning import calibration, evaluation
from trainers.finetuning.data import load_data
from trainers.finetuning.freezing import freeze
from trainers.finetuning.model import judged
from trainers.finetuning.saved_run import FinetunedRun
from trainers.finetuning.settings import (
    FinetuningSettings,
    check_kind,
    resolve,
    with_padding,
)
from trainers.planning import dry_run, precision
from trainers.run import api
from trainers.run.early_stopping import EarlyStopping
from trainers.run.outcome import NOTHING_OWN, History, Outcome, OwnParts
from trainers.run.run_data import RunData

_log = logging.getLogger(__name__)


def train(
    settings: FinetuningSettings,
    distribution: Distribution,
    own: OwnParts = NOTHING_OWN,
) -> Outcome:
    """Fine-tunes; the figures are what the best weights reached.

    They are "step" (of the best weights), and where there are such files
    "validation_NAME" and "test_NAME" of each figure of the task.

    Args:
      settings: all settings.
      distribution: where it runs.
      own: what stands in the place of ours.

    Raises:
      UserError: settings, data, run folder or weights do not fit together.
      Stopped: a signal ended the run early.
    """
    data = load_data(settings, own.task_class)
    config = settings.model.encoder_config(data.tokenizer.vocab_size)
    check_kind(data.kind, settings, config)
    runtime = with_padding(settings.runtime, distribution)
    settings = dataclasses.replace(settings, runtime=runtime)
    settings = resolve(settings, len(data.train))
    data.check_batch(settings.optimization.batch_size)
    data = _in_shapes(data, runtime, distribution)
    settings = precision.resolved(settings, config, distribution)
    api.check_settings(settings, distribution)
    if not settings.dry_run:
        _open_run(settings, config, data, distribution)
    places = data.real_tokens(settings, distribution)
    if distribution.is_chief:
        _describe(settings, config, data, distribution)
        _log.info(places.describe(runtime.skip_padding))

    model = _make_model(settings, config, data, distribution, own)
    if runtime.skip_padding:
        model.attended = places.attended
    api.initialise(model, settings.model.init_from, data.tokenizer.vocabulary)
    batches = (
        functools.partial(data.training_batches, settings, distribution),
        data.validation_batches(settings, distribution),
    )
    if settings.dry_run:
        largest = (places.largest, places.pairs)
        figures = dry_run.show(
            model, settings, distribution, RunData(*batches), largest
        )
        figures["real_tokens_share"] = places.share
        return Outcome(model, figures, {})
    history = History()
    callbacks = [history, *own.callbacks]
    reached = _fit(model, settings, distribution, data, batches, callbacks)
    figures = {"step": reached["step"]}
    if distribution.is_chief:
        run = FinetunedRun(settings.runtime.run_dir, own.task_class)
        figures = _report(settings, run, reached["step"])
    return Outcome(model, figures, history.values)


def _make_model(settings, config, data, distribution, own: OwnParts):
    """The model with new weights, and what its validation is judged by."""

    def make_task():
        task = data.kind.make_task(
            config, settings.runtime.dtype, settings.seed, own.task_class
        )
        if own.loss is not None:
            use_loss(task, own.loss)
        encoder = task.encoder
        encoder.skip_padding = settings.runtime.skip_padding
        if settings.runtime.xla or distribution.kind == "tpu":
            encoder.fixed_sizes = data.fixed_sizes(settings, distribution)
        return freeze(task, settings.model.freeze)

    model = api.make_model(
        make_task, settings, distribution, judged(own.model_class)
    )
    _judge(model, data)
    return model


def _fit(model, settings, distribution, data, batches, callbacks) -> dict:
    """Trains; keeps the best weights and ends early, if asked to."""
    run_dir = Path(settings.runtime.run_dir)
    metric = settings.data.metric or data.kind.best_metric
    return api.train(
        model,
        settings,
        distribution,
        RunData(*batches, data.row_ids(settings)),
        title="fine-tuning",
        callbacks=[
            *_keep_best(run_dir, distribution, metric),
            EarlyStopping(settings.runtime.early_stopping, metric),
            *callbacks,
        ],
    )


def _in_shapes(data, runtime, distribution: Distribution):
    """The data, in fixed shapes where the device wants them.

    Raises:
      UserError: windows that are none would be computed.
    """
    if not runtime.xla and distribution.kind != "tpu":
        return data
    if getattr(data.kind, "in_windows", False) and not runtime.skip_padding:
        raise UserError(
            "texts in windows have as many rows as the longest text where "
            "shapes are fixed (runtime.xla, a TPU), and all of them would be "
            "computed: give runtime.skip_padding true, or data.long_texts "
            "head or head_tail"
        )
    return data.in_fixed_shapes()


def _open_run(settings, config, data, distribution: Distribution) -> None:
    """Makes or re-opens the run's folder with all that describes the run."""
    run_dir = api.open_run(settings, data.about(), distribution)
    if distribution.is_chief:
        config.to_json(run_dir / CONFIG_FILE)
        data.tokenizer.save(run_dir)


def _judge(model, data) -> None:
    """Lets the kind of task judge validation predictions as a whole."""
    if data.validation is None:
        return

    def judge(outputs):
        result = data.kind.evaluate(
            data.validation_examples, data.validation, outputs, model.step
        )
        return result.figures | calibration.figures(
            data.kind, data.validation_examples, outputs
        )

    model.judge_by(data.kind.outputs, len(data.validation), judge)


def _keep_best(run_dir: Path, distribution: Distribution, metric: str) -> list:
    return [KeepBest(run_dir, metric)] if distribution.is_chief else []


def _describe(settings, config, data, distribution) -> None:
    """Prints what will be done."""
    optimization = settings.optimization
    start = settings.model.init_from or "random weights"
    parts = [f"{data.num_examples:,} examples of {settings.data.train}"]
    if data.validation is not None:
        parts.append(f"{len(data.validation_examples):,} for validation")
    _log.info(
        f"Fine-tuning {config.num_hidden_layers} layers of "
        f"{config.hidden_size} from {start}: {data.kind.describe()}, "
        f"{', '.join(parts)}, {data.train.sequence_length} tokens a row\n"
        + distribution.describe(
            optimization.batch_size,
            optimization.accumulation_steps,
            len(data.train),
        )
        + f"\n{optimization.steps:,} steps = "
        f"{optimization.steps * optimization.batch_size / len(data.train):.2f}"
        f" epochs; run folder {settings.runtime.run_dir}"
    )
    about_batch = data.check_batch(optimization.batch_size)
    for line in [*about_batch, *data.account()]:
        _log.info(line)


def _report(settings, run: FinetunedRun, last_step: int) -> dict[str, float]:
    """Tells and returns what the best weights of a finished run reach."""
    run_dir = run.path
    reached = {"step": last_step}
    if (run_dir / BEST_FILE).exists():
        values = read_best(run_dir / BEST_FILE)
        reached = {"step": int(values.pop("step"))}
        reached |= {f"validation_{name}": v for name, v in values.items()}
        shown = ", ".join(
            f"{name} {figure_text(name, v)}" for name, v in values.items()
        )
        _log.info(f"Best at step {reached['step']}: validation {shown}")
        facts = calibration.told(
            values, RunFolder(run_dir).about.get("validation_examples")
        )
        if facts:
            _log.info(
                "Probabilities: "
                + "; ".join(f"{name} {fact}" for name, fact in facts.items())
            )
    if settings.data.test:
        result = evaluation.evaluate(run, settings.data.test)
        reached |= {f"test_{name}": v for name, v in result.figures.items()}
        _log.info(
            f"Test: {result.summary()}; `tfbert evaluate {run_dir} --data "
            f"{settings.data.test}` shows more"
        )
    _log.info(
        f"The run is in {run_dir}. Next: tfbert predict {run_dir} 'some text', "
        f"tfbert export {run_dir} --output exports/{run_dir.name}, or tfbert "
        f"report {run_dir}"
    )
    return reached
