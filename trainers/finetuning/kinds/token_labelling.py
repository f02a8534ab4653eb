"""A tag for each word of a sentence: named entities, parts of speech."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import rich.table

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT
from tfbert.tag_scheme import TagScheme, bio_tags, split_tag
from tfrecords.labelled import label_counts
from tfrecords.labelled.files.text import nearest_first
from tfrecords.labelled.token_labelling import TaggedSentences, read_sentences
from tfrecords.labelled.word_rows import (
    EncodedWords,
    TaggedWords,
    encode,
    split_further,
)
from trainers.finetuning.kinds.kind import Evaluation, Kind
from trainers.finetuning.metrics.spans import SpanScore, score
from trainers.finetuning.metrics.tags import Answers, decode_words, span_table


@dataclasses.dataclass(frozen=True)
class TokenLabelling(Kind):
    """Softmax over the tags of each word's first piece, decoded legally.

    Attributes:
      labels: names of the tags, in the order of the logits; of models that we
        trained for spans those of `bio_tags`.
      has_spans: whether the tags stand for spans.
      token_column, tag_column, separator, tag_scheme: how files are read.
      split_words: whether words are split further, as raw text is.
      max_length: longest row in tokens.
      label_scheme: that of `labels`; None: what their names look like. Our
        own are IOB2, those of converted models any.
    """

    name: ClassVar = "token_labelling"
    metrics: ClassVar = ("f1", "accuracy", "precision", "recall", "macro_f1")

    labels: list[str]
    has_spans: bool
    token_column: int | str
    tag_column: int | str
    separator: str
    tag_scheme: str | None
    split_words: bool
    max_length: int
    label_scheme: str | None = None

    @classmethod
    def read(cls, path: str | os.PathLike, data: Any) -> TaggedSentences:
        return read_sentences(
            path,
            data.token_column,
            data.tag_column,
            data.separator or "whitespace",
            data.tag_scheme,
        )

    @classmethod
    def from_training(cls, data: Any, train: TaggedSentences) -> Self:
        found = {tag for tags in train.tags for tag in tags}
        if train.has_spans:
            types = {split_tag(tag)[1] for tag in found} - {""}
            if not types:
                raise UserError(
                    f"{train.path}: every tag is O; at least one type of span "
                    "is needed. Check data.tag_column."
                )
            labels = bio_tags(types)
        else:
            labels = sorted(found)
        return cls(
            labels=labels,
            has_spans=train.has_spans,
            token_column=data.token_column,
            tag_column=data.tag_column,
            separator=data.separator or "whitespace",
            tag_scheme=data.tag_scheme,
            split_words=data.split_words,
            max_length=data.max_length,
            label_scheme="IOB2" if train.has_spans else "plain",
        )

    @functools.cached_property
    def scheme(self) -> TagScheme:
        """What the tags mean.

        Raises:
          UserError: `label_scheme` is no scheme.
        """
        return TagScheme.of(
            self.labels,
            self.label_scheme or (None if self.has_spans else "plain"),
        )

    @property
    def best_metric(self) -> str:
        return "f1" if self.scheme.has_spans else "accuracy"

    def check(self, examples: TaggedSentences) -> None:
        """Raises UserError for types of spans, or plain tags, not learnt."""
        known = self._known(examples)
        for sentence, tags in enumerate(examples.tags):
            for word, tag in enumerate(tags):
                if tag not in known:
                    near = nearest_first(tag, self.labels)
                    shown = ", ".join(near[:20]) + ", ..." * (len(near) > 20)
                    raise UserError(
                        f"{examples.where(sentence, word)}: unknown tag "
                        f"{tag!r} (as BIO). The model knows {len(near)} tags, "
                        f"the nearest first: {shown}. Mend the tag, or train "
                        "with it."
                    )

    def _known(self, examples: TaggedSentences) -> set[str]:
        """The tags that a file may have, as they are read."""
        if not self.scheme.has_spans:
            return set(self.labels)
        types = self.scheme.types if examples.has_spans else ()
        return set(bio_tags({*types} - {""}))

    def golds(self, examples: TaggedSentences) -> list:
        return [tuple(tags) for tags in examples.tags]

    def describe(self) -> str:
        if not self.scheme.has_spans:
            return f"{len(self.labels)} tags"
        types = {*self.scheme.types} - {""}
        return f"spans of {len(types)} types"

    def label_remarks(
        self, train: TaggedSentences, validation: TaggedSentences | None
    ) -> list[str]:
        found = [self._counted(train)]
        if validation is not None:
            found.append(self._counted(validation))
        what = "spans" if self.scheme.has_spans else "tags"
        return label_counts.remarks(*found, what=what)

    def _counted(self, examples: TaggedSentences) -> list[str]:
        """The types of all spans, or all plain tags."""
        parts = [split_tag(tag) for tags in examples.tags for tag in tags]
        if self.scheme.has_spans:
            return [kind for prefix, kind in parts if prefix == "B"]
        return [tag for tags in examples.tags for tag in tags]

    def encode(self, examples: TaggedSentences, tokenizer) -> EncodedWords:
        sentences = TaggedWords(
            examples.words, examples.tags, [-1] * len(examples)
        )
        if self.split_words:
            sentences = split_further(sentences, tokenizer)
        if examples.has_spans:
            tags = [self.scheme.of_bio(tags) for tags in sentences.tags]
            sentences = dataclasses.replace(sentences, tags=tags)
        return encode(sentences, tokenizer, self.labels, self.max_length)

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.token_labelling import TokenLabellingTask

        return (task_class or TokenLabellingTask)(
            config, len(self.labels), dtype=dtype, seed=seed
        )

    def evaluate(
        self,
        examples: TaggedSentences,
        encoded: EncodedWords,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> "TokenEvaluation":
        answers = decode_words(
            encoded.word_values(outputs["logits"]), self.scheme
        )
        return TokenEvaluation.of(
            self.scheme, encoded.sentences, answers, step, examples.lines
        )

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.token_labelling import token_labeller

        served = token_labeller(
            task,
            tokenizer,
            self.labels,
            self.max_length,
            self.scheme.scheme,
            limits,
        )
        return served, {
            "kind": self.name,
            "inputs": ["text"],
            "labels": self.labels,
            "has_spans": self.scheme.has_spans,
            "label_scheme": self.scheme.scheme,
            "split_words": self.split_words,
            "max_length": self.max_length,
            **limits.facts("max_text_bytes"),
        }


@dataclasses.dataclass(frozen=True)
class TokenEvaluation(Evaluation):
    """What was measured on one file.

    Attributes:
      step: the step that the weights are of.
      has_spans: whether the tags stand for spans.
      sentences: words and right tags.
      answers: the tags given.
      lines: the line of each sentence.
      accuracy: share of words whose tag is right.
      majority_baseline: accuracy of always giving the commonest tag.
      overall: precision, recall and F1 of spans; of plain tags, of words.
      by_type: the same for each type of span, or plain tag.
    """

    step: int
    has_spans: bool
    sentences: TaggedWords
    answers: Answers
    lines: list[int]
    accuracy: float
    majority_baseline: float
    overall: SpanScore
    by_type: dict[str, SpanScore]

    @classmethod
    def of(
        cls,
        scheme: TagScheme,
        sentences: TaggedWords,
        answers: Answers,
        step: int,
        lines: list[int],
    ) -> Self:
        """Computes all figures."""
        spans = scheme.spans if scheme.has_spans else _words_as_spans
        overall, by_type = score(
            map(spans, sentences.tags), map(spans, answers.tags)
        )
        gold = np.array([tag for tags in sentences.tags for tag in tags])
        got = np.array([tag for tags in answers.tags for tag in tags])
        _, counts = np.unique(gold, return_counts=True)
        return cls(
            step,
            scheme.has_spans,
            sentences,
            answers,
            lines,
            float((gold == got).mean()),
            float(counts.max() / len(gold)),
            overall,
            by_type,
        )

    @property
    def macro_f1(self) -> float:
        """The unweighted mean of the types' F1."""
        return float(np.mean([s.f1 for s in self.by_type.values()] or [0.0]))

    @property
    def figures(self) -> dict[str, float]:
        """f1, precision and recall of spans, and accuracy; macro_f1."""
        figures = {"accuracy": self.accuracy, "macro_f1": self.macro_f1}
        if not self.has_spans:
            return figures
        return {
            "f1": self.overall.f1,
            "precision": self.overall.precision,
            "recall": self.overall.recall,
            **figures,
        }

    def to_dict(self) -> dict:
        return {
            "step": self.step,
            "examples": len(self.lines),
            "words": sum(map(len, self.sentences.words)),
            **self.figures,
            "majority_baseline": self.majority_baseline,
            "per_class": {n: s._asdict() for n, s in self.by_type.items()},
        }

    def rows(self) -> Iterable[dict]:
        """Each sentence's words, right tags, answers and their scores."""
        for i, line in enumerate(self.lines):
            yield {
                "line": line,
                "words": self.sentences.words[i],
                "label": self.sentences.tags[i],
                "predicted": self.answers.tags[i],
                "scores": [round(float(s), 8) for s in self.answers.scores[i]],
            }

    def summary(self) -> str:
        baseline = f"always one tag: {self.majority_baseline:.4f}"
        if not self.has_spans:
            return f"accuracy {self.accuracy:.4f} ({baseline})"
        return (
            f"span F1 {self.overall.f1:.4f} (precision "
            f"{self.overall.precision:.4f}, recall {self.overall.recall:.4f}),"
            f" token accuracy {self.accuracy:.4f} ({baseline})"
        )

    def table(self, title: str) -> rich.table.Table:
        overall = {"all": self.overall} if self.has_spans else {}
        return span_table(title, {**self.by_type, **overall})


def _words_as_spans(tags: list[str]) -> list[tuple]:
    return [(tag, place) for place, tag in enumerate(tags)]
