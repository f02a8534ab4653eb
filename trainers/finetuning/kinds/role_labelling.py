"""Who did what to whom: predicates and their arguments.

A predicate is marked by segment 1 at its pieces, in the sentence itself. So
an example has one sentence's length, needs no new weights, and tells two
occurrences of one word apart, which a second segment with the predicate's
word (Shi and Lin 2019, "Simple BERT Models for Relation Extraction and
Semantic Role Labeling", section 3) does only with an embedding of its own
beside it.

To find predicates the same model reads the sentence without a mark and is
taught B-V at each predicate, O elsewhere: no second model, no second head.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT
from tfbert.tag_scheme import TagScheme, bio_tags
from tfrecords.labelled.role_labelling import RoleExamples, read_roles
from tfrecords.labelled.word_rows import (
    EncodedWords,
    TaggedWords,
    encode,
    split_further,
)
from trainers.finetuning.kinds.kind import Evaluation, Kind
from trainers.finetuning.metrics.roles import PREDICATE, arguments
from trainers.finetuning.metrics.spans import SpanScore, score
from trainers.finetuning.metrics.tags import Answers, decode_words, span_table


@dataclasses.dataclass(frozen=True)
class RoleLabelling(Kind):
    """Softmax over BIO roles at each word's first piece, decoded legally.

    Attributes:
      labels: names of the tags, of `bio_tags`.
      token_column, predicate_column, first_role_column: how files are read.
      find_predicates: whether the model is taught to find predicates.
      split_words: whether words are split further, as raw text is.
      max_length: longest row in tokens.
    """

    name: ClassVar = "role_labelling"
    metrics: ClassVar = ("f1", "precision", "recall", "predicate_f1")

    labels: list[str]
    token_column: int
    predicate_column: int
    first_role_column: int
    find_predicates: bool
    split_words: bool
    max_length: int

    @classmethod
    def read(cls, path: str | os.PathLike, data: Any) -> RoleExamples:
        columns = (
            data.token_column,
            data.predicate_column,
            data.first_role_column,
        )
        for column in columns:
            if not isinstance(column, int) or column < 0:
                raise UserError(
                    f"{path}: columns of roles have numbers, from 0; got "
                    f"{column!r}. See data.token_column, "
                    "data.predicate_column and data.first_role_column."
                )
        return read_roles(path, *columns)

    @classmethod
    def from_training(cls, data: Any, train: RoleExamples) -> Self:
        found = {tag[2:] for tags in train.tags for tag in tags if tag != "O"}
        if not found - {PREDICATE}:
            raise UserError(
                f"{train.path}: no predicate has an argument. Check "
                "data.first_role_column."
            )
        return cls(
            labels=bio_tags({*found, PREDICATE}),
            token_column=data.token_column,
            predicate_column=data.predicate_column,
            first_role_column=data.first_role_column,
            find_predicates=data.find_predicates,
            split_words=data.split_words,
            max_length=data.max_length,
        )

    @property
    def scheme(self) -> TagScheme:
        """The tags, BIO."""
        return TagScheme.of(self.labels, "IOB2")

    def check(self, examples: RoleExamples) -> None:
        """Nothing: rare roles are many, and those unseen count as missed."""

    def golds(self, examples: RoleExamples) -> list:
        return [tuple(tags) for tags in examples.tags]

    def describe(self) -> str:
        roles = [label[2:] for label in self.labels if label[:2] == "B-"]
        return f"{len(roles) - 1} roles"

    def encode(self, examples: RoleExamples, tokenizer) -> EncodedWords:
        """A row or more for each example, after those without a mark."""
        words = [examples.words[place] for place in examples.sentences]
        tags, marked = examples.tags, examples.predicates
        if self.find_predicates:
            words = [*examples.words, *words]
            tags = [*examples.predicate_tags(), *tags]
            marked = [*[-1] * len(examples.words), *marked]
        sentences = TaggedWords(words, tags, list(marked))
        if self.split_words:
            sentences = split_further(sentences, tokenizer)
        return encode(sentences, tokenizer, self.labels, self.max_length)

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.task import check_segments
        from tfbert.tasks.token_labelling import TokenLabellingTask

        check_segments(config, "role labelling, which marks the predicate,")
        return (task_class or TokenLabellingTask)(
            config, len(self.labels), dtype=dtype, seed=seed
        )

    def evaluate(
        self,
        examples: RoleExamples,
        encoded: EncodedWords,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "RoleEvaluation":
        logits = encoded.word_values(outputs["logits"])
        answers = decode_words(logits[-len(examples) :], self.scheme)
        predicates = None
        if self.find_predicates:
            predicates = self._predicate_score(
                encoded.sentences.tags, logits[: -len(examples)]
            )
        return RoleEvaluation.of(
            examples,
            _last(encoded.sentences, len(examples)),
            answers,
            predicates,
            {label[2:] for label in self.labels},
            step,
        )

    def _predicate_score(self, tags, logits) -> SpanScore:
        verb = self.labels.index(f"B-{PREDICATE}")
        outside = self.scheme.outside
        gold, found = [], []
        for line, scores in zip(tags[: len(logits)], logits, strict=True):
            gold.append(
                [(PREDICATE, i) for i, t in enumerate(line) if t == "B-V"]
            )
            places = np.flatnonzero(scores[:, verb] > scores[:, outside])
            found.append([(PREDICATE, int(place)) for place in places])
        return score(gold, found)[0]

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.role_labelling import role_labeller

        served = role_labeller(
            task,
            tokenizer,
            self.labels,
            self.max_length,
            self.find_predicates,
            limits,
        )
        inputs = ["text"] if self.find_predicates else ["text", "predicate"]
        return served, {
            "kind": self.name,
            "inputs": inputs,
            "labels": self.labels,
            "find_predicates": self.find_predicates,
            "split_words": self.split_words,
            "max_length": self.max_length,
            **limits.facts("max_text_bytes", "max_predicates"),
        }


def _last(sentences: TaggedWords, count: int) -> TaggedWords:
    return TaggedWords(
        sentences.words[-count:],
        sentences.tags[-count:],
        sentences.marked[-count:],
    )


@dataclasses.dataclass(frozen=True)
class RoleEvaluation(Evaluation):
    """What was measured on one file, with the right predicates given.

    Attributes:
      step: the step that the weights are of.
      sentences: of each example the words, right tags and the predicate.
      answers: the tags given.
      lines: the line of each example's predicate.
      overall: precision, recall and F1 of arguments (CoNLL-2005).
      by_role: the same for each role.
      predicates: precision, recall and F1 of finding predicates, or None.
      unseen: arguments whose role training did not have; they count as
        missed.
    """

    step: int
    sentences: TaggedWords
    answers: Answers
    lines: list[int]
    overall: SpanScore
    by_role: dict[str, SpanScore]
    predicates: SpanScore | None
    unseen: int

    @classmethod
    def of(
        cls,
        examples: RoleExamples,
        sentences: TaggedWords,
        answers: Answers,
        predicates: SpanScore | None,
        known: set[str],
        step: int,
    ) -> Self:
        """Computes all figures."""
        overall, by_role = score(
            map(arguments, sentences.tags), map(arguments, answers.tags)
        )
        unseen = sum(
            tag[0] == "B" and tag[2:] not in known
            for tags in sentences.tags
            for tag in tags
        )
        return cls(
            step,
            sentences,
            answers,
            examples.lines,
            overall,
            by_role,
            predicates,
            unseen,
        )

    @property
    def figures(self) -> dict[str, float]:
        """f1, precision and recall of arguments; predicate_f1."""
        figures = {
            "f1": self.overall.f1,
            "precision": self.overall.precision,
            "recall": self.overall.recall,
        }
        if self.predicates is not None:
            figures["predicate_f1"] = self.predicates.f1
        return figures

    def to_dict(self) -> dict:
        return {
            "step": self.step,
            "examples": len(self.lines),
            **self.figures,
            "arguments_of_unseen_roles": self.unseen,
            "per_class": {n: s._asdict() for n, s in self.by_role.items()},
        }

    def rows(self) -> Iterable[dict]:
        """Each example's words, predicate, right tags and answers."""
        for i, line in enumerate(self.lines):
            yield {
                "line": line,
                "words": self.sentences.words[i],
                "predicate": self.sentences.marked[i],
                "label": self.sentences.tags[i],
                "predicted": self.answers.tags[i],
                "scores": [round(float(s), 8) for s in self.answers.scores[i]],
            }

    def summary(self) -> str:
        text = (
            f"argument F1 {self.overall.f1:.4f} (precision "
            f"{self.overall.precision:.4f}, recall {self.overall.recall:.4f})"
        )
        if self.predicates is not None:
            text += f"; finding predicates: F1 {self.predicates.f1:.4f}"
        if self.unseen:
            text += (
                f"; {self.unseen} arguments have roles that training did not "
                "have, and count as missed"
            )
        return text

    def table(self, title: str) -> rich.table.Table:
        return span_table(title, {**self.by_role, "all": self.overall})
