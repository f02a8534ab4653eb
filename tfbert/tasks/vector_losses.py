"""Losses of sentence vectors, which compare the examples of a batch.

Legend: N examples of the global batch, T texts of one (anchor, positive and,
if there is one, hard negative), M = N (T - 1) candidates, D dimensions.
"""

import dataclasses
from collections.abc import Sequence

import keras
from keras import ops

from tfbert.errors import UserError
from tfbert.tasks.task import NEVER

# What each learns from is said by its function below.
OBJECTIVES = ("in_batch", "cosine", "cosent")
Tensor = keras.KerasTensor


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How vectors are compared to learn from.

    Attributes:
      objective: one of OBJECTIVES.
      temperature: of in_batch and cosent: what cosines are divided by.
      dimensions: the first so many dimensions learn too; the mean of their
        losses and that of all is the loss.

    Raises:
      UserError: no such objective, temperature or dimensions.
    """

    objective: str = "in_batch"
    temperature: float = 0.05
    dimensions: tuple[int, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "dimensions", tuple(self.dimensions))
        if self.objective not in OBJECTIVES:
            raise UserError(
                f"wanted an objective of {', '.join(OBJECTIVES)}, got "
                f"{self.objective!r}"
            )
        if not self.temperature > 0:
            raise UserError(
                f"wanted a temperature above 0, got {self.temperature}: "
                "cosines are divided by it"
            )
        if len(set(self.dimensions)) < len(self.dimensions):
            shown = ", ".join(map(str, self.dimensions))
            raise UserError(f"wanted different dimensions, got {shown}")


def normalised(vectors: Tensor) -> Tensor:
    """Vectors [..., D] of length 1; one of zeros stays so."""
    squares = ops.sum(vectors * vectors, axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squares, 1e-24))


def in_batch(
    vectors: Tensor, keys: Tensor, real: Tensor, temperature: float
) -> Tensor:
    """Cross-entropy of each anchor's positive among all candidates.

    Henderson et al. 2017, "Efficient Natural Language Response Suggestion for
    Smart Reply", section 4.4; with cosines over a temperature as Gao et al.
    2021, "SimCSE", equation 5 (with hard negatives). Candidates are the
    positives and hard negatives of all examples. What is equal to the anchor
    or to its positive is no negative of it, nor is a positive of an equal
    anchor.

    Args:
      vectors: float32 [N, T, D] of length 1, T >= 2.
      keys: integers [N, T]; equal where texts are equal.
      real: float32 [N], 0 for rows that only fill the batch.
      temperature: that cosines are divided by.

    Returns:
      losses, float32 [N]; 0 where an example has no negative.
    """
    anchors, positives = vectors[:, 0], vectors[:, 1]  # [N, D]
    others = [vectors[:, i] for i in range(2, vectors.shape[1])]
    logits = ops.matmul(anchors, ops.transpose(positives))  # [N, N]
    same = [_equal(keys[:, 0], keys[:, 1]), _equal(keys[:, 1], keys[:, 1])]
    same.append(_equal(keys[:, 0], keys[:, 0]))
    shut = ops.any(ops.stack(same), axis=0)
    shut = ops.logical_or(shut, ops.equal(real, 0.0)[None])
    own = ops.eye(ops.shape(anchors)[0], dtype="bool")
    # Computed apart, so that its own equal texts do not shut it.
    right = ops.sum(anchors * positives, axis=-1) / temperature  # [N]
    columns = [
        ops.where(ops.logical_or(shut, own), NEVER, logits / temperature)
    ]
    for index, negatives in enumerate(others, start=2):
        logits = ops.matmul(anchors, ops.transpose(negatives)) / temperature
        shut = ops.logical_or(
            _equal(keys[:, 0], keys[:, index]),
            _equal(keys[:, 1], keys[:, index]),
        )
        shut = ops.logical_or(shut, ops.equal(real, 0.0)[None])
        columns.append(ops.where(shut, NEVER, logits))
    logits = ops.concatenate([right[:, None], *columns], axis=1)  # [N, 1 + M]
    return (ops.logsumexp(logits, axis=1) - right) * real


def cosine(vectors: Tensor, scores: Tensor, real: Tensor) -> Tensor:
    """Squared distance of each pair's cosine from its score.

    Reimers and Gurevych 2019, "Sentence-BERT", section 3, "Regression
    Objective Function".

    Args:
      vectors: float32 [N, 2, D] of length 1.
      scores: float32 [N], from 0 to 1.
      real: float32 [N], 0 for rows that only fill the batch.

    Returns:
      losses, float32 [N].
    """
    return (_cosines(vectors) - scores) ** 2 * real


def cosent(
    vectors: Tensor, scores: Tensor, real: Tensor, temperature: float
) -> Tensor:
    """How far pairs of lower scores have higher cosines.

    log(1 + sum of exp((cos_j - cos_i) / temperature) over all i, j with
    score_i > score_j): CoSENT (Su 2022, kexue.fm/archives/8847; Huang et al.
    2024, IEEE/ACM TASLP 32, 2800-2813). Only the order of the scores counts.

    Args:
      vectors: float32 [N, 2, D] of length 1.
      scores: float32 [N].
      real: float32 [N], 0 for rows that only fill the batch.
      temperature: that cosines are divided by.

    Returns:
      float32 [N], for each example the loss of the batch, so that the mean
      over examples is that.
    """
    found = _cosines(vectors) / temperature  # [N]
    wrong = found[None] - found[:, None]  # [N, N]: of i less than of j.
    both = ops.equal(real[:, None] * real[None], 1.0)
    counts = ops.logical_and(both, scores[:, None] > scores[None])
    wrong = ops.reshape(ops.where(counts, wrong, NEVER), (-1,))
    wrong = ops.concatenate([ops.zeros((1,), "float32"), wrong], axis=0)
    return ops.logsumexp(wrong) * real


def at_dimensions(vectors: Tensor, dimensions: Sequence[int]) -> list[Tensor]:
    """The whole vectors, and their first parts brought to length 1.

    Kusupati et al. 2022, "Matryoshka Representation Learning", section 3.

    Args:
      vectors: float32 [..., D] of length 1.
      dimensions: of each part.
    """
    parts = [normalised(vectors[..., :size]) for size in dimensions]
    return [vectors, *parts]


def _equal(a: Tensor, b: Tensor) -> Tensor:
    """Which of a [N] (rows) is which of b [M] (columns)."""
    return ops.equal(a[:, None], b[None])


def _cosines(vectors: Tensor) -> Tensor:
    return ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1)
