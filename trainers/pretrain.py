"""`tfbert pretrain`: masked-LM pretraining of a BERT encoder on records."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE
from tfrecords.batches import mistakes
from tfrecords.batches.batch import AnyRecords
from trainers import command
from trainers.files.console import console
from trainers.pretraining import data as pretraining_data
from trainers.pretraining.data import PretrainingData
from trainers.settings.pretraining_optimization import PretrainingOptimization
from trainers.settings.ranges import check_ranges
from trainers.settings.sections import (
    ModelSettings,
    RuntimeSettings,
    add_settings,
    dry_run_setting,
    parse_settings,
)
from trainers.settings.warmup import with_warmup_steps

if TYPE_CHECKING:
    from trainers.distributed.strategies import Distribution


@dataclasses.dataclass
class PretrainingSettings:
    """All settings of a pretraining run."""

    model: ModelSettings
    data: PretrainingData
    optimization: PretrainingOptimization
    runtime: RuntimeSettings
    seed: int = dataclasses.field(
        default=0,
        metadata={"help": "of weights, order, masks and dropout (default: 0)"},
    )
    budget: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "time for the whole run, such as 30m or 2h: steps are "
            "timed, and optimization.steps chosen to fit"
        },
    )
    dry_run: bool = dry_run_setting()


def build_parser() -> command.Parser:
    """The parser of `tfbert pretrain`."""
    parser = command.make_parser(
        "pretrain",
        "Pretrains a BERT encoder on records, on one device, all devices of "
        "a host, several hosts (TF_CONFIG) or a TPU. The same command again "
        "resumes from the newest checkpoint.",
        "tfbert pretrain --config trainers/configs/pretrain_mini_cpu.yaml "
        "--data.records records_32 --runtime.run_dir runs/mini_32",
        # Records are copied here before they are read.
        may_be_addresses=(
            "data.records",
            "data.mixture",
            "data.held_out",
            "runtime.tpu",
        ),
    )
    add_settings(parser, PretrainingSettings)
    return parser


def main(
    argv: list[str] | None = None, task_class: Callable | None = None
) -> None:
    """Runs the verb, on another task if one is given; see `pretrain`."""
    settings = parse_settings(build_parser(), PretrainingSettings, argv)
    check_ranges(settings)
    # Imported here and below: --help and a misspelt setting should not wait
    # for TensorFlow's start-up.
    from trainers.distributed.strategies import distribution_of

    with distribution_of(settings) as distribution:
        pretrain(settings, distribution, task_class)


def pretrain(
    settings: PretrainingSettings,
    distribution: "Distribution",
    task_class: Callable | None = None,
) -> dict[str, float]:
    """Pretrains; returns the last held-out values, with "step".

    Args:
      settings: all settings.
      distribution: where it runs.
      task_class: (config, dtype=, seed=) -> Task that learns from the
        batches of pretraining; None: PretrainingTask.

    Raises:
      UserError: settings, records or run folder do not fit together.
    """
    from trainers.planning import precision
    from trainers.run import api

    records = pretraining_data.open_training(settings.data)
    held_out = pretraining_data.open_held_out(settings.data, records)
    config = settings.model.bert_config(vocab_size=len(records.vocabulary))
    check_sizes(settings, records, config)

    settings = precision.resolved(settings, config, distribution)

    def build(settings):
        return _build(
            settings, config, records, held_out, distribution, task_class
        )

    settings = _with_steps(settings, records, distribution, build)
    if not settings.dry_run:
        _open_run(settings, records, config, distribution, task_class)
    if distribution.is_chief:
        _describe(settings, config, records, held_out, distribution)
    model, make_batches, validation = build(settings)
    if settings.dry_run:
        from trainers.planning import dry_run

        return dry_run.show(
            model, settings, distribution, make_batches, validation
        )
    with mistakes.raised():
        result = api.train(
            model,
            settings,
            distribution,
            make_batches,
            validation,
            title="pretraining",
            callbacks=_masked_examples(settings, held_out, distribution),
            row_ids=pretraining_data.row_ids(settings, records),
        )
    if distribution.is_chief:
        _tell_end(Path(settings.runtime.run_dir), records, held_out)
    return result


def with_known_steps(settings, records: AnyRecords) -> PretrainingSettings:
    """The settings as a run resolves them, as far as that needs no measuring.

    Steps of a budget are known when the run has begun before.

    Raises:
      UserError: budget or warm-up make no sense.
    """
    optimization = settings.optimization
    if settings.budget is not None:
        from trainers.planning.budget import parse_budget, steps_of_run

        parse_budget(settings.budget)
        steps = steps_of_run(settings)
        if steps is None:
            unknown = dataclasses.replace(optimization, warmup_steps=0)
            return dataclasses.replace(settings, optimization=unknown)
        optimization = dataclasses.replace(optimization, steps=steps)
    optimization = with_warmup_steps(optimization, records.sequence_length)
    return dataclasses.replace(settings, optimization=optimization)


def _with_steps(settings, records, distribution, build):
    """Settings with numbers of steps for budget and warm-up, all checked."""
    from trainers.run import api

    if settings.budget is not None:
        from trainers.planning.budget import with_budget

        settings = with_budget(settings, distribution, build)
    optimization = with_warmup_steps(
        settings.optimization, records.sequence_length
    )
    settings = dataclasses.replace(settings, optimization=optimization)
    api.check_settings(settings, distribution)
    return settings


def _build(
    settings, config, records, held_out, distribution, task_class
) -> tuple:
    """The model with its first weights, and what it reads.

    Returns:
      (model, make_batches, validation)
    """
    from tfbert.tasks.pretraining import PretrainingTask
    from trainers.run import api

    if task_class is None:
        task_class = functools.partial(
            PretrainingTask, next_sentence=records.has_labels
        )
    model = api.make_model(
        lambda: task_class(
            config, dtype=settings.runtime.dtype, seed=settings.seed
        ),
        settings,
        distribution,
    )
    api.initialise(model, settings.model.init_from, records.vocabulary)
    batches, validation = pretraining_data.make_batches(
        settings, records, held_out, distribution
    )
    return model, batches, validation


def about_run(records: AnyRecords, task_class: Callable | None = None) -> dict:
    """The content of run.json; the kind of another task is its name."""
    kind = "pretraining" if task_class is None else task_class.__name__.lower()
    return {
        "kind": kind,
        "records": str(Path(records.path).absolute()),
        "max_length": records.sequence_length,
        "hashes": pretraining_data.hashes(records),
    }


def _open_run(settings, records, config, distribution, task_class) -> None:
    """Makes or re-opens the run's folder with all that describes the run."""
    from trainers.run import api

    about = about_run(records, task_class)
    run_dir = api.open_run(settings, about, distribution)
    if distribution.is_chief:
        config.to_json(run_dir / CONFIG_FILE)
        pretraining_data.save_tokenizer(records, run_dir)


