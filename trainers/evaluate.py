"""`tfbert evaluate RUN_DIR --data DATA`: measures a run."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from tfrecords.batches import mistakes
from tfrecords.storage.writer import file_sha256
from trainers import command
from trainers.files.console import console
from trainers.files.run_folder import RunFolder
from trainers.finetuning.kinds.kind import Evaluation
from trainers.settings.sections import parse_settings
from trainers.settings.text_options import add_table, asked_table

if TYPE_CHECKING:
    from trainers.distributed.strategies import Distribution

EXAMPLE = "tfbert evaluate runs/reviews --data reviews/test.tsv"


def build_parser() -> command.Parser:
    """The options of `tfbert evaluate`."""
    parser = command.make_parser(
        "evaluate",
        "Measures a fine-tuned run on a labelled file, or a pretraining run "
        "on held-out records. Writes RUN_DIR/evaluation-NAME.json, and of a "
        "fine-tuned run RUN_DIR/predictions-NAME.jsonl.",
        EXAMPLE,
    )
    parser.add_argument("run_dir", help="folder of a run")
    parser.add_argument(
        "--data",
        required=True,
        help="a labelled file of the form of the training data, or (of a "
        "pretraining run) a folder of records",
    )
    parser.add_argument(
        "--name",
        help="NAME of the result files (default: the data file's, without "
        "its ending)",
    )
    parser.add_argument(
        "--checkpoint",
        choices=("best", "last"),
        default="best",
        help="best on validation data, or the last",
    )
    parser.add_argument(
        "--batch_size",
        type=int,
        default=64,
        help="rows of a forward pass, over all devices",
    )
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="how many GPUs of this host to use; without one, logical CPUs",
    )
    add_table(parser)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    args = build_parser().parse_args(argv)
    if args.batch_size < 1:
        raise UserError(f"wanted a batch_size above 0, got {args.batch_size}")
    if args.devices < 1:
        raise UserError(f"wanted devices from 1, got {args.devices}")
    name = args.name or Path(args.data).stem
    if name != Path(name).name or name in (".", ".."):
        raise UserError(
            f"wanted a NAME for files in {args.run_dir} in --name, such as "
            f"{Path(name).name or 'test'}, got {name!r}, which is a path"
        )
    if RunFolder(args.run_dir).about.get("kind") == "pretraining":
        _evaluate_pretraining(args, name)
        return
    with mistakes.raised():
        result = evaluate(
            args.run_dir,
            args.data,
            args.name,
            args.checkpoint,
            args.batch_size,
            args.devices,
            asked_table(args),
        )
    console.show(result.table(args.data))
    console.show(
        f"step {result.step} on {result.to_dict()['examples']:,} examples: "
        f"{result.summary()}\nwritten: {evaluation_path(args.run_dir, name)} "
        f"and {predictions_path(args.run_dir, name)}\n"
        f"Next: tfbert report {args.run_dir}"
    )


def _evaluate_pretraining(args, name: str) -> None:
    """Measures a pretraining run on held-out records."""
    from trainers import pretrain
    from trainers.distributed.strategies import distribution_on
    from trainers.pretraining import evaluation

    settings_file = Path(args.run_dir) / SETTINGS_FILE
    argv = ["--config", str(settings_file)] if settings_file.is_file() else []
    settings = parse_settings(
        pretrain.build_parser(), pretrain.PretrainingSettings, argv
    )
    with mistakes.raised():
        result = evaluation.evaluate(
            args.run_dir,
            args.data,
            settings,
            distribution_on(args.devices),
            name,
            args.checkpoint,
            args.batch_size,
        )
    console.show(
        f"step {result['step']:,} on {result['examples']:,} rows of "
        f"{args.data}: {evaluation.summary(result)}\n"
        f"written: {evaluation_path(args.run_dir, name)}"
    )


def evaluate(
    run_dir: str | os.PathLike,
    data: str | os.PathLike,
    name: str | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
    devices: int = 1,
    reading: Mapping[str, str | bool] | None = None,
) -> Evaluation:
    """Measures a fine-tuned run on a file and writes the results.

    Args:
      run_dir: folder of the run.
      data: labelled file with the columns of the training data.
      name: of the result files; None: the data file's, without its ending.
      checkpoint: "best" or "last".
      batch_size: rows of a forward pass; changes only rounding.
      devices: how many of this host to use.
      reading: of the file, if it is of another form than that of training:
        separator, header, quoting, bad_rows.

    Raises:
      UserError: run or data are not as they should be.
    """
    from trainers.distributed.strategies import distribution_on
    from trainers.finetuning.saved_run import FinetunedRun

    # Before all else: logical devices are made when TensorFlow starts.
    distribution = distribution_on(devices)
    run = FinetunedRun(run_dir)
    if reading:
        run.kind = run.kind.read_as(reading)
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    with distribution.strategy.scope():
        trained = run.load_task(checkpoint)
    outputs = predict(
        trained.task,
        encoded.columns,
        run.kind.outputs,
        batch_size,
        distribution,
    )
    result = run.kind.evaluate(examples, encoded, outputs, trained.step)
    _write(run.path, name or Path(data).stem, result, data)
    return result


def predict(
    task,
    columns: Mapping[str, np.ndarray],
    names: Sequence[str],
    batch_size: int,
    distribution: "Distribution | None" = None,
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
    import tensorflow as tf

    from tfrecords.labelled import batches
    from trainers.distributed.strategies import distribution_on

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


def _write(
    run_dir: Path, name: str, result: Evaluation, data: str | os.PathLike
) -> None:
    figures = {
        "data": os.fspath(data),
        "data_sha256": file_sha256(data),
        **result.to_dict(),
    }
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


if __name__ == "__main__":
    sys.exit(command.script(main))
