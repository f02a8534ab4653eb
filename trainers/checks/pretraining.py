"""Settings, records, held-out data and run folder of a pretraining run."""

import dataclasses
from collections.abc import Callable

from tfbert.converters import sources
from tfbert.errors import UserError
from tfbert.weights import resizing
from tfrecords.batches.batch import AnyRecords
from tfrecords.storage.reader import Records
from trainers.checks import machine
from trainers.checks.findings import Findings
from trainers.distributed.members import Cluster
from trainers.pretraining.data import describe, predictions
from trainers.pretraining.settings import with_known_steps
from trainers.pretraining.stages import (
    StageData,
    about_run,
    check_sizes,
    open_run_records,
)
from trainers.run.run_setup import check_run_folder, check_settings

# Rates that pretraining of encoders is known to survive, and then some.
HIGHEST_RATE = 1e-2


def check_pretraining(
    findings: Findings, settings, cluster: Cluster | None
) -> None:
    """Looks at all that `tfbert pretrain` would use.

    Args:
      findings: where findings go.
      settings: PretrainingSettings.
      cluster: what find_cluster gives.
    """
    distribution = machine.planned_distribution(settings.runtime, cluster)
    read = findings.attempt(
        "records",
        open_run_records,
        settings.data,
        settings.optimization.stages,
    )
    if read is not None:
        length = read.last.sequence_length
        settings = (
            findings.attempt("settings", with_known_steps, settings, length)
            or settings
        )
    _settle(findings, "settings", check_settings, settings, distribution)
    check_rate(findings, settings.optimization)
    if read is None:
        return
    for records in read.all:
        findings.add("fine", "records", describe(records))
    for stage in read.stages:
        _check_held_out(findings, stage)
    size = len(read.last.vocabulary)
    config = findings.attempt("model", settings.model.bert_config, size)
    if config is None:
        return
    _settle(findings, "sizes", check_sizes, settings, read, config)
    vocabulary = read.last.vocabulary
    check_start(findings, settings.model.init_from, vocabulary, config)
    _settle(
        findings,
        "run folder",
        check_run_folder,
        settings,
        about_run(read),
        distribution,
    )
    activations = machine.activations_of(
        settings,
        config,
        distribution,
        read.longest,
        _predictions(findings, settings.data.masking, read.last),
    )
    machine.check_room(findings, settings, config, activations)


def _settle(findings: Findings, area: str, check: Callable, *arguments):
    """Calls a check that returns nothing; says so if all is well."""
    before = len(findings.mistakes)
    findings.attempt(area, check, *arguments)
    if len(findings.mistakes) == before:
        findings.add("fine", area, "nothing wrong")


def check_rate(findings: Findings, optimization) -> None:
    """A learning rate out of all proportion is a slip of the pen."""
    rate = optimization.learning_rate
    if optimization.optimizer == "adamw" and rate > HIGHEST_RATE:
        findings.add(
            "mistake",
            "settings",
            f"wanted optimization.learning_rate up to {HIGHEST_RATE:g} for "
            f"adamw, got {rate:g}, with which no encoder is known to learn; "
            "1e-4 to 1e-3 is usual, 5e-5 for fine-tuning",
        )


def check_start(
    findings: Findings, init_from: str | None, vocabulary: list[str], config
) -> None:
    """The weights to start from are there, and of this vocabulary and shape.

    Args:
      init_from: any source of `tfbert.load_encoder`; None: random weights.
      vocabulary: the tokens of the data.
      config: of the encoder that they go into.
    """
    if init_from is None:
        return
    source = findings.attempt("weights", sources.read, init_from)
    if source is None:
        return
    _settle(findings, "weights", resizing.fit, source, config, vocabulary)


def _check_held_out(findings: Findings, stage: StageData) -> None:
    """There is held-out text, and it is not what is trained on."""
    records, held_out = stage.records, stage.held_out
    if held_out is None:
        findings.add(
            "advice",
            "held-out data",
            f"there is none beside {records.path}, so nothing will tell "
            "learning from memorising; tfbert records --held_out 0.01 makes "
            "some",
        )
        return
    shared = _shards(records) & _shards(held_out)
    if shared:
        findings.add(
            "mistake",
            "held-out data",
            f"wanted text that is not trained on, got {held_out.path} with "
            f"{len(shared)} files of the training records; take the held_out "
            "folder that tfbert records --held_out 0.01 makes",
        )
        return
    rows = f"{held_out.num_rows:,} rows in {held_out.path}"
    findings.add("fine", "held-out data", rows)


def _shards(records: AnyRecords) -> set[str]:
    """SHA-256 of the files of rows, those of a mixture together."""
    sources = getattr(records, "sources", [records])
    return {
        shard.sha256
        for source in sources
        if isinstance(source, Records)
        for shard in source.manifest.shards
    }


def _predictions(findings: Findings, masking, records: AnyRecords) -> int:
    """P, 0 if it cannot be; advises where tokens to mask have no place."""
    try:
        most = predictions(masking, records)
    except UserError:  # Told by check_sizes.
        return 0
    own = dataclasses.replace(masking, max_predictions=None)
    wanted = predictions(own, records)
    length = records.sequence_length
    if most < wanted:
        rate = most / (length - 2)
        told = (
            f"at most {rate:.1%} will be predicted"
            if rate < masking.rate
            else "the shorter words of some rows will not be predicted"
        )
        findings.add(
            "advice",
            "masking",
            f"data.masking.max_predictions is {most}, but {masking.rate:.0%} "
            f"of rows of {length} tokens ({masking.strategy}) need {wanted}: "
            f"{told}; leave it out (null), and it follows from the rate",
        )
    return most
