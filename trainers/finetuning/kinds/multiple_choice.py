"""Which of several choices answers a question, or continues a text?

Legend: N examples, K choices.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table
import rich.text

from tfbert.serving.graphs.request_bounds import DEFAULT
from tfrecords.labelled import multiple_choice
from trainers.finetuning.kinds.kind import Encoded, Evaluation
from trainers.finetuning.kinds.sentence_kind import rounded
from trainers.finetuning.kinds.text_kind import TextKind
from trainers.finetuning.metrics.classification import log_softmax
from trainers.finetuning.metrics.temperature import OneOfMany


@dataclasses.dataclass(frozen=True)
class MultipleChoice(TextKind):
    """Softmax over the choices of a question.

    Attributes:
      question_column: name of the question's column.
      choice_columns: one column of lists, or a column for each choice.
      label_column: name of the right choice's column.
      max_length: longest sequence of a question with a choice, in tokens.
      temperature: what logits are divided by where probabilities are said.
    """

    name: ClassVar = "multiple_choice"
    metrics: ClassVar = ("accuracy",)

    question_column: str
    choice_columns: list[str]
    label_column: str
    max_length: int
    temperature: float = 1.0

    @classmethod
    def read(
        cls, path: str | os.PathLike, data: Any
    ) -> multiple_choice.Examples:
        return multiple_choice.read_examples(
            path,
            data.question_column,
            data.choice_columns,
            data.label_column,
            cls.reading_of(data),
        )

    @classmethod
    def from_training(cls, data: Any, train: multiple_choice.Examples) -> Self:
        return cls(
            **cls.settings_of(data),
            question_column=data.question_column,
            choice_columns=list(data.choice_columns),
            label_column=data.label_column,
            max_length=data.max_length,
        )

    def least_length(self) -> int:
        # [CLS], two [SEP], and a token of question and choice.
        return 5

    def check(self, examples: multiple_choice.Examples) -> None:
        # Nothing of a question has to be known from training.
        pass

    def describe(self) -> str:
        return "one choice of several"

    def encode(self, examples: multiple_choice.Examples, tokenizer) -> Encoded:
        return multiple_choice.encode(
            examples, self.reader(tokenizer), self.max_length
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.multiple_choice import MultipleChoiceTask

        return (task_class or MultipleChoiceTask)(
            config, dtype=dtype, seed=seed, **self.task_options()
        )

    def scores(
        self,
        examples: multiple_choice.Examples,
        outputs: Mapping[str, np.ndarray],
    ) -> OneOfMany:
        return OneOfMany(outputs["logits"], np.array(examples.labels))

    def evaluate(
        self,
        examples: multiple_choice.Examples,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "MultipleChoiceEvaluation":
        logits = log_softmax(outputs["logits"])
        return MultipleChoiceEvaluation(
            examples, logits, step, self.temperature
        )

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.multiple_choice import chooser

        served = chooser(
            task,
            tokenizer,
            self.max_length,
            self.temperature,
            self.served_long_texts(limits),
        )
        return served, {
            "kind": self.name,
            "inputs": ["question", "choices"],
            "text_columns": [self.question_column, *self.choice_columns],
            "max_length": self.max_length,
            **self.long_text_card(limits),
        }


@dataclasses.dataclass(frozen=True)
class MultipleChoiceEvaluation(Evaluation):
    """What was measured on one file.

    Attributes:
      examples: what was predicted.
      log_probabilities: float32 [N, K]; those of choices that a question
        does not have are far below all others.
      step: the step that the weights are of.
      temperature: what logits are divided by for the probabilities of rows.
    """

    examples: multiple_choice.Examples
    log_probabilities: np.ndarray
    step: int
    temperature: float = 1.0

    @property
    def figures(self) -> dict[str, float]:
        """accuracy, and loss: the mean of -log p(right choice), in nats."""
        gold = np.array(self.examples.labels)
        right = self.log_probabilities[np.arange(len(gold)), gold]
        return {
            "accuracy": float((self._answers() == gold).mean()),
            "loss": float(-right.astype(np.float64).mean()),
        }

    def _answers(self) -> np.ndarray:
        return self.log_probabilities.argmax(axis=1)

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        counts = np.array([len(c) for c in self.examples.choices])
        return {
            "step": self.step,
            "examples": len(self.examples),
            **self.figures,
            # What guessing would give.
            "chance": float((1 / counts).mean()),
        }

    def rows(self) -> Iterable[dict]:
        """Each question with its right choice, the answer, probabilities."""
        answers = self._answers()
        for i, choices in enumerate(self.examples.choices):
            logits = self.log_probabilities[i, : len(choices)]
            some = np.exp(log_softmax(logits / self.temperature))
            yield {
                "line": self.examples.lines[i],
                "text": [self.examples.questions[i]],
                "choices": choices,
                "label": self.examples.labels[i],
                "predicted": int(answers[i]),
                "probabilities": rounded(some),
            }

    def summary(self) -> str:
        """The figures in a line, beside that of guessing."""
        figures = self.to_dict()
        return (
            f"accuracy {figures['accuracy']:.4f}, loss {figures['loss']:.4f}; "
            f"by chance: accuracy {figures['chance']:.4f}"
        )

    def table(self, title: str) -> rich.table.Table:
        """How often each place was right, and was answered."""
        table = rich.table.Table(title=rich.text.Text(title))
        for name in ("choice", "is right", "answered", "of these right"):
            table.add_column(name, justify="right", overflow="fold")
        gold, answers = np.array(self.examples.labels), self._answers()
        for place in range(self.log_probabilities.shape[1]):
            chosen = answers == place
            right = gold[chosen] == place
            table.add_row(
                str(place),
                str((gold == place).sum()),
                str(chosen.sum()),
                f"{right.mean():.4f}" if len(right) else "",
            )
        return table
