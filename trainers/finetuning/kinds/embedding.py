"""Vectors of texts that are near where texts mean the same.

Legend: N examples, T texts of one, D dimensions, Q queries, C documents.
"""

import collections
import dataclasses
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT
from tfbert.tasks.embedding import check_dimensions, check_pooling
from tfbert.tasks.vector_losses import Comparison
from tfrecords.labelled.embedding import examples as texts_of
from tfrecords.labelled.embedding import retrieval
from trainers.finetuning.kinds.compared import (
    RankedEvaluation,
    ScoredEvaluation,
    Searched,
)
from trainers.finetuning.kinds.kind import Encoded
from trainers.finetuning.kinds.text_kind import TextKind

Found = texts_of.Examples | retrieval.Retrieval
_OBJECTIVES = {
    "pairs": ("in_batch",),
    "triples": ("in_batch",),
    "texts": ("in_batch",),
    "scored": ("cosent", "cosine"),
}
_RANKED = ("mrr", "accuracy", "ndcg_at_10", "recall_at_1", "recall_at_10")
_SCORED = ("spearman", "pearson")
# Above this share of equal texts among all pairs of examples it is said.
_MANY_EQUAL = 0.1


@dataclasses.dataclass(frozen=True)
class Embedding(TextKind):
    """Texts compared by the cosines of their vectors.

    Attributes:
      form, text_columns, label_column: as set; of each file what is not there
        is found by looking (see tfrecords.labelled.embedding.examples).
      learns: the form of the training file, one of FORMS.
      objective, temperature, dimensions: see tfbert.tasks.vector_losses.
      pooling: see tfbert.tasks.embedding.
      lowest, highest: training scores, which become cosines of 0 and 1.
      measures: "scored" or "ranked", what validation measures.
      max_length: longest sequence in tokens.
    """

    name: ClassVar = "embedding"
    metrics: ClassVar = (*_SCORED, *_RANKED)
    outputs: ClassVar = ("embedding",)
    poolings: ClassVar = ("mean_vectors",)

    form: str | None
    text_columns: list[str]
    label_column: str
    learns: str
    objective: str
    temperature: float
    dimensions: list[int]
    pooling: str
    lowest: float
    highest: float
    measures: str
    max_length: int

    @classmethod
    def read(cls, path: str | os.PathLike, data: Any) -> Found:
        if retrieval.is_retrieval(path):
            return retrieval.read_retrieval(path)
        return texts_of.read_examples(
            path,
            data.text_columns,
            data.label_column,
            data.form,
            cls.reading_of(data),
        )

    @classmethod
    def from_training(cls, data: Any, train: Found) -> Self:
        if isinstance(train, retrieval.Retrieval):
            raise UserError(
                f"{train.path}: a folder for retrieval can be measured on, "
                "not learnt from; wanted a table of pairs, triples or scored "
                "pairs, or texts, in data.train"
            )
        learns = train.columns.form
        objective = data.objective or _OBJECTIVES[learns][0]
        Comparison(objective, data.temperature, data.dimensions)
        check_pooling(data.pooling)
        if objective not in _OBJECTIVES[learns]:
            raise UserError(
                f"{train.path}: data.objective {objective} does not learn "
                f"from {learns}; wanted one of "
                f"{', '.join(_OBJECTIVES[learns])}, or another data.form"
            )
        _check_contrast(train)
        lowest, highest = 0.0, 1.0
        if train.scores is not None:
            lowest, highest = map(
                float, (train.scores.min(), train.scores.max())
            )
        measures = "scored" if learns == "scored" else "ranked"
        if data.validation is not None:
            found = cls.read(data.validation, data)
            is_scored = getattr(found, "scores", None) is not None
            measures = "scored" if is_scored else "ranked"
        return cls(
            **cls.settings_of(data),
            form=data.form,
            text_columns=list(data.text_columns),
            label_column=data.label_column,
            learns=learns,
            objective=objective,
            temperature=data.temperature,
            dimensions=list(data.dimensions),
            pooling=data.pooling,
            lowest=lowest,
            highest=highest,
            measures=measures,
            max_length=data.max_length,
        )

    @property
    def measured(self) -> tuple[str, ...]:
        return _SCORED if self.measures == "scored" else _RANKED

    def about(self) -> dict:
        # The temperature is a setting of the loss, not one of probabilities.
        return dataclasses.asdict(self)

    def check(self, examples: Found) -> None:
        if isinstance(examples, retrieval.Retrieval):
            return
        if examples.columns.form == "texts":
            raise UserError(
                f"{examples.path}: texts alone have nothing to measure; "
                "wanted scored pairs, pairs, triples, or a folder for "
                "retrieval (queries.jsonl, corpus.jsonl, qrels/)"
            )

    def check_settings(self, config, settings: Any) -> None:
        check_dimensions(self.dimensions, config.hidden_size)
        if settings.model.freeze in ("encoder", config.num_hidden_layers):
            raise UserError(
                f"model.freeze {settings.model.freeze} leaves nothing to "
                "learn: vectors have no head. Freeze fewer than "
                f"{config.num_hidden_layers} blocks"
            )
        batch_size = settings.optimization.batch_size
        if batch_size < 2 and self.objective != "cosine":
            raise UserError(
                f"the objective {self.objective} compares the examples of a "
                f"batch; wanted optimization.batch_size from 2, got "
                f"{batch_size}"
            )

    def golds(self, examples: texts_of.Examples) -> list:
        if examples.scores is None:
            return [None] * len(examples)
        return examples.scores.tolist()

    def describe(self) -> str:
        return (
            f"vectors from {self.learns} ({self.objective}), {self.pooling} "
            "of the tokens"
        )

    def label_remarks(
        self, train: Found, validation: Found | None
    ) -> list[str]:
        if train.scores is not None:
            return [f"scores from {self.lowest:g} to {self.highest:g}"]
        if self.learns == "texts":
            return []
        counts = collections.Counter(some[1] for some in train.texts)
        shares = np.array(list(counts.values())) / len(train)
        equal = float((shares**2).sum())
        if equal < _MANY_EQUAL:
            return []
        return [
            f"{train.path}: of two examples {equal:.0%} have one second text; "
            "they are no negatives of each other, and teach nothing where "
            "they meet"
        ]

    def encode(self, examples: Found, tokenizer) -> Encoded:
        encode_text = self.reader(tokenizer)
        if isinstance(examples, retrieval.Retrieval):
            return retrieval.encode(examples, encode_text, self.max_length)
        return texts_of.encode(
            examples, encode_text, self.max_length, self.lowest, self.highest
        )

    def make_task(self, config, dtype=None, seed=0, task_class=None):
        from tfbert.tasks.embedding import EmbeddingTask

        comparison = Comparison(
            self.objective, self.temperature, tuple(self.dimensions)
        )
        return (task_class or EmbeddingTask)(
            config,
            self.pooling,
            comparison,
            texts_of.FORMS[self.learns],
            dtype=dtype,
            seed=seed,
        )

    def evaluate(
        self,
        examples: Found,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> ScoredEvaluation | RankedEvaluation:
        vectors = outputs["embedding"].astype(np.float32)
        parts = tuple(self.dimensions)
        if isinstance(examples, retrieval.Retrieval):
            searched = Searched.of_retrieval(examples, vectors)
        elif examples.scores is not None:
            span = (self.lowest, self.highest)
            return ScoredEvaluation(examples, vectors, span, parts, step)
        else:
            keys = encoded.columns["text_keys"]
            searched = Searched.of_pairs(examples, vectors, keys)
        return RankedEvaluation(searched, parts, step)

    def servable(self, task, tokenizer, limits=DEFAULT):
        from tfbert.serving.graphs.embedding import sentence_embedder

        served = sentence_embedder(
            task,
            tokenizer,
            self.max_length,
            self.pooling,
            self.served_long_texts(limits),
        )
        card = {
            "kind": self.name,
            "inputs": ["text"],
            "max_length": self.max_length,
            "pooling": self.pooling,
            **self.long_text_card(limits),
        }
        if self.dimensions:
            card["dimensions"] = sorted(self.dimensions)
        return served, card


def _check_contrast(train: texts_of.Examples) -> None:
    """Refuses data whose examples do not differ in what is learnt.

    Raises:
      UserError: so it is.
    """
    if len(train) < 2:
        raise UserError(
            f"{train.path}: one example alone cannot be compared; wanted two "
            "or more"
        )
    if train.scores is not None:
        if train.scores.min() == train.scores.max():
            raise UserError(
                f"{train.path}: every score is {train.scores[0]:g}; there is "
                "nothing to learn. Pairs that all mean the same are learnt "
                "from without scores: data.form pairs"
            )
        return
    place = min(1, len(train.texts[0]) - 1)
    # The negatives of triples are other texts too.
    if len({t.strip() for some in train.texts for t in some[place:]}) == 1:
        raise UserError(
            f"{train.path}: every example has the same text "
            f"{train.texts[0][place][:40]!r} in the column "
            f"{train.columns.texts[place]}; there is no other text to tell it "
            "from, and nothing to learn"
        )
