"""Any number of labels for a sentence or a pair of sentences.

Legend: N examples, C labels.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table
import rich.text

from tfbert.serving.graphs.request_bounds import DEFAULT
from tfrecords.labelled import label_counts, multi_label
from trainers.finetuning.kinds.kind import Encoded, Evaluation
from trainers.finetuning.kinds.sentence_kind import SentenceKind, rounded
from trainers.finetuning.metrics import multi_label as measures
from trainers.finetuning.metrics.temperature import YesOrNo


@dataclasses.dataclass(frozen=True)
class MultiLabel(SentenceKind):
    """A yes or no for each label.

    Attributes:
      labels: their names, in the order of the logits.
      label_separator: between the labels of a cell.
      temperature: what logits are divided by where probabilities are said.
      text_columns, label_column, max_length: see SentenceKind.
    """

    name: ClassVar = "multi_label"
    metrics: ClassVar = ("micro_f1", "macro_f1", "subset_accuracy")

    labels: list[str]
    label_separator: str
    temperature: float = 1.0

    @classmethod
    def read(cls, path: str | os.PathLike, data: Any) -> multi_label.Examples:
        return multi_label.read_examples(
            path,
            data.text_columns,
            data.label_column,
            data.label_separator,
            cls.reading_of(data),
        )

    @classmethod
    def from_training(cls, data: Any, train: multi_label.Examples) -> Self:
        return cls(
            labels=multi_label.label_list(train),
            label_separator=data.label_separator,
            **cls.settings_of(data),
        )

    def check(self, examples: multi_label.Examples) -> None:
        multi_label.label_matrix(examples, self.labels)

    def golds(self, examples: multi_label.Examples) -> list:
        return [set(labels) for labels in examples.labels]

    def describe(self) -> str:
        return f"{len(self.labels)} labels, any number of them at once"

    def label_remarks(
        self, train: multi_label.Examples, validation: Any | None
    ) -> list[str]:
        found = [
            [label for labels in examples.labels for label in labels]
            for examples in (train, validation)
            if examples is not None
        ]
        return label_counts.remarks(*found, what="labels")

    def encode(self, examples: multi_label.Examples, tokenizer) -> Encoded:
        return multi_label.encode(
            examples, self.reader(tokenizer), self.labels, self.max_length
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.multi_label import MultiLabelTask

        self.check_model(config)
        return (task_class or MultiLabelTask)(
            config,
            len(self.labels),
            dtype=dtype,
            seed=seed,
            **self.task_options(),
        )

    def scores(
        self, examples: multi_label.Examples, outputs: Mapping[str, np.ndarray]
    ) -> YesOrNo:
        gold = multi_label.label_matrix(examples, self.labels)
        return YesOrNo(outputs["logits"], gold)

    def evaluate(
        self,
        examples: multi_label.Examples,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "MultiLabelEvaluation":
        gold = multi_label.label_matrix(examples, self.labels)
        return MultiLabelEvaluation(
            self.labels,
            examples,
            gold,
            outputs["logits"],
            step,
            self.temperature,
        )

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.multi_label import multi_labeller

        served = multi_labeller(
            task,
            tokenizer,
            self.labels,
            self.max_length,
            self.pairs,
            self.temperature,
            self.served_long_texts(limits),
        )
        return served, {**self.card(limits), "labels": self.labels}


@dataclasses.dataclass(frozen=True)
class MultiLabelEvaluation(Evaluation):
    """What was measured on one file.

    A label is answered where its probability is above one half.

    Attributes:
      labels: names of the C labels.
      examples: what was predicted.
      gold: 0 or 1, [N, C].
      logits: float32 [N, C].
      step: the step that the weights are of.
      temperature: what logits are divided by for the probabilities of rows.
    """

    labels: list[str]
    examples: multi_label.Examples
    gold: np.ndarray
    logits: np.ndarray
    step: int
    temperature: float = 1.0

    @property
    def chosen(self) -> np.ndarray:
        """0 or 1, [N, C]."""
        return (self.logits > 0).astype(np.int8)

    @property
    def figures(self) -> dict[str, float]:
        """micro_f1 over all decisions, macro_f1 the mean of the labels' F1.

        subset_accuracy is the share of examples with all labels right.
        """
        counts = measures.counts(self.gold, self.chosen)
        total = {name: values.sum() for name, values in counts.items()}
        micro = measures.precision_recall_f1(**total)[2]
        macro = measures.precision_recall_f1(**counts)[2].mean()
        whole = (self.gold == self.chosen).all(axis=1).mean()
        return {
            "micro_f1": float(micro),
            "macro_f1": float(macro),
            "subset_accuracy": float(whole),
        }

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        counts = measures.counts(self.gold, self.chosen)
        names = ("precision", "recall", "f1")
        values = measures.precision_recall_f1(**counts)
        return {
            "step": self.step,
            "examples": len(self.gold),
            **self.figures,
            "labels": self.labels,
            "per_class": {
                label: {
                    **{
                        n: float(v[i])
                        for n, v in zip(names, values, strict=True)
                    },
                    "support": int(counts["support"][i]),
                }
                for i, label in enumerate(self.labels)
            },
        }

    def rows(self) -> Iterable[dict]:
        """Each example with its labels, those answered, all probabilities.

        Its largest miss is how far the probability of a label is from 0 or 1,
        whichever is right: above one half where one is wrong.
        """
        logits = self.logits.astype(np.float64) / self.temperature
        probabilities = 1 / (1 + np.exp(-logits))
        misses = np.abs(probabilities - self.gold).max(axis=1)
        chosen = self.chosen
        for i, texts in enumerate(self.examples.inputs()):
            yield {
                "line": self.examples.lines[i],
                "text": list(texts),
                "label": self.examples.labels[i],
                "predicted": [
                    self.labels[c] for c in np.flatnonzero(chosen[i])
                ],
                "probabilities": rounded(probabilities[i]),
                "largest_miss": rounded(misses[i : i + 1])[0],
            }

    def summary(self) -> str:
        """The figures in a line."""
        figures = self.figures
        return (
            f"micro F1 {figures['micro_f1']:.4f}, macro F1 "
            f"{figures['macro_f1']:.4f}, all labels right "
            f"{figures['subset_accuracy']:.4f}"
        )

    def table(self, title: str, most: int = 30) -> rich.table.Table:
        """Per-label figures; of many labels those with the lowest F1."""
        shown = list(self.to_dict()["per_class"].items())
        if len(shown) > most:
            title += f" (the {most} lowest of {len(shown)} labels)"
            shown = sorted(shown, key=lambda item: item[1]["f1"])[:most]
        table = rich.table.Table(title=rich.text.Text(title))
        table.add_column("label", overflow="fold")
        for name in ("precision", "recall", "F1", "examples"):
            table.add_column(name, justify="right", overflow="fold")
        for label, row in shown:
            table.add_row(
                rich.text.Text(label),
                *(f"{row[k]:.4f}" for k in ("precision", "recall", "f1")),
                str(row["support"]),
            )
        return table
