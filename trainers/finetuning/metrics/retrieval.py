"""Measures of what is found first: recall, reciprocal rank, nDCG.

Legend: Q queries, C documents, D dimensions.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CUTOFFS = (1, 5, 10, 100)
_NDCG = 10
_QUERIES_AT_ONCE = 256


@dataclass(frozen=True)
class Ranking:
    """What is found for one query.

    Attributes:
      first: rank of the first relevant document, from 1.
      best: the documents that are found first, at most 100.
      scores: their cosines.
    """

    first: int
    best: np.ndarray
    scores: np.ndarray


def rankings(
    queries: np.ndarray,
    documents: np.ndarray,
    relevant: Sequence[Mapping[int, float]],
) -> list[Ranking]:
    """Ranks all documents for each query; of equals the earlier goes first.

    Args:
      queries: float32 [Q, D] of length 1.
      documents: float32 [C, D] of length 1.
      relevant: for each query, place of a document -> its grade.
    """
    found = []
    places = np.arange(len(documents))
    most = min(max(CUTOFFS), len(documents))
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        scores = queries[start : start + _QUERIES_AT_ONCE] @ documents.T
        for row, wanted in zip(scores, relevant[start:], strict=False):
            # All that are as high as the last that counts: ties are cut by
            # place, not by accident.
            least = np.partition(row, -most)[-most]
            high = np.flatnonzero(row >= least)
            best = high[np.lexsort((high, -row[high]))][:most]
            first = min(
                int((row > row[i]).sum())
                + int(((row == row[i]) & (places < i)).sum())
                for i in wanted
            )
            found.append(Ranking(first + 1, best, row[best]))
    return found


def figures(
    found: Sequence[Ranking], relevant: Sequence[Mapping[int, float]]
) -> dict[str, float]:
    """The means over the queries.

    "mrr": of 1 / rank of the first relevant document, however late; "accuracy":
    how often that is 1; "recall_at_K": the share of the relevant documents
    among the first K; "ndcg_at_10": Järvelin and Kekäläinen 2002, "Cumulated
    Gain-based Evaluation of IR Techniques", with grades as gains, as trec_eval
    and BEIR have it.
    """
    ranks = np.array([ranking.first for ranking in found], float)
    means = {
        "mrr": float((1 / ranks).mean()),
        "accuracy": float((ranks == 1).mean()),
        "ndcg_at_10": float(np.mean(list(map(_ndcg, found, relevant)))),
    }
    for cutoff in CUTOFFS:
        shares = [
            len(wanted.keys() & set(ranking.best[:cutoff].tolist()))
            / len(wanted)
            for ranking, wanted in zip(found, relevant, strict=True)
        ]
        means[f"recall_at_{cutoff}"] = float(np.mean(shares))
    return means


def _ndcg(ranking: Ranking, wanted: Mapping[int, float]) -> float:
    gains = [wanted.get(i, 0.0) for i in ranking.best[:_NDCG].tolist()]
    ideal = sorted(wanted.values(), reverse=True)[:_NDCG]
    return _discounted(gains) / _discounted(ideal)


def _discounted(gains: Sequence[float]) -> float:
    places = np.arange(len(gains))
    return float((np.array(gains) / np.log2(places + 2)).sum())
