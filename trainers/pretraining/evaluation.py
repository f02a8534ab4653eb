"""Measures a pretraining run on held-out records."""

import dataclasses
import json
import math
import os
from pathlib import Path

from tfbert import files
from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE, MODEL_FILE
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import (
    assign_tensors,
    named_variables,
    read_tensors,
)
from tfrecords.batches.dataset import evaluation_batches
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import read_verified
from trainers.distributed.strategies import Distribution
from trainers.pretraining.data import AnyRecords, open_records, use_words
from trainers.run import api

# Of an evaluation; the others are of training.
_SAID = {
    "masked_lm_loss": "masked-LM loss",
    "masked_lm_accuracy": "accuracy",
    "next_sentence_loss": "next-sentence loss",
    "next_sentence_accuracy": "accuracy",
}


def evaluate(
    run_dir: str | os.PathLike,
    data: str | os.PathLike,
    settings,
    distribution: Distribution,
    name: str,
    checkpoint: str = "best",
    batch_size: int = 64,
) -> dict[str, object]:
    """Measures all rows of a folder of records, with the masks of validation.

    Writes RUN_DIR/evaluation-NAME.json. The arithmetic is float32.

    Args:
      run_dir: folder of the run.
      data: folder of records with the run's vocabulary.
      settings: PretrainingSettings of the run.
      distribution: where it runs.
      name: of the result file.
      checkpoint: "best" on held-out data, the newest where none was measured;
        or "last".
      batch_size: rows of a forward pass, over all replicas; changes only
        rounding.

    Returns:
      data, step, examples, and each figure by name.

    Raises:
      UserError: run or data are not as they should be.
    """
    run_dir = Path(run_dir)
    step, weights = checkpoint_of(run_dir, checkpoint)
    records = _records(run_dir, data, settings.data)
    model = _model(run_dir, records, weights, settings, distribution)
    figures = model.evaluate(
        *_batches(records, settings, distribution, batch_size)
    )
    result = {
        "data": os.fspath(data),
        "step": step,
        "examples": records.num_rows,
        **{key: float(value) for key, value in figures.items()},
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    files.write_file(run_dir / f"evaluation-{name}.json", text)
    return result


def summary(result: dict[str, object]) -> str:
    """The figures of `evaluate` in a line."""
    parts = [
        f"{said} {result[key]:.4f}"
        for key, said in _SAID.items()
        if key in result
    ]
    loss = result.get("masked_lm_loss", math.inf)
    if loss < 100:
        parts.append(f"perplexity {math.exp(loss):.2f}")
    return ", ".join(parts)


def checkpoint_of(run_dir: Path, which: str) -> tuple[int, Path]:
    """The step and the file of the weights of a run.

    Args:
      run_dir: the run's folder.
      which: "best", by validation loss, or "last".

    Raises:
      UserError: there is no checkpoint, or it is damaged.
    """
    checkpoints = Checkpoints(run_dir, keep_best=1)
    steps = checkpoints.steps()
    if not steps:
        raise UserError(
            f"{run_dir} holds no checkpoint; let `tfbert pretrain` run on"
        )
    step = steps[-1]
    if which == "best":
        step = next(iter(checkpoints.best(steps)), step)
    folder = checkpoints.path(step)
    read_verified(folder)
    return step, folder / MODEL_FILE


def _model(run_dir: Path, records: AnyRecords, weights: Path, settings, where):
    """The model with its weights, in float32.

    Raises:
      UserError: the records are not of its form.
    """
    config = BertConfig.from_json(run_dir / CONFIG_FILE)
    if records.sequence_length > config.max_position_embeddings:
        raise UserError(
            f"wanted records of at most {config.max_position_embeddings} "
            f"tokens a row, got {records.sequence_length} in {records.path}"
        )
    tensors = read_tensors(weights)
    has_pairs = any(key.startswith("next_sentence/") for key in tensors)
    if has_pairs and not records.has_labels:
        raise UserError(
            f"wanted records of pairs of sentences, as {run_dir} was trained "
            f"on, got {records.path}"
        )
    optimization = dataclasses.replace(
        settings.optimization,
        accumulation_steps=1,
        average_decay=None,
        warmup_steps=0,
    )
    model = api.make_model(
        lambda: PretrainingTask(config, has_pairs, "float32"),
        dataclasses.replace(settings, optimization=optimization),
        where,
    )
    assign_tensors(named_variables(model.task), tensors, source=weights)
    return model


def _records(run_dir: Path, data, settings) -> AnyRecords:
    records = open_records(os.fspath(data), settings.vocab, settings.on_corrupt)
    if records.vocabulary != Tokenizer.from_folder(run_dir).vocabulary:
        raise UserError(
            f"wanted records with the vocabulary of {run_dir}, got another "
            f"one in {records.path}; build them with `tfbert records --vocab "
            f"{run_dir}/vocab.txt`"
        )
    use_words(records, settings.word_list)
    return records


def _batches(records: AnyRecords, settings, distribution, batch_size: int):
    """(distributed batches of all rows, their number)."""
    steps = 0

    def make(first_replica, local_replicas):
        nonlocal steps
        dataset, steps = evaluation_batches(
            records,
            settings.data.evaluation_masking,
            first_replica=first_replica,
            local_replicas=local_replicas,
            global_batch_size=batch_size,
            max_rows=records.num_rows,
            seed=settings.seed,
            num_replicas=distribution.num_replicas,
        )
        return dataset.repeat()

    return distribution.dataset(make), steps