def _masked_examples(settings, held_out, distribution) -> list:
    """The callback that shows predictions on held-out rows, if it can."""
    from trainers.watching.masked_examples import MaskedExamples

    if held_out is None or not distribution.is_chief:
        return []
    return [
        MaskedExamples(
            settings.runtime.run_dir,
            held_out,
            settings.data.masking,
            settings.seed,
        )
    ]


def check_sizes(settings, records: AnyRecords, config) -> None:
    """Raises UserError unless rows fill a batch, masks and the encoder."""
    batch_size = settings.optimization.batch_size
    if records.num_rows < batch_size:
        raise UserError(
            f"wanted at least one batch of {batch_size} rows, got "
            f"{records.num_rows} in {records.path}; lower "
            "optimization.batch_size, or build records from more text"
        )
    length = records.sequence_length
    pretraining_data.predictions(settings.data.masking, records)
    if length > config.max_position_embeddings:
        raise UserError(
            f"wanted records of at most model.max_position_embeddings = "
            f"{config.max_position_embeddings} tokens a row, got {length} in "
            f"{records.path}; raise the setting, or build shorter records"
        )


def _describe(settings, config, records, held_out, distribution) -> None:
    """Prints what will be done."""
    optimization, runtime = settings.optimization, settings.runtime
    rows = optimization.batch_plan.first_row(optimization.steps)
    epochs = rows / records.num_rows
    console.print(
        f"Pretraining {config.num_hidden_layers} layers of "
        f"{config.hidden_size} (vocabulary {config.vocab_size}, "
        f"{runtime.precision}) on "
        f"{pretraining_data.describe(records)}\n"
        + distribution.describe(
            optimization.batch_size,
            optimization.accumulation_steps,
            records.num_rows,
        )
        + f"\n{optimization.steps:,} steps = {epochs:.2f} epochs; "
        + (
            f"{held_out.num_rows:,} held-out rows"
            if held_out
            else "no held-out rows (tfbert records --held_out 0.01 makes some)"
        )
        + f"; run folder {runtime.run_dir}"
    )


def _tell_end(run_dir: Path, *opened: AnyRecords | None) -> None:
    """Prints what was skipped, if anything was, and where the run is."""
    for records in filter(None, opened):
        damage = pretraining_data.describe_damage(records)
        if damage:
            console.print(f"{records.path}: {damage}", markup=False)
    console.print(
        f"The run is in {run_dir}. Next: tfbert report {run_dir}, or "
        f"tfbert finetune with --model.init_from {run_dir}"
    )


if __name__ == "__main__":
    sys.exit(command.script(main))
