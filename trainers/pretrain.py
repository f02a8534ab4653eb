"""`tfbert pretrain`: masked-LM pretraining of a BERT encoder on records."""

import dataclasses
import sys
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.dataset import evaluation_batches, pretraining_batches
from tfrecords.masking import Masking
from tfrecords.records import Records
from trainers import command
from trainers.config import (
    ModelSettings,
    OptimizationSettings,
    RuntimeSettings,
    add_settings,
    check_positive,
    parse_settings,
)
from trainers.distribution import Distribution, make_distribution

HELD_OUT = "held_out"


@dataclasses.dataclass
class PretrainingData:
    """What is read, and how tokens are hidden.

    Args:
      records: folder that `tfbert records` wrote.
      held_out: records for evaluation; null: RECORDS/held_out if it exists.
      evaluation_rows: at most this many held-out rows.
      masking: which tokens are predicted, and how they are hidden.
    """

    records: str = "records"
    held_out: str | None = None
    evaluation_rows: int = 2048
    masking: Masking = dataclasses.field(default_factory=Masking)


@dataclasses.dataclass
class PretrainingSettings:
    """All settings of a pretraining run."""

    model: ModelSettings
    data: PretrainingData
    optimization: OptimizationSettings
    runtime: RuntimeSettings
    seed: int = dataclasses.field(
        default=0,
        metadata={"help": "of weights, order, masks and dropout (default: 0)"},
    )


def build_parser() -> command.Parser:
    """The parser of `tfbert pretrain`."""
    parser = command.make_parser(
        "pretrain",
        "Pretrains a BERT encoder on records, on one device, all devices of "
        "a host, several hosts (TF_CONFIG) or a TPU. The same command again "
        "resumes from the newest checkpoint.",
        "tfbert pretrain --config trainers/configs/pretrain_mini_cpu.yaml "
        "--data.records records --runtime.run_dir runs/mini",
    )
    add_settings(parser, PretrainingSettings)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    settings = parse_settings(build_parser(), PretrainingSettings, argv)
    runtime = settings.runtime
    distribution = make_distribution(
        runtime.strategy, runtime.tpu, runtime.devices
    )
    pretrain(settings, distribution)


def pretrain(
    settings: PretrainingSettings, distribution: Distribution
) -> dict[str, float]:
    """Pretrains; returns the last held-out values, with "step".

    Raises:
      UserError: settings, records or run folder do not fit together.
    """
    # Imported here: --help and a misspelt setting should not wait for the
    # model code and its TensorFlow start-up.
    from tfbert.tasks.pretraining import PretrainingTask
    from tfbert.tokenization import Tokenizer
    from trainers import training

    training.check_settings(settings, distribution)
    check_positive(settings.data, "data", "evaluation_rows")
    records = Records(settings.data.records)
    held_out = _open_held_out(settings.data, records)
    config = settings.model.bert_config(vocab_size=len(records.vocabulary))
    _check_sizes(settings, records, config)
    run_dir = training.open_run(
        settings,
        {
            "kind": "pretraining",
            "records": str(Path(settings.data.records).absolute()),
            "max_length": records.sequence_length,
        },
        distribution,
    )
    if distribution.is_chief:
        config.to_json(run_dir / "config.json")
        Tokenizer.from_folder(records.path).save(run_dir)
        _describe(settings, config, records, held_out, distribution)

    next_sentence = records.manifest.objective == "next_sentence"
    model = training.make_model(
        lambda: PretrainingTask(
            config,
            next_sentence=next_sentence,
            dtype=settings.runtime.dtype,
            seed=settings.seed,
        ),
        settings,
        distribution,
    )
    training.initialise(model, settings.model.init_from)
    result = training.train(
        model,
        settings,
        distribution,
        lambda start: _batches(settings, records, distribution, start),
        held_out and _held_out_batches(settings, held_out, distribution),
        title="pretraining",
    )
    if distribution.is_chief:
        command.console.print(
            f"The run is in {run_dir}. Next: tfbert report {run_dir}, or "
            f"tfbert finetune with --model.init_from {run_dir}"
        )
    return result


def _batches(settings, records, distribution, start_step):
    """Distributed training batches from step `start_step` on."""
    return distribution.dataset(
        lambda first_replica, local_replicas: pretraining_batches(
            records,
            settings.data.masking,
            seed=settings.seed,
            global_batch_size=settings.optimization.batch_size,
            num_replicas=distribution.num_replicas,
            first_replica=first_replica,
            local_replicas=local_replicas,
            start_step=start_step,
            micro_batches=settings.optimization.accumulation_steps,
        )
    )


def _held_out_batches(settings, records, distribution):
    """(dataset, steps) of the held-out records."""
    steps = 0

    def make(first_replica, local_replicas):
        nonlocal steps
        dataset, steps = evaluation_batches(
            records,
            settings.data.masking,
            seed=settings.seed,
            global_batch_size=settings.optimization.batch_size,
            num_replicas=distribution.num_replicas,
            first_replica=first_replica,
            local_replicas=local_replicas,
            max_rows=settings.data.evaluation_rows,
        )
        # Endless, so that shapes stay static under a strategy; the number of
        # steps ends an evaluation.
        return dataset.repeat()

    dataset = distribution.dataset(make)
    return dataset, steps


def _open_held_out(data: PretrainingData, records: Records) -> Records | None:
    path = data.held_out or Path(records.path) / HELD_OUT
    if data.held_out is None and not Path(path).is_dir():
        return None
    held_out = Records(path)
    if held_out.vocabulary != records.vocabulary:
        raise UserError(
            f"wanted held-out records with the vocabulary of {records.path}, "
            f"got another one in {path}; build both with the same --vocab"
        )
    return held_out


def _check_sizes(settings, records: Records, config) -> None:
    batch_size = settings.optimization.batch_size
    if records.num_rows < batch_size:
        raise UserError(
            f"wanted at least one batch of {batch_size} rows, got "
            f"{records.num_rows} in {records.path}; lower "
            "optimization.batch_size, or build records from more text"
        )
    length = records.sequence_length
    if length > config.max_position_embeddings:
        raise UserError(
            f"wanted records of at most model.max_position_embeddings = "
            f"{config.max_position_embeddings} tokens a row, got {length} in "
            f"{records.path}; raise the setting, or build shorter records"
        )


def _describe(settings, config, records, held_out, distribution) -> None:
    """Prints what will be done."""
    optimization, runtime = settings.optimization, settings.runtime
    epochs = optimization.steps * optimization.batch_size / records.num_rows
    command.console.print(
        f"Pretraining {config.num_hidden_layers} layers of "
        f"{config.hidden_size} (vocabulary {config.vocab_size}, "
        f"{runtime.precision}) on {records.num_rows:,} rows of "
        f"{records.sequence_length} tokens from {records.path}\n"
        + distribution.describe(
            optimization.batch_size, optimization.accumulation_steps
        )
        + f"\n{optimization.steps:,} steps = {epochs:.2f} epochs; "
        + (
            f"{held_out.num_rows:,} held-out rows"
            if held_out
            else "no held-out rows (tfbert records --held_out 0.01 makes some)"
        )
        + f"; run folder {runtime.run_dir}"
    )


if __name__ == "__main__":
    sys.exit(command.run(main))
