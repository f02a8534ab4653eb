"""Measures of cosines against scores.

Legend: N pairs, D dimensions.
"""

import numpy as np

from trainers.finetuning.metrics.regression import pearson, spearman


def at(vectors: np.ndarray, dimensions: int | None) -> np.ndarray:
    """The first dimensions of vectors [..., D], of length 1; None: all."""
    if dimensions is None:
        return vectors
    some = vectors[..., :dimensions]
    lengths = np.linalg.norm(some, axis=-1, keepdims=True)
    return some / np.maximum(lengths, 1e-12)


def cosines(vectors: np.ndarray) -> np.ndarray:
    """Of pairs of vectors of length 1: float32 [N, 2, D] -> float32 [N]."""
    return (vectors[:, 0] * vectors[:, 1]).sum(axis=-1)


def figures(found: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Spearman's and Pearson's correlation of cosines and scores, both [N]."""
    return {
        "spearman": spearman(found, scores),
        "pearson": pearson(found, scores),
    }
