"""`tfbert evaluate RUN_DIR --data FILE`: measures a fine-tuned run."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfbert import files
from tfbert.errors import UserError
from tfrecords.batches import mistakes
from tfrecords.storage.writer import file_sha256
from trainers import command
from trainers.files.console import console
from trainers.finetuning.kinds.kind import Evaluation

EXAMPLE = "tfbert evaluate runs/reviews --data reviews/test.tsv"


def build_parser() -> command.Parser:
    """The options of `tfbert evaluate`."""
    parser = command.make_parser(
        "evaluate",
        "Measures a fine-tuned run on a labelled file. Writes "
        "RUN_DIR/evaluation-NAME.json and RUN_DIR/predictions-NAME.jsonl.",
        EXAMPLE,
    )
    parser.add_argument("run_dir", help="folder that `tfbert finetune` wrote")
    parser.add_argument(
        "--data",
        required=True,
        help="a labelled file of the form of the training data",
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
    parser.add_argument("--batch_size", type=int, default=64)
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    args = build_parser().parse_args(argv)
    if args.batch_size < 1:
        raise UserError(f"wanted a batch_size above 0, got {args.batch_size}")
    name = args.name or Path(args.data).stem
    if name != Path(name).name or name in (".", ".."):
        raise UserError(
            f"wanted a NAME for files in {args.run_dir} in --name, such as "
            f"{Path(name).name or 'test'}, got {name!r}, which is a path"
        )
    with mistakes.raised():
        result = evaluate(
            args.run_dir,
            args.data,
            args.name,
            args.checkpoint,
            args.batch_size,
        )
    console.show(result.table(args.data))
    console.show(
        f"step {result.step} on {result.to_dict()['examples']:,} examples: "
        f"{result.summary()}\nwritten: {evaluation_path(args.run_dir, name)} "
        f"and {predictions_path(args.run_dir, name)}"
    )


def evaluate(
    run_dir: str | os.PathLike,
    data: str | os.PathLike,
    name: str | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
) -> Evaluation:
    """Measures a fine-tuned run on a file and writes the results.

    Args:
      run_dir: folder of the run.
      data: labelled file with the columns of the training data.
      name: of the result files; None: the data file's, without its ending.
      checkpoint: "best" or "last".
      batch_size: rows of a forward pass; changes only rounding.

    Raises:
      UserError: run or data are not as they should be.
    """
    from trainers.finetuning.saved_run import FinetunedRun

    run = FinetunedRun(run_dir)
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    trained = run.load_task(checkpoint)
    outputs = predict(
        trained.task, encoded.columns, run.kind.outputs, batch_size
    )
    result = run.kind.evaluate(examples, encoded, outputs, trained.step)
    _write(run.path, name or Path(data).stem, result, data)
    return result


def predict(
    task,
    columns: Mapping[str, np.ndarray],
    names: Sequence[str],
    batch_size: int,
) -> dict[str, np.ndarray]:
    """The outputs of a task for all rows.

    Args:
      task: a tfbert.tasks.Task.
      columns: of `Encoded`, [R, ...] each.
      names: the outputs that are wanted.
      batch_size: rows of a forward pass; changes only rounding.

    Returns:
      name -> [R, ...].
    """
    import tensorflow as tf

    from tfrecords.labelled import batches

    @tf.function(autograph=False)
    def forward(batch):
        outputs = task(batch, training=False)
        return {name: outputs[name] for name in names}

    size = len(columns["input_ids"])
    dataset, _ = batches.evaluation_batches(
        columns, global_batch_size=min(batch_size, size)
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
