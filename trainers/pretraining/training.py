"""A pretraining run from its settings: opened, described, trained."""

import dataclasses
import functools
import logging
from pathlib import Path

from tfbert.file_names import CONFIG_FILE
from tfbert.tasks.pretraining import PretrainingTask
from tfrecords.batches import mistakes
from tfrecords.batches.unigrams import unigram_entropy
from trainers.distributed.strategies import Distribution
from trainers.planning import dry_run, precision
from trainers.planning.budget import with_budget
from trainers.pretraining import batches, branching, stages
from trainers.pretraining import data as pretraining_data
from trainers.pretraining.plateau import PlateauWatch
from trainers.pretraining.settings import PretrainingSettings
from trainers.pretraining.stages import RunRecords
from trainers.run import api
from trainers.run.outcome import NOTHING_OWN, History, Outcome, OwnParts
from trainers.run.run_data import RunData
from trainers.settings.warmup import with_warmup_steps
from trainers.step.training_model import TrainingModel
from trainers.watching.masked_examples import MaskedExamples

_log = logging.getLogger(__name__)

# Enough to know the entropy of the tokens to some hundredths of a nat.
_UNIGRAM_ROWS = 4096


def train(
    settings: PretrainingSettings,
    distribution: Distribution,
    own: OwnParts = NOTHING_OWN,
) -> Outcome:
    """Pretrains; the figures are the last held-out values, with "step".

    Args:
      settings: all settings.
      distribution: where it runs.
      own: what stands in the place of ours; its task_class is (config,
        dtype=, seed=) -> Task that learns from the batches of pretraining.

    Raises:
      UserError: settings, records or run folder do not fit together.
      Stopped: a signal ended the run early.
    """
    settings, branch = branching.branch_of(settings)
    read = stages.open_run_records(settings.data, settings.optimization.stages)
    config = settings.model.bert_config(vocab_size=len(read.last.vocabulary))
    stages.check_sizes(settings, read, config)

    settings = precision.resolved(settings, config, distribution)

    def build(settings):
        return _build(settings, config, read, distribution, own)

    settings = _with_steps(settings, read, distribution, build)
    if not settings.dry_run:
        _open_run(settings, read, config, distribution, own.task_class)
        if branch is not None:
            run_dir = Path(settings.runtime.run_dir)
            branching.take_over(branch, run_dir, distribution)
    if distribution.is_chief:
        _describe(settings, config, read, distribution)
    model, data = build(settings)
    if settings.dry_run:
        figures = dry_run.show(model, settings, distribution, data)
        return Outcome(model, figures, {})
    history = History()
    with mistakes.raised():
        figures = api.train(
            model,
            settings,
            distribution,
            data,
            title="pretraining",
            callbacks=[
                *_masked_examples(settings, read, distribution),
                *_plateau_watch(settings, read, distribution, own),
                history,
                *own.callbacks,
            ],
        )
    if distribution.is_chief:
        _tell_end(Path(settings.runtime.run_dir), read)
    return Outcome(model, figures, history.values)


def _with_steps(settings, read: RunRecords, distribution, build):
    """Settings with numbers of steps for budget and warm-up, all checked."""
    if settings.budget is not None:
        settings = with_budget(settings, distribution, build)
    optimization = with_warmup_steps(
        settings.optimization, read.last.sequence_length
    )
    settings = dataclasses.replace(settings, optimization=optimization)
    api.check_settings(settings, distribution)
    return settings


def _build(
    settings, config, read: RunRecords, distribution, own: OwnParts
) -> tuple[TrainingModel, RunData]:
    """The model with its first weights, and what it reads."""
    task_class = own.task_class
    if task_class is None:
        task_class = functools.partial(
            PretrainingTask, next_sentence=read.last.has_labels
        )
    model = api.make_model(
        lambda: task_class(
            config, dtype=settings.runtime.dtype, seed=settings.seed
        ),
        settings,
        distribution,
        own.model_class or TrainingModel,
    )
    api.initialise(model, settings.model.init_from, read.last.vocabulary)
    return model, batches.run_data(settings, read, distribution)


def _open_run(settings, read, config, distribution, task_class) -> None:
    """Makes or re-opens the run's folder with all that describes the run."""
    about = stages.about_run(read, task_class)
    run_dir = api.open_run(settings, about, distribution)
    if distribution.is_chief:
        config.to_json(run_dir / CONFIG_FILE)
        pretraining_data.save_tokenizer(read.last, run_dir)


def _masked_examples(settings, read: RunRecords, distribution) -> list:
    """The callback that shows predictions on held-out rows, if it can."""
    # Rows of the first stage: to those of a later one the model has grown.
    held_out = read.stages[0].held_out
    if held_out is None or not distribution.is_chief:
        return []
    return [
        MaskedExamples(
            settings.runtime.run_dir,
            held_out,
            settings.data.evaluation_masking,
            settings.seed,
        )
    ]


def _plateau_watch(settings, read, distribution, own: OwnParts) -> list:
    """The callback that tells of a loss of token frequencies alone."""
    if not distribution.is_chief or own.task_class is not None:
        return []
    records = read.stages[0].records
    entropy = unigram_entropy(records, _UNIGRAM_ROWS, settings.seed)
    _log.info(
        f"Token frequencies alone give a loss of {entropy:.2f} nats; below it "
        "the context is used"
    )
    return [
        PlateauWatch(
            settings.runtime.run_dir,
            entropy,
            records.sequence_length,
            settings.runtime.log_every,
            settings.optimization.steps,
        )
    ]


def _describe(settings, config, read: RunRecords, distribution) -> None:
    """Prints what will be done."""
    optimization, runtime = settings.optimization, settings.runtime
    plan, steps = optimization.batch_plan, optimization.steps
    held_out = read.stages[-1].held_out
    num_rows = sum(records.num_rows for records in read.all)
    epochs = plan.rows_before(steps) / num_rows
    _log.info(
        f"Pretraining {config.num_hidden_layers} layers of "
        f"{config.hidden_size} (vocabulary {config.vocab_size}, "
        f"{runtime.precision}) on "
        f"{stages.describe(read, plan, steps)}\n"
        + distribution.describe(
            optimization.batch_size,
            optimization.accumulation_steps,
            num_rows,
        )
        + f"\n{steps:,} steps = {epochs:.2f} epochs; "
        + (
            f"{held_out.num_rows:,} held-out rows"
            if held_out
            else "no held-out rows (tfbert records --held_out 0.01 makes some)"
        )
        + f"; run folder {runtime.run_dir}"
    )


def _tell_end(run_dir: Path, read: RunRecords) -> None:
    """Prints what was skipped, if anything was, and where the run is."""
    for records in read.opened:
        damage = pretraining_data.describe_damage(records)
        if damage:
            _log.info(f"{records.path}: {damage}")
    _log.info(
        f"The run is in {run_dir}. Next: tfbert report {run_dir}, or "
        f"tfbert finetune with --model.init_from {run_dir}"
    )
