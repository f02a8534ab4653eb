"""Measures of predicted numbers.

Legend: N examples.
"""

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's correlation of two arrays [N]; 0 where it is undefined.

    It is where all values of one of them are the same.
    """
    a = a - a.mean(dtype=np.float64)
    b = b - b.mean(dtype=np.float64)
    spread = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / spread) if spread > 0 else 0.0


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation; equal values share their mean rank."""
    return pearson(ranks(a), ranks(b))


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1, float64 [N]; ties have their mean."""
    _, place, counts = np.unique(
        values, return_inverse=True, return_counts=True
    )
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[place]
