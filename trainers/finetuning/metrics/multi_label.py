"""Measures of multi-label classification, on arrays of decisions.

Legend: N examples, C labels.
"""

import numpy as np


def counts(gold: np.ndarray, chosen: np.ndarray) -> dict[str, np.ndarray]:
    """right, chosen and support of each label, int [C].

    Args:
      gold: 0 or 1, [N, C].
      chosen: 0 or 1, [N, C].
    """
    return {
        "right": (gold & chosen).sum(axis=0, dtype=int),
        "chosen": chosen.sum(axis=0, dtype=int),
        "support": gold.sum(axis=0, dtype=int),
    }


def precision_recall_f1(right, chosen, support) -> tuple:
    """The three from counts; 0 where nothing was chosen, or there is none."""
    return (
        right / np.maximum(chosen, 1),
        right / np.maximum(support, 1),
        2 * right / np.maximum(chosen + support, 1),
    )
