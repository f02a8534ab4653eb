"""Measures of search against loops over whole rankings."""

import math

import numpy as np
import pytest

from trainers.finetuning.metrics import retrieval


def unit(rng, *shape):
    vectors = rng.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def brute(queries, documents, relevant):
    """A whole sorted list for each query."""
    sums = dict.fromkeys(("mrr", "accuracy", "ndcg_at_10"), 0.0)
    for query, wanted in zip(queries, relevant, strict=True):
        scores = [float(query @ document) for document in documents]
        order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
        first = next(n for n, i in enumerate(order, 1) if i in wanted)
        sums["mrr"] += 1 / first
        sums["accuracy"] += first == 1
        gain = sum(
            wanted.get(i, 0) / math.log2(n + 1)
            for n, i in enumerate(order[:10], 1)
        )
        best = sorted(wanted.values(), reverse=True)[:10]
        ideal = sum(g / math.log2(n + 1) for n, g in enumerate(best, 1))
        sums["ndcg_at_10"] += gain / ideal
        for k in retrieval.CUTOFFS:
            name = f"recall_at_{k}"
            hits = len(set(order[:k]) & set(wanted)) / len(wanted)
            sums[name] = sums.get(name, 0.0) + hits
    return {name: value / len(queries) for name, value in sums.items()}


@pytest.mark.parametrize("documents", [3, 17, 251])
def test_figures(documents):
    rng = np.random.default_rng(documents)
    queries, corpus = unit(rng, 300, 4), unit(rng, documents, 4)
    relevant = [
        {
            int(i): float(rng.integers(1, 4))
            for i in rng.integers(0, documents, rng.integers(1, 4))
        }
        for _ in queries
    ]
    found = retrieval.rankings(queries, corpus, relevant)
    figures = retrieval.figures(found, relevant)
    wanted = brute(queries, corpus, relevant)
    assert figures == pytest.approx(wanted, abs=1e-6)
    assert wanted["mrr"] < 1


def test_of_equal_documents_the_earlier_goes_first():
    queries = np.array([[1, 0]], np.float32)
    corpus = np.ones((150, 2), np.float32)
    [ranking] = retrieval.rankings(queries, corpus, [{7: 1.0}])
    assert ranking.first == 8
    assert ranking.best.tolist() == list(range(100))
    # A model that gives all texts one vector finds nothing.
    [last] = retrieval.rankings(queries, corpus, [{149: 1.0}])
    assert last.first == 150
