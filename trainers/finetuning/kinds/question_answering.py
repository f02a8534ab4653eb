"""Extractive question answering: a span of the context, or no answer.

Legend: N questions, R rows (windows), S sequence.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table
import rich.text

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT
from tfbert.text.windows.questions import check_lengths
from tfrecords.labelled import question_answering, question_rows
from trainers.finetuning.kinds.kind import Evaluation, Kind
from trainers.finetuning.metrics.answer_spans import Candidates, candidates
from trainers.finetuning.metrics.question_answering import (
    best_threshold,
    score_answer,
)

# How many spans of a question are looked at, and written to the file.
_N_BEST = 20
_WRITTEN = 3
# Where no validation chose one: spans must beat "no answer"
# (google-research/bert, `null_score_diff_threshold`).
_PLAIN_THRESHOLD = 0.0


@dataclasses.dataclass(frozen=True)
class QuestionAnswering(Kind):
    """Questions about a context of any length.

    Attributes:
      max_length: longest row in tokens.
      window_stride: tokens between the starts of two windows.
      max_question_length: most tokens of a question.
      max_answer_length: most tokens of an answer.
      answer_unit: what F1 counts: "word" or "character".
      skip_misplaced_answers: see `question_answering.read_examples`.
      no_answer: whether a training question has no answer (SQuAD 2.0).
      no_answer_threshold: "no answer" is given where its score exceeds that
        of the best span by more; None: chosen where it is evaluated.
    """

    name: ClassVar = "question_answering"
    metrics: ClassVar = ("f1", "exact_match")
    outputs: ClassVar = ("start_logits", "end_logits")

    max_length: int
    window_stride: int
    max_question_length: int
    max_answer_length: int
    answer_unit: str
    skip_misplaced_answers: bool
    no_answer: bool
    no_answer_threshold: float | None = None

    @classmethod
    def read(
        cls, path: str | os.PathLike, data: Any
    ) -> question_answering.Examples:
        return question_answering.read_examples(
            path, data.skip_misplaced_answers
        )

    @classmethod
    def from_training(
        cls, data: Any, train: question_answering.Examples
    ) -> Self:
        stride = data.window_stride
        if stride is None:
            # 128 of 384 in google-research/bert.
            stride = max(data.max_length // 3, 1)
        check_lengths(data.max_length, stride, data.max_question_length)
        if data.max_answer_length < 1:
            raise UserError(
                "wanted data.max_answer_length above 0, got "
                f"{data.max_answer_length}"
            )
        return cls(
            max_length=data.max_length,
            window_stride=stride,
            max_question_length=data.max_question_length,
            max_answer_length=data.max_answer_length,
            answer_unit=data.answer_unit,
            skip_misplaced_answers=data.skip_misplaced_answers,
            no_answer=train.unanswerable > 0,
        )

    def with_validation(self, figures: Mapping[str, float]) -> Self:
        threshold = figures.get("no_answer_threshold", _PLAIN_THRESHOLD)
        return dataclasses.replace(self, no_answer_threshold=threshold)

    def check(self, examples: question_answering.Examples) -> None:
        if self.no_answer or not examples.unanswerable:
            return
        place = examples.answers.index([])
        raise UserError(
            f"{examples.path}: question {examples.ids[place]} (and "
            f"{examples.unanswerable - 1} more) has no answer, but every "
            "question of the training file has one, so that the model never "
            "learnt to give none. Train with such questions, or remove them."
        )

    def golds(self, examples: question_answering.Examples) -> list:
        return examples.answers

    def describe(self) -> str:
        none = " or none" if self.no_answer else ""
        return f"answers of up to {self.max_answer_length} tokens{none}"

    def remarks(
        self,
        examples: question_answering.Examples,
        encoded: question_rows.Encoded,
    ) -> list[str]:
        remarks = [
            f"{examples.path}: {len(examples):,} questions, "
            f"{examples.unanswerable:,} without an answer, "
            f"{len(encoded):,} windows; {encoded.windowed:,} contexts take "
            f"more than one of data.max_length = {self.max_length} tokens"
        ]
        if examples.misplaced:
            remarks.append(
                f"{examples.path}: {examples.misplaced:,} answers left out "
                "that are not in their context at their offset, and "
                f"{examples.dropped:,} questions that had no other"
            )
        if encoded.unheld:
            remarks.append(
                f"{examples.path}: {encoded.unheld:,} questions have an answer "
                "that no window holds whole, and are learnt as if they had "
                "none; a smaller data.window_stride or a larger "
                "data.max_length holds more"
            )
        return remarks

    def encode(
        self, examples: question_answering.Examples, tokenizer
    ) -> question_rows.Encoded:
        return question_rows.encode(
            examples,
            tokenizer,
            max_length=self.max_length,
            window_stride=self.window_stride,
            max_question_length=self.max_question_length,
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.question_answering import QuestionAnsweringTask

        return (task_class or QuestionAnsweringTask)(
            config, dtype=dtype, seed=seed
        )

    def evaluate(
        self,
        examples: question_answering.Examples,
        encoded: question_rows.Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "AnswerEvaluation":
        starts, ends = outputs["start_logits"], outputs["end_logits"]
        losses = [
            _cross_entropies(logits, encoded.columns[f"{end}_positions"])
            for end, logits in (("start", starts), ("end", ends))
        ]
        found = candidates(
            starts, ends, encoded, self.max_answer_length, _N_BEST
        )
        return AnswerEvaluation.of(
            self, examples, found, float(np.mean(losses)), step
        )

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.question_answering import answerer

        threshold = self.no_answer_threshold if self.no_answer else None
        lengths = {
            "max_length": self.max_length,
            "window_stride": self.window_stride,
            "max_question_length": self.max_question_length,
            "max_answer_length": self.max_answer_length,
        }
        served = answerer(
            task, tokenizer, threshold=threshold, limits=limits, **lengths
        )
        return served, {
            "kind": self.name,
            "inputs": ["question", "context"],
            "text_columns": ["question", "context"],
            **lengths,
            "no_answer_threshold": threshold,
            **limits.facts("max_context_bytes"),
        }


def _cross_entropies(logits: np.ndarray, right: np.ndarray) -> np.ndarray:
    """-log softmax(logits)[right], float64 [R], for [R, S] and [R]."""
    logits = logits.astype(np.float64)
    most = logits.max(axis=1)
    total = np.log(np.exp(logits - most[:, None]).sum(axis=1)) + most
    return total - logits[np.arange(len(right)), right]


@dataclasses.dataclass(frozen=True)
class AnswerEvaluation(Evaluation):
    """What was measured on one file.

    Attributes:
      examples: the questions.
      found: what the model thinks of each.
      answers: the answer given to each; "" for none.
      given: whether one was given, bool [N].
      exact: exact match of each, float [N].
      f1: F1 of each, float [N].
      loss: mean over the rows of the cross-entropies of start and end.
      step: the step that the weights are of.
      no_answer: whether "" may be right.
      threshold: what decided for "no answer".
    """

    examples: question_answering.Examples
    found: list[Candidates]
    answers: list[str]
    given: np.ndarray
    exact: np.ndarray
    f1: np.ndarray
    loss: float
    step: int
    no_answer: bool
    threshold: float | None

    @classmethod
    def of(
        cls,
        kind: QuestionAnswering,
        examples: question_answering.Examples,
        found: list[Candidates],
        loss: float,
        step: int,
    ) -> Self:
        """Scores answers; chooses the threshold if the kind has none."""

        def scored(answers: list[str]) -> np.ndarray:
            golds = (
                [answer.text for answer in some] for some in examples.answers
            )
            return np.array(
                [
                    score_answer(text, gold, kind.answer_unit, kind.no_answer)
                    for text, gold in zip(answers, golds, strict=True)
                ]
            )

        contexts = zip(found, examples.contexts, strict=True)
        answers = [
            context[one.spans[0].start : one.spans[0].end] if one.spans else ""
            for one, context in contexts
        ]
        given = np.array([bool(one.spans) for one in found])
        threshold = None
        if kind.no_answer:
            margins = np.array([one.margin for one in found])
            threshold = kind.no_answer_threshold
            if threshold is None:
                threshold = best_threshold(
                    margins,
                    scored(answers)[:, 1],
                    np.array([bool(gold) for gold in examples.answers]),
                )
            given &= margins <= threshold
            answers = [
                text if is_given else ""
                for text, is_given in zip(answers, given, strict=True)
            ]
        exact, f1 = scored(answers).T
        return cls(
            examples,
            found,
            answers,
            given,
            exact,
            f1,
            loss,
            step,
            kind.no_answer,
            threshold,
        )

    @property
    def figures(self) -> dict[str, float]:
        """f1 and exact_match of all questions, and the loss.

        Where "no answer" may be right: both for the questions with an answer
        (has_answer_) and for those without (no_answer_) too, and the
        threshold.
        """
        figures = {
            "f1": float(self.f1.mean()),
            "exact_match": float(self.exact.mean()),
            "loss": self.loss,
        }
        if self.threshold is not None:
            for name, some in self._parts().items():
                if some.any():
                    figures[f"{name}_f1"] = float(self.f1[some].mean())
                    exact = float(self.exact[some].mean())
                    figures[f"{name}_exact_match"] = exact
            figures["no_answer_threshold"] = self.threshold
        return figures

    def _parts(self) -> dict[str, np.ndarray]:
        answerable = np.array([bool(gold) for gold in self.examples.answers])
        return {"has_answer": answerable, "no_answer": ~answerable}

    def to_dict(self) -> dict:
        """The figures, for JSON."""
        return {
            "step": self.step,
            "examples": len(self.answers),
            "unanswerable": self.examples.unanswerable,
            "misplaced_answers": self.examples.misplaced,
            "dropped_questions": self.examples.dropped,
            **self.figures,
        }

    def rows(self) -> Iterable[dict]:
        """Each question with its answers, right and given, and scores."""
        examples = self.examples
        for n, (question, context) in enumerate(examples.inputs()):
            one, best = self.found[n], None
            if self.given[n]:
                best = one.spans[0]
            yield {
                "line": examples.lines[n],
                "id": examples.ids[n],
                "text": [question, context],
                "gold": [answer.text for answer in examples.answers[n]],
                "answer": self.answers[n],
                "start": best.start if best else -1,
                "end": best.end if best else -1,
                "exact_match": self.exact[n],
                "f1": self.f1[n],
                "no_answer_score": one.no_answer_score,
                "best": [
                    {"answer": context[s.start : s.end], **s._asdict()}
                    for s in one.spans[:_WRITTEN]
                ],
            }

    def summary(self) -> str:
        """The figures in a line."""
        text = (
            f"F1 {self.f1.mean():.4f}, exact match {self.exact.mean():.4f}, "
            f"loss {self.loss:.4f}"
        )
        if self.threshold is not None:
            text += f", no-answer threshold {self.threshold:.3f}"
        return text

    def table(self, title: str) -> rich.table.Table:
        """F1 and exact match, with and without an answer."""
        table = rich.table.Table(title=rich.text.Text(title))
        table.add_column("questions", overflow="fold")
        for name in ("F1", "exact match", "number"):
            table.add_column(name, justify="right", overflow="fold")
        parts = {"all": np.ones(len(self.f1), bool)}
        if self.no_answer:
            parts |= {
                name.replace("_", " "): some
                for name, some in self._parts().items()
            }
        for name, some in parts.items():
            if some.any():
                table.add_row(
                    name,
                    f"{self.f1[some].mean():.4f}",
                    f"{self.exact[some].mean():.4f}",
                    f"{some.sum():,}",
                )
        return table
