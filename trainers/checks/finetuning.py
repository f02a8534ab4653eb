"""Labelled files, encoder and run folder of a fine-tuning run."""

import dataclasses

from trainers.checks import machine
from trainers.checks.findings import Findings
from trainers.checks.pretraining import check_rate, check_start
from trainers.distributed.members import Cluster
from trainers.finetuning.data import LoadedData, load_data
from trainers.finetuning.settings import (
    check_kind,
    resolve,
    with_padding,
)
from trainers.run.run_setup import check_run_folder, check_settings

# From this share on, validation measures memory.
MOST_SHARED = 0.5


def check_finetuning(
    findings: Findings, settings, cluster: Cluster | None
) -> None:
    """Looks at all that `tfbert finetune` would use.

    Args:
      findings: where findings go.
      settings: FinetuningSettings.
      cluster: what find_cluster gives.
    """
    check_rate(findings, settings.optimization)
    data = findings.attempt("data", load_data, settings)
    if data is None:
        return
    _check_data(findings, settings.data, data)
    config = findings.attempt(
        "model", settings.model.encoder_config, data.tokenizer.vocab_size
    )
    if config is None:
        return
    findings.attempt("model", check_kind, data.kind, settings, config)
    settings = findings.attempt("settings", resolve, settings, len(data.train))
    if settings is None:
        return
    distribution = machine.planned_distribution(settings.runtime, cluster)
    findings.attempt("settings", check_settings, settings, distribution)
    check_start(
        findings, settings.model.init_from, data.tokenizer.vocabulary, config
    )
    findings.attempt(
        "run folder", check_run_folder, settings, data.about(), distribution
    )
    activations = _activations(settings, config, distribution, data)
    machine.check_room(findings, settings, config, activations)


def _activations(settings, config, distribution, data: LoadedData) -> int:
    """Bytes of the largest micro-batch: of its real tokens, if these alone
    are computed."""
    runtime = with_padding(settings.runtime, distribution)
    settings = dataclasses.replace(settings, runtime=runtime)
    optimization, largest = settings.optimization, None
    parts = distribution.num_replicas * optimization.accumulation_steps
    if optimization.batch_size % parts == 0:  # Else a mistake that is told.
        places = data.real_tokens(settings, distribution)
        largest = (places.largest, places.pairs)
    length = data.train.sequence_length
    return machine.activations_of(
        settings, config, distribution, length, largest=largest
    )


def _check_data(findings: Findings, data, loaded: LoadedData) -> None:
    """Validation is there, and is not training data."""
    validation = loaded.validation_examples
    if validation is None:
        findings.add(
            "advice",
            "data",
            "data.validation is not set: the last step is kept, not the best",
        )
    elif len(validation):
        shared = loaded.overlap.validation_in_train
        if shared > MOST_SHARED * len(validation):
            findings.add(
                "mistake",
                "data",
                f"wanted validation texts that are not trained on, got "
                f"{data.validation}, of whose {len(validation):,} texts "
                f"{shared:,} are in {data.train} too; take another file",
            )
            return
    findings.add("fine", "data", loaded.account()[0])
