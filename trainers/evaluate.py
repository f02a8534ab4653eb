"""`tfbert evaluate RUN_DIR --data FILE`: measures a fine-tuned run."""

import dataclasses
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rich.table
import rich.text

from tfbert import atomic
from tfbert.errors import UserError
from trainers import command

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
        "--data", required=True, help="a .tsv, .csv or .jsonl file"
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
    result = evaluate(
        args.run_dir, args.data, args.name, args.checkpoint, args.batch_size
    )
    name = args.name or Path(args.data).stem
    command.console.print(result.table(args.data))
    command.console.print(
        f"step {result.step} on {len(result.gold):,} examples: accuracy "
        f"{result.accuracy:.4f}, loss {result.loss:.4f}, macro F1 "
        f"{result.macro_f1:.4f}; always {result.majority_label!r}: accuracy "
        f"{result.majority_baseline:.4f}\nwritten: "
        f"{evaluation_path(args.run_dir, name)} and "
        f"{predictions_path(args.run_dir, name)}"
    )


def evaluate(
    run_dir: str | os.PathLike,
    data: str | os.PathLike,
    name: str | None = None,
    checkpoint: str = "best",
    batch_size: int = 64,
) -> "Evaluation":
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
    from trainers.finetuned_run import FinetunedRun

    run = FinetunedRun(run_dir)
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    trained = run.load_task(checkpoint)
    log_probabilities = predict(trained.task, encoded.columns, batch_size)
    result = Evaluation.of(
        run.labels, examples.labels, log_probabilities, trained.step
    )
    _write(run.path, name or Path(data).stem, result, examples)
    return result


def predict(task, columns, batch_size: int) -> np.ndarray:
    """The log-probability of each class for each example.

    Args:
      task: a ClassificationTask.
      columns: of `Encoded`, [N, S] each.
      batch_size: rows of a forward pass; changes only rounding.

    Returns:
      float32 [N, C].
    """
    import tensorflow as tf

    from tfrecords.finetuning import batches

    @tf.function(autograph=False)
    def forward(batch):
        logits = task(batch, training=False)["logits"]
        return tf.nn.log_softmax(tf.cast(logits, tf.float32))

    size = len(columns["input_ids"])
    dataset, _ = batches.evaluation_batches(
        columns, global_batch_size=min(batch_size, size)
    )
    return np.concatenate([forward(b).numpy() for b in dataset])[:size]


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """What was measured on one file.

    Attributes:
      labels: names of the C classes.
      gold: class of each example, int [N].
      log_probabilities: float32 [N, C].
      step: the step that the weights are of.
      accuracy: share of examples whose likeliest class is the right one.
      loss: mean negative log-probability of the right class, in nats.
      majority_label: the commonest class in this file.
      majority_baseline: accuracy of always answering it.
      macro_f1: unweighted mean of the classes' F1.
      per_class: label -> precision, recall, f1, support. A class that was
        never predicted has precision 0.
    """

    labels: list[str]
    gold: np.ndarray
    log_probabilities: np.ndarray
    step: int
    accuracy: float
    loss: float
    majority_label: str
    majority_baseline: float
    macro_f1: float
    per_class: dict[str, dict[str, float]]

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        gold_labels: Sequence[str],
        log_probabilities: np.ndarray,
        step: int,
    ) -> "Evaluation":
        """Computes all figures."""
        from sklearn import metrics

        place = {label: index for index, label in enumerate(labels)}
        gold = np.array([place[label] for label in gold_labels])
        predicted = log_probabilities.argmax(axis=1)
        right = log_probabilities[np.arange(len(gold)), gold]
        counts = np.bincount(gold, minlength=len(labels))
        classes = np.arange(len(labels))
        precision, recall, f1, support = (
            metrics.precision_recall_fscore_support(
                gold, predicted, labels=classes, zero_division=0
            )
        )
        # A class that is neither in the file nor predicted says nothing.
        seen = np.union1d(gold, predicted)
        return cls(
            labels=list(labels),
            gold=gold,
            log_probabilities=log_probabilities,
            step=step,
            accuracy=float((predicted == gold).mean()),
            loss=float(-right.astype(np.float64).mean()),
            majority_label=labels[counts.argmax()],
            majority_baseline=float(counts.max() / len(gold)),
            macro_f1=float(f1[seen].mean()),
            per_class={
                label: {
                    "precision": float(precision[i]),
                    "recall": float(recall[i]),
                    "f1": float(f1[i]),
                    "support": int(support[i]),
                }
                for i, label in enumerate(labels)
            },
        )

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        confusion = np.zeros([len(self.labels)] * 2, int)
        np.add.at(
            confusion, (self.gold, self.log_probabilities.argmax(axis=1)), 1
        )
        return {
            "step": self.step,
            "examples": len(self.gold),
            "accuracy": self.accuracy,
            "loss": self.loss,
            "macro_f1": self.macro_f1,
            "majority_label": self.majority_label,
            "majority_baseline": self.majority_baseline,
            "per_class": self.per_class,
            # Row: the right class; column: the answer; order of "labels".
            "labels": self.labels,
            "confusion": confusion.tolist(),
        }

    def table(self, title: str, most: int = 30) -> rich.table.Table:
        """Per-class figures; of many classes those with the lowest F1."""
        shown = sorted(self.per_class.items(), key=lambda item: item[1]["f1"])
        if len(shown) > most:
            title += f" (the {most} lowest of {len(shown)} classes)"
        else:
            shown = list(self.per_class.items())
        table = rich.table.Table(title=rich.text.Text(title))
        table.add_column("class")
        for name in ("precision", "recall", "F1", "examples"):
            table.add_column(name, justify="right")
        for label, row in shown[:most]:
            table.add_row(
                rich.text.Text(label),
                *(f"{row[k]:.4f}" for k in ("precision", "recall", "f1")),
                str(row["support"]),
            )
        return table


def predictions_path(run_dir: str | os.PathLike, name: str) -> Path:
    """Where the predictions of the evaluation `name` are."""
    return Path(run_dir) / f"predictions-{name}.jsonl"


def evaluation_path(run_dir: str | os.PathLike, name: str) -> Path:
    """Where the figures of the evaluation `name` are."""
    return Path(run_dir) / f"evaluation-{name}.json"


def _write(run_dir: Path, name: str, result: Evaluation, examples) -> None:
    data = Path(examples.path)
    figures = {
        "data": os.fspath(data),
        "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
        **result.to_dict(),
    }
    probabilities = np.exp(result.log_probabilities)
    best = probabilities.argmax(axis=1)
    rows = [
        {
            "line": examples.lines[i],
            "text": list(texts),
            "label": examples.labels[i],
            "predicted": result.labels[best[i]],
            "probabilities": [float(f"{p:.8g}") for p in probabilities[i]],
        }
        for i, texts in enumerate(examples.inputs())
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic.write_file(predictions_path(run_dir, name), text)
    # A line for each figure; a confusion matrix of 150 classes with indent
    # would be 22,500 lines.
    lines = [
        f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}"
        for key, value in figures.items()
    ]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    atomic.write_file(evaluation_path(run_dir, name), text)


if __name__ == "__main__":
    sys.exit(command.run(main))
