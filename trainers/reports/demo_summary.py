"""The figures that the demo ends with, and their table."""

from pathlib import Path

import numpy as np
import rich.table
import rich.text

from tfbert.file_names import REPORT_FILE
from tfrecords.batches.unigrams import unigram_entropy
from tfrecords.layout import HELD_OUT_FOLDER
from tfrecords.storage.reader import Records
from trainers.files.run_folder import RunFolder

# The evaluation that the figures are taken from.
TEST_NAME = "test"


def collect(records_dir: Path, pretraining: Path, finetuning: Path) -> dict:
    """The figures of both runs, from the files that the verbs wrote."""
    records = Records(records_dir)
    held_out = Records(records_dir / HELD_OUT_FOLDER)
    run = RunFolder(pretraining)
    losses = [row["masked_lm_loss"] for row in run.rows("validation")]
    training = run.rows("train")
    speeds = [row.get("tokens_per_second") for row in training]
    evaluation = RunFolder(finetuning).evaluations[
        f"evaluation-{TEST_NAME}.json"
    ]
    return {
        "tokens": records.manifest.tokens,
        "held_out_tokens": held_out.manifest.tokens,
        "vocabulary": len(records.vocabulary),
        "pretraining_steps": training[-1]["step"],
        "tokens_trained_on": round(sum(row["tokens"] for row in training)),
        "tokens_per_second": float(np.median([s for s in speeds if s])),
        "held_out_loss_before": losses[0],
        "held_out_loss_after": losses[-1],
        "held_out_unigram_entropy": unigram_entropy(held_out),
        "test_examples": evaluation["examples"],
        "test_accuracy": evaluation["accuracy"],
        "majority_class_accuracy": evaluation["majority_baseline"],
        "pretraining_run": str(pretraining),
        "finetuning_run": str(finetuning),
        "reports": [
            str(path / REPORT_FILE) for path in (pretraining, finetuning)
        ],
    }


def pair(sentences: list[dict], answers: list[dict]) -> list[dict]:
    """Puts what the SavedModel said beside what is right."""
    return [
        {
            **sentence,
            "predicted": answer["label"],
            "probability": max(answer["probabilities"].values()),
        }
        for sentence, answer in zip(sentences, answers, strict=True)
    ]


def table(figures: dict) -> rich.table.Table:
    """The figures for a person."""

    def number(key: str) -> str:
        return f"{figures[key]:,.0f}"

    def nats(key: str) -> str:
        return f"{figures[key]:.3f} nats"

    def share(key: str) -> str:
        return f"{figures[key]:.1%}"

    minutes, seconds = divmod(round(figures["seconds"]), 60)
    shown = rich.table.Table(title="What came of it", show_header=False)
    shown.add_column(style="bold")
    shown.add_column(overflow="fold")
    for name, value in [
        ("tokens in the records", number("tokens")),
        ("  held out", number("held_out_tokens")),
        ("  trained on, over all epochs", number("tokens_trained_on")),
        ("tokens per second (median)", number("tokens_per_second")),
        ("held-out masked-LM loss before", nats("held_out_loss_before")),
        ("  after pretraining", nats("held_out_loss_after")),
        ("  unigram entropy of that text", nats("held_out_unigram_entropy")),
        ("test accuracy", share("test_accuracy")),
        ("  of the majority class", share("majority_class_accuracy")),
    ]:
        shown.add_row(name, value)
    shown.add_section()
    for row in figures["sentences"]:
        said = f"{row['predicted']} ({row['probability']:.0%})"
        shown.add_row(
            f"{said}; it is {row['label']}", rich.text.Text(row["text"])
        )
    shown.add_section()
    shown.add_row("pretraining run", figures["pretraining_run"])
    shown.add_row("fine-tuning run", figures["finetuning_run"])
    shown.add_row("export", figures["export"])
    shown.add_row("reports", "\n".join(figures["reports"]))
    shown.add_row("time of this call", f"{minutes} min {seconds} s")
    return shown
