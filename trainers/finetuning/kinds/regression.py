"""A number for a sentence or a pair of sentences, such as a similarity.

Legend: N examples.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table

from tfbert.serving.graphs.request_bounds import DEFAULT
from tfrecords.labelled import regression, sentences
from trainers.finetuning.kinds.kind import Encoded, Evaluation
from trainers.finetuning.kinds.sentence_kind import (
    SentenceKind,
    figures_table,
    rounded,
)
from trainers.finetuning.metrics import regression as measures


@dataclasses.dataclass(frozen=True)
class Regression(SentenceKind):
    """Least squares.

    Attributes:
      mean: of the training scores.
      scale: their standard deviation; 1 where they are all the same.
      text_columns, label_column, max_length: see SentenceKind.
    """

    name: ClassVar = "regression"
    metrics: ClassVar = ("pearson", "spearman")
    outputs: ClassVar = ("scores",)

    mean: float
    scale: float

    @classmethod
    def from_training(cls, data: Any, train: sentences.Examples) -> Self:
        scores = regression.scores(train).astype(np.float64)
        return cls(
            mean=float(scores.mean()),
            scale=float(scores.std()) or 1.0,
            **cls.settings_of(data),
        )

    def check(self, examples: sentences.Examples) -> None:
        regression.scores(examples)

    def describe(self) -> str:
        return f"scores of {self.mean:.4g} +- {self.scale:.4g}"

    def encode(self, examples: sentences.Examples, tokenizer) -> Encoded:
        return regression.encode(
            examples, self.reader(tokenizer), self.max_length
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.regression import RegressionTask

        self.check_model(config)
        return (task_class or RegressionTask)(
            config,
            self.mean,
            self.scale,
            dtype=dtype,
            seed=seed,
            **self.task_options(),
        )

    def evaluate(
        self,
        examples: sentences.Examples,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "RegressionEvaluation":
        gold = regression.scores(examples)
        return RegressionEvaluation(examples, gold, outputs["scores"], step)

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.regression import regressor

        long_texts = self.served_long_texts(limits)
        served = regressor(
            task, tokenizer, self.max_length, self.pairs, long_texts
        )
        return served, self.card(limits)


@dataclasses.dataclass(frozen=True)
class RegressionEvaluation(Evaluation):
    """What was measured on one file.

    Attributes:
      examples: what was predicted.
      gold: the right scores, float32 [N].
      scores: the predicted ones, float32 [N].
      step: the step that the weights are of.
    """

    examples: sentences.Examples
    gold: np.ndarray
    scores: np.ndarray
    step: int

    @property
    def figures(self) -> dict[str, float]:
        """Pearson's and Spearman's correlation, and the mean squared error."""
        errors = self.scores.astype(np.float64) - self.gold
        return {
            "pearson": measures.pearson(self.scores, self.gold),
            "spearman": measures.spearman(self.scores, self.gold),
            "mse": float(np.mean(errors**2)),
        }

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        return {
            "step": self.step,
            "examples": len(self.gold),
            **self.figures,
            "mean_absolute_error": float(
                np.abs(self.scores - self.gold).mean()
            ),
            # What always answering this file's mean would give.
            "variance": float(self.gold.var(dtype=np.float64)),
        }

    def rows(self) -> Iterable[dict]:
        """Each example with its score and the predicted one."""
        pairs = zip(rounded(self.gold), rounded(self.scores), strict=True)
        texts = self.examples.inputs()
        for i, (gold, score) in enumerate(pairs):
            yield {
                "line": self.examples.lines[i],
                "text": list(texts[i]),
                "label": gold,
                "predicted": score,
            }

    def summary(self) -> str:
        """The figures in a line."""
        figures = self.to_dict()
        return (
            f"Pearson {figures['pearson']:.4f}, Spearman "
            f"{figures['spearman']:.4f}, mean squared error "
            f"{figures['mse']:.4f}; always the mean: {figures['variance']:.4f}"
        )

    def table(self, title: str) -> rich.table.Table:
        """The figures, one a line."""
        return figures_table(title, self.to_dict())
