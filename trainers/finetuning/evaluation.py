"""Measures a fine-tuned run on labelled data, and writes what it finds."""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert import files
from tfrecords.labelled import batches
from tfrecords.storage.writer import file_sha256
from trainers.distributed.strategies import Distribution, distribution_on
from trainers.finetuning.kinds.kind import Evaluation
from trainers.finetuning.saved_run import FinetunedRun

_log = logging.getLogger(__name__)


def evaluate(
    run: FinetunedRun | str | os.PathLike,
    data: str | os.PathLike,
    name: str | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
    devices: int = 1,
    reading: Mapping[str, str | bool] | None = None,
) -> Evaluation:
    """Measures a fine-tuned run on a file and writes the results.

    Args:
      run: the run, or its folder.
      data: labelled file with the columns of the training data; or a folder
        for retrieval.
      name: of the result files; None: the data file's, without its ending.
      checkpoint: "best" or "last".
      batch_size: rows of a forward pass; changes only rounding.
      devices: how many of this host to use.
      reading: of the file, if it is of another form than that of training:
        separator, header, quoting, bad_rows.

    Raises:
      UserError: run or data are not as they should be.
    """
    # Before all else: logical devices are made when TensorFlow starts.
    distribution = distribution_on(devices)
    if not isinstance(run, FinetunedRun):
        run = FinetunedRun(run)
    examples = run.read_examples(data, reading)
    encoded = run.encode(examples)
    for line in run.kind.length_remarks(examples, encoded):
        _log.info(line)
    with distribution.strategy.scope():
        trained = run.load_task(checkpoint)
    trained.task.encoder.skip_padding = True
    outputs = predict(
        trained.task,
        encoded.columns,
        run.kind.outputs,
        batch_size,
        distribution,
    )
    kind = run.answering(trained)
    result = kind.evaluate(examples, encoded, outputs, trained.step)
    _write(run.path, name or Path(data).stem, result, data)
    return result


def predict(
    task,
    columns: Mapping[str, np.ndarray],
    names: Sequence[str],
    batch_size: int,
    distribution: Distribution | None = None,
) -> dict[str, np.ndarray]:
    """The outputs of a task for all rows.

    Args:
      task: a tfbert.tasks.Task.
      columns: of `Encoded`, [R, ...] each.
      names: the outputs that are wanted.
      batch_size: rows of a forward pass; changes only rounding.
      distribution: where the task was built; None: no strategy's.

    Returns:
      name -> [R, ...].
    """
    distribution = distribution or distribution_on(1)
    strategy, replicas = distribution.strategy, distribution.num_replicas

    def of_replica(batch):
        outputs = task(batch, training=False)
        return {name: outputs[name] for name in names}

    @tf.function(autograph=False)
    def forward(batch):
        found = strategy.run(of_replica, (batch,))
        # A replica's rows follow those of the one before it.
        return {
            name: tf.concat(strategy.experimental_local_results(value), 0)
            for name, value in found.items()
        }

    size = len(columns["input_ids"])
    rows = -(-min(batch_size, size) // replicas) * replicas
    dataset = distribution.dataset(
        lambda first_replica, local_replicas: batches.evaluation_batches(
            columns,
            global_batch_size=rows,
            num_replicas=replicas,
            first_replica=first_replica,
            local_replicas=local_replicas,
        )[0]
    )
    parts = [forward(batch) for batch in dataset]
    return {
        name: np.concatenate([part[name].numpy() for part in parts])[:size]
        for name in names
    }


def predictions_path(run_dir: str | os.PathLike, name: str) -> Path:
    """Where the predictions of the evaluation `name` are."""
    return Path(run_dir) / f"predictions-{name}.jsonl"


def evaluation_path(run_dir: str | os.PathLike, name: str) -> Path:
    """Where the figures of the evaluation `name` are."""
    return Path(run_dir) / f"evaluation-{name}.json"


def _sha256(data: Path) -> str:
    """Of a file; of a folder that of its files' names and contents."""
    if not data.is_dir():
        return file_sha256(data)
    digest = hashlib.sha256()
    for path in sorted(data.rglob("*")):
        if path.is_file():
            name = path.relative_to(data).as_posix()
            digest.update(f"{name} {file_sha256(path)}\n".encode())
    return digest.hexdigest()


def _write(
    run_dir: Path, name: str, result: Evaluation, data: str | os.PathLike
) -> None:
    figures = {
        "data": os.fspath(data),
        "data_sha256": _sha256(Path(data)),
        **result.to_dict(),
    }
    if (temperature := getattr(result, "temperature", 1.0)) != 1.0:
        figures["temperature"] = temperature
    text = "".join(
        json.dumps(row, ensure_ascii=False) + "\n" for row in result.rows()
    )
    files.write_file(predictions_path(run_dir, name), text)
    # A line for each figure; a confusion matrix of 150 classes with indent
    # would be 22,500 lines.
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in figures.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    files.write_file(evaluation_path(run_dir, name), text)
