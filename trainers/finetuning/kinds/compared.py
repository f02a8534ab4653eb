"""What is measured of vectors: cosines of scored pairs, and what is found.

Legend: N examples, T texts of one, D dimensions, Q queries, C documents.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Self

import numpy as np
import rich.table

from tfrecords.labelled.embedding.examples import Examples
from tfrecords.labelled.embedding.retrieval import Retrieval
from trainers.finetuning.kinds.kind import Evaluation
from trainers.finetuning.kinds.sentence_kind import figures_table, rounded
from trainers.finetuning.metrics import retrieval, similarity

_SHOWN = 10


class VectorEvaluation(Evaluation):
    """What both measures share: the same figures of the first dimensions.

    Attributes:
      dimensions: how many of the first dimensions are measured too.
    """

    dimensions: tuple[int, ...]

    def __len__(self) -> int:
        """How many examples were measured."""
        raise NotImplementedError

    def measured_at(self, dimensions: int | None) -> dict[str, float]:
        """The figures of the first dimensions; None: of all."""
        raise NotImplementedError

    @property
    def figures(self) -> dict[str, float]:
        """The figures of the whole vectors."""
        return self.measured_at(None)

    def to_dict(self) -> dict:
        """The figures, for JSON; of the first D dimensions as NAME_first_D."""
        parts = {
            f"{name}_first_{size}": value
            for size in self.dimensions
            for name, value in self.measured_at(size).items()
        }
        counts = {"step": self.step, "examples": len(self)}
        return {**counts, **self.figures, **parts}

    def table(self, title: str) -> rich.table.Table:
        """The figures, one a line."""
        return figures_table(title, self.to_dict())


@dataclasses.dataclass(frozen=True)
class ScoredEvaluation(VectorEvaluation):
    """Cosines against scores.

    Attributes:
      examples: scored pairs.
      vectors: float32 [N, 2, D] of length 1.
      span: the scores that are cosines of 0 and 1.
      dimensions, step: see Evaluation.
    """

    examples: Examples
    vectors: np.ndarray
    span: tuple[float, float]
    dimensions: tuple[int, ...]
    step: int

    def __len__(self) -> int:
        return len(self.examples)

    def measured_at(self, dimensions: int | None) -> dict[str, float]:
        """Spearman's and Pearson's correlation."""
        some = similarity.at(self.vectors, dimensions)
        return similarity.figures(
            similarity.cosines(some), self.examples.scores
        )

    def rows(self) -> Iterable[dict]:
        """Each pair with its score, that as a cosine, and the cosine."""
        lowest, highest = self.span
        scores = self.examples.scores
        wanted = rounded((scores - lowest) / (highest - lowest))
        found = rounded(similarity.cosines(self.vectors))
        for i, texts in enumerate(self.examples.texts):
            yield {
                "line": self.examples.lines[i],
                "text": list(texts),
                "score": float(f"{scores[i]:.8g}"),
                "label": wanted[i],
                "predicted": found[i],
            }

    def summary(self) -> str:
        """The figures in a line."""
        figures = self.figures
        return (
            f"Spearman {figures['spearman']:.4f}, Pearson "
            f"{figures['pearson']:.4f} of cosines and scores"
        )


@dataclasses.dataclass(frozen=True)
class Searched:
    """Queries and documents, and their vectors.

    Attributes:
      queries: float32 [Q, D].
      documents: float32 [C, D].
      relevant: for each query, place of a document -> its grade.
      lines: of the queries.
      texts: of the queries.
      names: of the documents: ids, or their texts.
    """

    queries: np.ndarray
    documents: np.ndarray
    relevant: Sequence[Mapping[int, float]]
    lines: Sequence[int]
    texts: Sequence[str]
    names: Sequence[str]

    @classmethod
    def of_retrieval(cls, examples: Retrieval, vectors: np.ndarray) -> Self:
        """Of a folder, with vectors [Q + C, 1, D] in this order."""
        count = len(examples)
        return cls(
            vectors[:count, 0],
            vectors[count:, 0],
            examples.relevant,
            examples.lines,
            examples.queries,
            examples.document_ids,
        )

    @classmethod
    def of_pairs(
        cls, examples: Examples, vectors: np.ndarray, keys: np.ndarray
    ) -> Self:
        """Of pairs: each first text searches all others of the file.

        Equal texts are one document. Relevant are the second texts of all
        examples with an equal first text.

        Args:
          examples: pairs or triples.
          vectors: float32 [N, T, D].
          keys: integers [N, T], equal where texts are.
        """
        place: dict[int, int] = {}
        first: list[tuple[int, int]] = []
        for t in range(1, keys.shape[1]):
            for i, key in enumerate(keys[:, t].tolist()):
                if key not in place:
                    place[key] = len(first)
                    first.append((i, t))
        answers: dict[int, dict[int, float]] = {}
        for anchor, positive in keys[:, :2].tolist():
            answers.setdefault(anchor, {})[place[positive]] = 1.0
        rows, columns = np.array(first).T
        return cls(
            vectors[:, 0],
            vectors[rows, columns],
            [answers[anchor] for anchor in keys[:, 0].tolist()],
            examples.lines,
            [texts[0] for texts in examples.texts],
            [examples.texts[i][t] for i, t in first],
        )


@dataclasses.dataclass(frozen=True)
class RankedEvaluation(VectorEvaluation):
    """What each query finds first.

    Attributes:
      searched: what is searched.
      dimensions, step: see Evaluation.
    """

    searched: Searched
    dimensions: tuple[int, ...]
    step: int

    def __len__(self) -> int:
        return len(self.searched.queries)

    def _rankings(self, dimensions: int | None) -> list[retrieval.Ranking]:
        searched = self.searched
        return retrieval.rankings(
            similarity.at(searched.queries, dimensions),
            similarity.at(searched.documents, dimensions),
            searched.relevant,
        )

    def measured_at(self, dimensions: int | None) -> dict[str, float]:
        """Reciprocal rank, accuracy, nDCG and recalls."""
        found = self._rankings(dimensions)
        return retrieval.figures(found, self.searched.relevant)

    def rows(self) -> Iterator[dict]:
        """Each query with the rank of what it should find, and what it did."""
        searched = self.searched
        for i, ranking in enumerate(self._rankings(None)):
            best = ranking.best[:_SHOWN].tolist()
            yield {
                "line": searched.lines[i],
                "text": [searched.texts[i]],
                "rank": ranking.first,
                "relevant": [searched.names[j] for j in searched.relevant[i]],
                "found": [searched.names[j] for j in best],
                "cosines": rounded(ranking.scores[:_SHOWN]),
            }

    def summary(self) -> str:
        """The figures in a line."""
        figures = self.figures
        return (
            f"MRR {figures['mrr']:.4f}, first is right "
            f"{figures['accuracy']:.4f}, nDCG@10 {figures['ndcg_at_10']:.4f}, "
            f"recall@10 {figures['recall_at_10']:.4f} among "
            f"{len(self.searched.documents):,} documents"
        )
