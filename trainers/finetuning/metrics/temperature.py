"""One temperature for all logits, so that probabilities can be believed.

Guo et al. 2017, "On Calibration of Modern Neural Networks", section 4.2: the
T that makes the right answers of held-out data likeliest where logits are
divided by it. Answers stay as they are. The loss is convex in 1/T.

Legend: N examples, C classes, choices or labels.
"""

import dataclasses
import math

import numpy as np

# What is found is no lower and no higher.
LOWEST, HIGHEST = 0.1, 10.0
# Of fewer examples nothing is found.
LEAST_EXAMPLES = 30
# Relative, of T.
_EXACT = 1e-5


@dataclasses.dataclass(frozen=True)
class OneOfMany:
    """Answers by softmax.

    Attributes:
      logits: float [N, C]; what is far below all others is none.
      gold: the right place, int [N].
    """

    logits: np.ndarray
    gold: np.ndarray

    def probabilities(self, temperature: float = 1.0) -> np.ndarray:
        """float64 [N, C]."""
        scaled = self.logits.astype(np.float64) / temperature
        powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    def loss(self, temperature: float = 1.0) -> float:
        """Mean of -log p(right), in nats."""
        scaled = self.logits.astype(np.float64) / temperature
        most = scaled.max(axis=-1)
        total = np.log(np.exp(scaled - most[:, None]).sum(axis=-1)) + most
        return float((total - self._right(scaled)).mean())

    def slope(self, inverse: float) -> float:
        """The derivative of the loss by 1/T."""
        logits = self.logits.astype(np.float64)
        expected = (self.probabilities(1 / inverse) * logits).sum(axis=-1)
        return float((expected - self._right(logits)).mean())

    def confidences(self, temperature: float = 1.0) -> np.ndarray:
        """float [N, 2]: how sure each answer is, and 1 if it is right."""
        found = self.probabilities(temperature)
        right = self.logits.argmax(axis=-1) == self.gold
        return np.stack([found.max(axis=-1), right], axis=-1)

    def _right(self, values: np.ndarray) -> np.ndarray:
        return values[np.arange(len(values)), self.gold]


@dataclasses.dataclass(frozen=True)
class YesOrNo:
    """Answers by a sigmoid for each label; one temperature for all.

    Attributes:
      logits: float [N, C].
      gold: 0 or 1, [N, C].
    """

    logits: np.ndarray
    gold: np.ndarray

    @property
    def _signed(self) -> np.ndarray:
        """Above 0 where the answer is right."""
        return np.where(self.gold, 1.0, -1.0) * self.logits

    def loss(self, temperature: float = 1.0) -> float:
        """Mean of -log p(right) of all decisions, in nats."""
        return float(np.logaddexp(0, -self._signed / temperature).mean())

    def slope(self, inverse: float) -> float:
        """The derivative of the loss by 1/T."""
        signed = self._signed
        wrong = np.exp(-np.logaddexp(0, signed * inverse))
        return float(-(signed * wrong).mean())

    def confidences(self, temperature: float = 1.0) -> np.ndarray:
        """float [N C, 2]: how sure each decision is, and 1 if it is right."""
        # Above 0 is yes, as in the exported graph: at 0 only a no is right.
        right = (self.logits > 0) == (self.gold > 0)
        sure = np.exp(-np.logaddexp(0, -np.abs(self.logits) / temperature))
        return np.stack([sure.reshape(-1), right.reshape(-1)], axis=-1)


Scores = OneOfMany | YesOrNo


def fitted(scores: Scores) -> float | None:
    """The temperature with the lowest loss, between LOWEST and HIGHEST.

    Args:
      scores: of held-out data.

    Returns:
      None where these do not tell: they are too few, not finite, or all
      right, so that the more extreme the likelier.
    """
    if len(scores.gold) < LEAST_EXAMPLES:
        return None
    if not np.isfinite(scores.logits).all():
        return None
    if scores.confidences()[:, 1].all():
        return None
    low, high = math.log(1 / HIGHEST), math.log(1 / LOWEST)
    if scores.slope(1 / HIGHEST) >= 0:
        return HIGHEST
    if scores.slope(1 / LOWEST) <= 0:
        return LOWEST
    while high - low > _EXACT:
        middle = (low + high) / 2
        if scores.slope(math.exp(middle)) > 0:
            high = middle
        else:
            low = middle
    return math.exp(-(low + high) / 2)
