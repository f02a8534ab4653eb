"""Hiding tokens for masked language modelling.

Which tokens of a row are hidden, and what stands in their place, is a pure
function of (seed, epoch, row id) and of the row's ids: it does not depend on
the batch, the worker or the order in which rows are read, and the mask of any
one row can be made again.
"""

import dataclasses

import numpy as np

from tfbert.errors import UserError
from tfrecords import order, spec
from tfrecords.token_classes import TokenClasses

STRATEGIES = ("token",)

# Counters of a row's stream of random numbers: what is drawn for place i of
# purpose k is number k * 2^16 + i, so purposes never share a number.
_PLACES = 16
_SELECT, _ACTION, _REPLACEMENT = (
    np.uint64(purpose << _PLACES) for purpose in range(3)
)
_PLACE_MASK = np.uint64((1 << _PLACES) - 1)
_LAST = np.uint64(2**64 - 1)


@dataclasses.dataclass(frozen=True)
class Masking:
    """How tokens are hidden (Devlin et al. 2018, section 3.1, task 1).

    A row with m tokens that may be hidden (all but special tokens) loses
    max(1, round(rate * m)) of them, at most `max_predictions`: exactly that
    many, not that many on average.

    Attributes:
      strategy: "token", every token by itself.
      rate: the share of tokens to predict.
      max_predictions: P, the most predictions of a row.
      mask_share: the share of these that become [MASK].
      random_share: the share that becomes another token, drawn from all but
        special and [unused] ones; the rest stays as it was.
    """

    strategy: str = "token"
    rate: float = 0.15
    max_predictions: int = 20
    mask_share: float = 0.8
    random_share: float = 0.1

    def __post_init__(self):
        """Raises UserError for settings that mean nothing."""
        if self.strategy not in STRATEGIES:
            raise UserError(
                f"masking strategy {self.strategy!r}: there are {STRATEGIES}."
            )
        if not 0 < self.rate <= 1:
            raise UserError(
                f"masking rate {self.rate}: wanted more than 0, at most 1."
            )
        if self.max_predictions < 1:
            raise UserError(
                f"max_predictions {self.max_predictions}: wanted 1 or more."
            )
        shares = (self.mask_share, self.random_share)
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise UserError(
                f"mask_share {shares[0]} and random_share {shares[1]}: wanted "
                "shares of at least 0 that add up to at most 1."
            )

    def budgets(self, maskable: np.ndarray) -> np.ndarray:
        """How many tokens each row loses.

        Args:
          maskable: int [B], tokens of the row that may be hidden.

        Returns:
          int64 [B].
        """
        wanted = np.rint(self.rate * maskable).astype(np.int64)
        wanted = np.minimum(np.maximum(wanted, 1), self.max_predictions)
        return np.minimum(wanted, maskable)

    def apply(
        self,
        token_ids: np.ndarray,
        row_ids: np.ndarray,
        epochs: np.ndarray,
        seed: int,
        classes: TokenClasses,
    ) -> dict[str, np.ndarray]:
        """Masks rows.

        Args:
          token_ids: int32 [B, S], unmasked.
          row_ids, epochs: int64 [B].
          seed: any whole number.
          classes: of the vocabulary.

        Returns:
          `input_ids` int32 [B, S]; `masked_lm_positions` int32 [B, P],
          ascending, `masked_lm_ids` int32 [B, P] and `masked_lm_weights`
          float32 [B, P], all 0 where a row has fewer than P predictions.
        """
        keys = row_keys(seed, epochs, row_ids)
        positions, chosen = self._select(token_ids, keys, classes)
        originals = np.take_along_axis(token_ids, positions, axis=1)
        shown = self._replace(originals, positions, keys, classes)
        # A place that is not chosen points at position 0, where its own
        # token, never maskable, is written back.
        shown = np.where(chosen, shown, originals)
        input_ids = token_ids.copy()
        np.put_along_axis(input_ids, positions, shown, axis=1)
        return {
            spec.INPUT_IDS: input_ids,
            spec.MASKED_LM_POSITIONS: positions.astype(np.int32),
            spec.MASKED_LM_IDS: np.where(chosen, originals, np.int32(0)),
            spec.MASKED_LM_WEIGHTS: chosen.astype(np.float32),
        }

    def _select(self, token_ids, keys, classes):
        """(positions int64 [B, P], chosen bool [B, P]), ascending."""
        batch, length = token_ids.shape
        maskable = classes.maskable[token_ids]  # [B, S]
        places = np.arange(length, dtype=np.uint64)
        # The place stands in the low bits: keys differ, and the smallest
        # ones say where they lie.
        drawn = order.draws(keys[:, None], _SELECT + places[None, :])
        drawn = np.where(maskable, drawn & ~_PLACE_MASK | places, _LAST)
        drawn.sort(axis=1)
        smallest = drawn[:, : self.max_predictions] & _PLACE_MASK
        budgets = self.budgets(maskable.sum(axis=1))
        columns = np.arange(smallest.shape[1])
        smallest[columns >= budgets[:, None]] = _PLACE_MASK
        smallest.sort(axis=1)
        positions = np.zeros((batch, self.max_predictions), np.int64)
        positions[:, : smallest.shape[1]] = smallest
        chosen = np.arange(self.max_predictions) < budgets[:, None]
        positions[~chosen] = 0
        return positions, chosen

    def _replace(self, originals, positions, keys, classes):
        """What stands at `positions` afterwards, int32 [B, P]."""
        places = positions.astype(np.uint64)
        action = order.draws(keys[:, None], _ACTION + places)
        uniform = (action >> np.uint64(11)) * 2.0**-53
        number = order.draws(keys[:, None], _REPLACEMENT + places)
        count = np.uint64(len(classes.replacements))
        index = (number >> np.uint64(32)) * count >> np.uint64(32)
        other = classes.replacements[index.astype(np.int64)]
        shown = np.where(uniform < self.mask_share, classes.mask_id, other)
        kept = uniform >= self.mask_share + self.random_share
        return np.where(kept, originals, shown).astype(np.int32)


def row_keys(seed: int, epochs: np.ndarray, row_ids: np.ndarray) -> np.ndarray:
    """The key of each row's random numbers, uint64 [B]."""
    return order.fold(order.fold(order.fold(seed, 0x3A5C), epochs), row_ids)
