"""One of several labels for a sentence or a pair of sentences.

Legend: N examples, C classes.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import rich.table
import rich.text

from tfbert.serving.graphs.request_bounds import DEFAULT
from tfrecords.labelled import classification, label_counts, sentences
from trainers.finetuning.kinds.class_weights import weights_of
from trainers.finetuning.kinds.kind import Encoded, Evaluation
from trainers.finetuning.kinds.sentence_kind import SentenceKind, rounded
from trainers.finetuning.metrics import classification as measures
from trainers.finetuning.metrics.temperature import OneOfMany


@dataclasses.dataclass(frozen=True)
class Classification(SentenceKind):
    """Softmax classification.

    Attributes:
      labels: names of the classes, in the order of the logits.
      class_weights: of their examples in the loss; None: 1.
      temperature: what logits are divided by where probabilities are said.
      text_columns, label_column, max_length: see SentenceKind.
    """

    name: ClassVar = "classification"
    metrics: ClassVar = ("accuracy", "macro_f1", "matthews", "f1")

    labels: list[str]
    class_weights: list[float] | None = None
    temperature: float = 1.0

    @classmethod
    def from_training(cls, data: Any, train: sentences.Examples) -> Self:
        label_counts.check_classes(train.path, train.labels)
        labels = classification.label_list(train)
        return cls(labels=labels, **cls.settings_of(data))

    @property
    def measured(self) -> tuple[str, ...]:
        # Of one class's F1 can be spoken where there are two.
        two = len(self.labels) == 2
        return self.metrics if two else self.metrics[:-1]

    def with_class_weights(
        self, setting: str | Mapping[str, float], train: sentences.Examples
    ) -> Self:
        weights = weights_of(setting, self.labels, train.labels)
        return dataclasses.replace(self, class_weights=weights)

    def check(self, examples: sentences.Examples) -> None:
        classification.label_ids(examples, self.labels)

    def describe(self) -> str:
        return f"{len(self.labels)} classes"

    def label_remarks(
        self, train: sentences.Examples, validation: sentences.Examples | None
    ) -> list[str]:
        return label_counts.remarks(
            train.labels, None if validation is None else validation.labels
        )

    def encode(self, examples: sentences.Examples, tokenizer) -> Encoded:
        return classification.encode(
            examples, self.reader(tokenizer), self.labels, self.max_length
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.classification import ClassificationTask

        self.check_model(config)
        return (task_class or ClassificationTask)(
            config,
            len(self.labels),
            self.class_weights,
            dtype=dtype,
            seed=seed,
            **self.task_options(),
        )

    def scores(
        self, examples: sentences.Examples, outputs: Mapping[str, np.ndarray]
    ) -> OneOfMany:
        gold = np.array(classification.label_ids(examples, self.labels))
        return OneOfMany(outputs["logits"], gold)

    def evaluate(
        self,
        examples: sentences.Examples,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "ClassificationEvaluation":
        return ClassificationEvaluation.of(
            self.labels,
            examples.labels,
            measures.log_softmax(outputs["logits"]),
            step,
            examples,
            self.temperature,
        )

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.classification import classifier

        served = classifier(
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
class ClassificationEvaluation(Evaluation):
    """What was measured on one file.

    Attributes:
      labels: names of the C classes.
      gold: class of each example, int [N].
      log_probabilities: float32 [N, C].
      step: the step that the weights are of.
      examples: what was predicted; None where no rows are wanted.
      temperature: what logits are divided by for the probabilities of rows.
      confusion: int [C, C]: row the right class, column the answer.
      accuracy: share of examples whose likeliest class is the right one.
      loss: mean negative log-probability of the right class, in nats.
      majority_label: the commonest class in this file.
      majority_baseline: accuracy of always answering it.
      macro_f1: unweighted mean of the classes' F1.
      matthews: Matthews' correlation.
      per_class: label -> precision, recall, f1, support. A class that was
        never predicted has precision 0.
    """

    labels: list[str]
    gold: np.ndarray
    log_probabilities: np.ndarray
    step: int
    examples: sentences.Examples | None
    temperature: float
    confusion: np.ndarray
    accuracy: float
    loss: float
    majority_label: str
    majority_baseline: float
    macro_f1: float
    matthews: float
    per_class: dict[str, dict[str, float]]

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        gold_labels: Sequence[str],
        log_probabilities: np.ndarray,
        step: int,
        examples: sentences.Examples | None = None,
        temperature: float = 1.0,
    ) -> Self:
        """Computes all figures."""
        place = {label: index for index, label in enumerate(labels)}
        gold = np.array([place[label] for label in gold_labels])
        predicted = log_probabilities.argmax(axis=1)
        right = log_probabilities[np.arange(len(gold)), gold]
        confusion = measures.confusion(gold, predicted, len(labels))
        by_class = measures.per_class(confusion)
        counts = by_class["support"]
        # A class that is neither in the file nor predicted says nothing.
        seen = np.union1d(gold, predicted)
        return cls(
            labels=list(labels),
            gold=gold,
            log_probabilities=log_probabilities,
            step=step,
            examples=examples,
            temperature=temperature,
            confusion=confusion,
            accuracy=float((predicted == gold).mean()),
            loss=float(-right.astype(np.float64).mean()),
            majority_label=labels[counts.argmax()],
            majority_baseline=float(counts.max() / len(gold)),
            macro_f1=float(by_class["f1"][seen].mean()),
            matthews=measures.matthews(confusion),
            per_class={
                label: {n: v[i].item() for n, v in by_class.items()}
                for i, label in enumerate(labels)
            },
        )

    @property
    def figures(self) -> dict[str, float]:
        """accuracy, loss, macro_f1, matthews; of two classes also f1.

        f1 is that of the second class, which is "1" of "0" and "1" (GLUE's
        of MRPC and QQP, Wang et al. 2018, table 1).
        """
        names = ("accuracy", "loss", "macro_f1", "matthews")
        figures = {name: getattr(self, name) for name in names}
        if len(self.labels) == 2:
            figures["f1"] = self.per_class[self.labels[1]]["f1"]
        return figures

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        return {
            "step": self.step,
            "examples": len(self.gold),
            **self.figures,
            "majority_label": self.majority_label,
            "majority_baseline": self.majority_baseline,
            "per_class": self.per_class,
            # Row: the right class; column: the answer; order of "labels".
            "labels": self.labels,
            "confusion": self.confusion.tolist(),
        }

    def rows(self) -> Iterable[dict]:
        """Each example with its label, the answer, all probabilities."""
        logits = self.log_probabilities / self.temperature
        probabilities = np.exp(measures.log_softmax(logits))
        best = self.log_probabilities.argmax(axis=1)
        for i, texts in enumerate(self.examples.inputs()):
            yield {
                "line": self.examples.lines[i],
                "text": list(texts),
                "label": self.labels[self.gold[i]],
                "predicted": self.labels[best[i]],
                "probabilities": rounded(probabilities[i]),
            }

    def summary(self) -> str:
        """The figures in a line, beside those of always one answer."""
        return (
            f"accuracy {self.accuracy:.4f}, loss {self.loss:.4f}, macro F1 "
            f"{self.macro_f1:.4f}, Matthews {self.matthews:.4f}; always "
            f"{self.majority_label!r}: accuracy {self.majority_baseline:.4f}"
        )

    def table(self, title: str, most: int = 30) -> rich.table.Table:
        """Per-class figures; of many classes those with the lowest F1."""
        shown = sorted(self.per_class.items(), key=lambda item: item[1]["f1"])
        if len(shown) > most:
            title += f" (the {most} lowest of {len(shown)} classes)"
        else:
            shown = list(self.per_class.items())
        table = rich.table.Table(title=rich.text.Text(title))
        table.add_column("class", overflow="fold")
        for name in ("precision", "recall", "F1", "examples"):
            table.add_column(name, justify="right", overflow="fold")
        for label, row in shown[:most]:
            table.add_row(
                rich.text.Text(label),
                *(f"{row[k]:.4f}" for k in ("precision", "recall", "f1")),
                str(row["support"]),
            )
        return table
