"""Hiding tokens for masked language modelling.

Which tokens of a row are hidden, and what stands in their place, is a pure
function of (seed, epoch, row id) and of the row's ids: it does not depend on
the batch, the worker or the order in which rows are read, and the mask of any
one row can be made again.
"""

import dataclasses

import numpy as np

from tfbert.errors import UserError
from tfrecords import order, selection, spec
from tfrecords.token_classes import TokenClasses

TOKEN, WHOLE_WORD, NGRAM, SPAN = "token", "whole_word", "ngram", "span"
STRATEGIES = (TOKEN, WHOLE_WORD, NGRAM, SPAN)


@dataclasses.dataclass(frozen=True)
class Masking:
    """How tokens are hidden (Devlin et al. 2018, section 3.1, task 1).

    A row with m tokens that may be hidden (all but special tokens) loses
    max(1, round(rate * m)) of them, at most `max_predictions`: exactly that
    many, not that many on average.

    Where the unit is the word, no word is hidden in part, and a budget that
    the words left cannot fill exactly is filled as far as they go.

    Attributes:
      strategy: what is chosen at random.
        "token": every token by itself.
        "whole_word": words, with all their pieces.
        "ngram": runs of 1 to `max_ngram` words, of n with a probability
          proportional to 1 / n (Lan et al. 2019, equation 1).
        "span": runs of words whose number is geometric with
          `span_probability`, cut at `max_span`; a span is shown as [MASK],
          replaced or left as a whole (Joshi et al. 2019, section 3.1).
      rate: the share of tokens to predict.
      max_predictions: P, the most predictions of a row.
      mask_share: the share of these that become [MASK].
      random_share: the share that becomes another token, drawn from all but
        special and [unused] ones; the rest stays as it was.
      max_ngram: of "ngram".
      span_probability, max_span: of "span".
    """

    strategy: str = "token"
    rate: float = 0.15
    max_predictions: int = 20
    mask_share: float = 0.8
    random_share: float = 0.1
    max_ngram: int = 3
    span_probability: float = 0.2
    max_span: int = 10

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
        if not 0 < self.span_probability <= 1:
            raise UserError(
                f"span_probability {self.span_probability}: wanted more than "
                "0, at most 1."
            )
        if min(self.max_ngram, self.max_span) < 1:
            raise UserError(
                f"max_ngram {self.max_ngram}, max_span {self.max_span}: "
                "wanted 1 word or more."
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
        maskable = classes.maskable[token_ids]  # [B, S]
        budgets = self.budgets(maskable.sum(axis=1))
        if self.strategy == TOKEN:
            positions, chosen = self._tokens(maskable, keys, budgets)
            draw_at = positions
        else:
            positions, chosen, runs = self._words(
                token_ids, maskable, keys, budgets, classes
            )
            draw_at = runs if self.strategy == SPAN else positions
        originals = np.take_along_axis(token_ids, positions, axis=1)
        shown = self._replace(originals, positions, draw_at, keys, classes)
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

    def _tokens(self, maskable, keys, budgets):
        """(positions int64 [B, P], chosen bool [B, P]), ascending."""
        length = maskable.shape[1]
        count = min(self.max_predictions, length)
        places = selection.in_random_order(maskable, keys, count)
        columns = np.arange(count)
        places[columns >= budgets[:, None]] = selection.PLACE_MASK
        return self._columns(places)

    def _words(self, token_ids, maskable, keys, budgets, classes):
        """(positions int64 [B, P], chosen bool [B, P], runs int64 [B, P])."""
        chosen, runs = selection.choose_words(
            maskable,
            classes.starts(token_ids),
            keys,
            budgets,
            self._run_lengths(),
        )
        places = np.arange(maskable.shape[1], dtype=np.uint64)
        places = np.where(chosen, places, selection.PLACE_MASK)
        positions, chosen = self._columns(places)
        return positions, chosen, np.take_along_axis(runs, positions, axis=1)

    def _columns(self, places):
        """Places [B, any], `PLACE_MASK` for none -> as `_tokens` returns."""
        places.sort(axis=1)
        places = places[:, : self.max_predictions]
        positions = np.full(
            (len(places), self.max_predictions), selection.PLACE_MASK
        )
        positions[:, : places.shape[1]] = places
        chosen = positions != selection.PLACE_MASK
        positions[~chosen] = 0
        return positions.astype(np.int64), chosen

    def _run_lengths(self) -> np.ndarray:
        """The probabilities of runs of at most 1, 2, ... words."""
        if self.strategy == WHOLE_WORD:
            return np.ones(1)
        if self.strategy == NGRAM:
            shares = 1 / np.arange(1, self.max_ngram + 1)
        else:
            words = np.arange(self.max_span)
            shares = (1 - self.span_probability) ** words
        return np.cumsum(shares) / shares.sum()

    def _replace(self, originals, positions, draw_at, keys, classes):
        """What stands at `positions` afterwards, int32 [B, P].

        What is done with a token is drawn for the place `draw_at` [B, P].
        """
        action = order.draws(
            keys[:, None], selection.ACTION + draw_at.astype(np.uint64)
        )
        uniform = (action >> np.uint64(11)) * 2.0**-53
        number = order.draws(
            keys[:, None], selection.REPLACEMENT + positions.astype(np.uint64)
        )
        count = np.uint64(len(classes.replacements))
        index = (number >> np.uint64(32)) * count >> np.uint64(32)
        other = classes.replacements[index.astype(np.int64)]
        shown = np.where(uniform < self.mask_share, classes.mask_id, other)
        kept = uniform >= self.mask_share + self.random_share
        return np.where(kept, originals, shown).astype(np.int32)


def row_keys(seed: int, epochs: np.ndarray, row_ids: np.ndarray) -> np.ndarray:
    """The key of each row's random numbers, uint64 [B]."""
    return order.fold(order.fold(order.fold(seed, 0x3A5C), epochs), row_ids)
