"""Measures of single-label classification, on arrays of class numbers.

Legend: N examples, C classes.
"""

import numpy as np


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """log softmax over the last axis, float32, without overflow."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    total = np.exp(shifted).sum(axis=-1, keepdims=True)
    return (shifted - np.log(total)).astype(np.float32)


def confusion(gold: np.ndarray, predicted: np.ndarray, classes: int):
    """int [C, C]: row the right class, column the answer."""
    counts = np.zeros([classes, classes], int)
    np.add.at(counts, (gold, predicted), 1)
    return counts


def per_class(counts: np.ndarray) -> dict[str, np.ndarray]:
    """precision, recall, f1, support of each class, [C] each.

    Args:
      counts: see `confusion`. A class that was never predicted has precision
        0, one that does not occur recall 0.
    """
    right = np.diag(counts).astype(float)
    support, answers = counts.sum(axis=1), counts.sum(axis=0)
    return {
        "precision": right / np.maximum(answers, 1),
        "recall": right / np.maximum(support, 1),
        # 2 P R / (P + R), which is 0 where nothing is right.
        "f1": 2 * right / np.maximum(support + answers, 1),
        "support": support,
    }


def matthews(counts: np.ndarray) -> float:
    """Matthews' correlation of any number of classes; 0 if undefined.

    R_K of Gorodkin (2004), "Comparing two K-category assignments by a
    K-category correlation coefficient", equation 8; of two classes
    Matthews' (1975).
    """
    total = float(counts.sum())
    right = float(np.trace(counts))
    gold = counts.sum(axis=1).astype(float)
    answers = counts.sum(axis=0).astype(float)
    spread = (total**2 - gold @ gold) * (total**2 - answers @ answers)
    if spread == 0:
        return 0.0
    return float((right * total - gold @ answers) / np.sqrt(spread))
