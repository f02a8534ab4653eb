"""Hiding tokens for masked language modelling.

Which tokens of a row are hidden, and what stands in their place, is a pure
function of (seed, epoch, row id) and of the row's ids: it does not depend on
the batch, the worker or the order in which rows are read, and the mask of any
one row can be made again.
"""

import dataclasses
import math

import numpy as np

from tfbert import numpy_scalars
from tfbert.errors import UserError
from tfrecords import keyed_order, layout
from tfrecords.masking import draws
from tfrecords.masking.token_classes import TokenClasses

TOKEN, WHOLE_WORD, NGRAM, SPAN = "token", "whole_word", "ngram", "span"
STRATEGIES = (TOKEN, WHOLE_WORD, NGRAM, SPAN)

# Another version hides other tokens of the same row. A run keeps to one.
MASKS_VERSION = 2

# Places, beyond those of the rate, for a last word that is longer than what
# is left, and for any single word.
_OVERRUN = 3
_LONGEST_WORD = 8


@dataclasses.dataclass(frozen=True)
class Masking:
    """How tokens are hidden (Devlin et al. 2018, section 3.1, task 1).

    Of a row with m tokens that may be hidden (all but special tokens),
    rate * m are on average: every token with the probability `rate`, whatever
    the row's length. With "token" it is always one of the two whole numbers
    nearest to rate * m.

    Where the unit is the word, no word is hidden in part, and every word is
    hidden with the probability `rate`, however many pieces it has; so a row's
    number differs from rate * m by less than its longest words. A word of
    more than P pieces is never hidden, and where the words chosen have more
    than P in all, the last one stays and others go.

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
      max_predictions: P, the most predictions of a row; None: what the rate
        and the length of rows ask for, see `predictions`. Fewer than that
        lower the rate.
      mask_share: the share of these that become [MASK].
      random_share: the share that becomes another token, drawn from all but
        special and [unused] ones; the rest stays as it was.
      max_ngram: of "ngram".
      span_probability, max_span: of "span".
    """

    strategy: str = "token"
    rate: float = 0.15
    max_predictions: int | None = None
    mask_share: float = 0.8
    random_share: float = 0.1
    max_ngram: int = 3
    span_probability: float = 0.2
    max_span: int = 10

    def __post_init__(self):
        """Raises UserError for settings that mean nothing."""
        numpy_scalars.replace_in(self)
        if self.strategy not in STRATEGIES:
            raise UserError(
                f"masking strategy {self.strategy!r}: there are {STRATEGIES}."
            )
        if not 0 < self.rate <= 1:
            raise UserError(
                f"masking rate {self.rate}: wanted more than 0, at most 1."
            )
        if self.max_predictions is not None and self.max_predictions < 1:
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

    def predictions(self, sequence_length: int) -> int:
        """P, the predictions that a row has places for.

        What the rate asks for, and for whole words some more, so that a long
        one has room.

        Args:
          sequence_length: S, tokens of a row.

        Raises:
          UserError: max_predictions is more than a row can have.
        """
        most = max(1, sequence_length - 2)  # All but [CLS] and [SEP].
        own = math.ceil(self.rate * most - 1e-9)
        if self.strategy != TOKEN:
            own = max(own + _OVERRUN, _LONGEST_WORD)
        own = min(max(1, own), most)
        if self.max_predictions is None:
            return own
        if self.max_predictions > most:
            raise UserError(
                f"max_predictions {self.max_predictions}: rows of "
                f"{sequence_length} tokens have at most {most} that can be "
                f"predicted. Leave it out (null): the rate's own number is "
                f"{own}."
            )
        return self.max_predictions

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
        most = self.predictions(token_ids.shape[1])
        wanted = np.minimum(self.rate * maskable.sum(axis=1), most)
        if self.strategy == TOKEN:
            chosen = draws.choose_tokens(maskable, keys, wanted)
            positions, chosen = _columns(chosen, most)
            draw_at = positions
        else:
            chosen, runs = draws.choose_words(
                maskable,
                classes.starts(token_ids),
                keys,
                wanted,
                most,
                self._run_lengths(),
            )
            positions, chosen = _columns(chosen, most)
            draw_at = positions
            if self.strategy == SPAN:
                draw_at = np.take_along_axis(runs, positions, axis=1)
        originals = np.take_along_axis(token_ids, positions, axis=1)
        shown = self._replace(originals, positions, draw_at, keys, classes)
        # A place that is not chosen points at position 0, where its own
        # token, never maskable, is written back.
        shown = np.where(chosen, shown, originals)
        input_ids = token_ids.copy()
        np.put_along_axis(input_ids, positions, shown, axis=1)
        return {
            layout.INPUT_IDS: input_ids,
            layout.MASKED_LM_POSITIONS: positions.astype(np.int32),
            layout.MASKED_LM_IDS: np.where(chosen, originals, np.int32(0)),
            layout.MASKED_LM_WEIGHTS: chosen.astype(np.float32),
        }

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
        uniform = draws.uniform(
            keys[:, None], draws.ACTION + draw_at.astype(np.uint64)
        )
        number = keyed_order.draws(
            keys[:, None], draws.REPLACEMENT + positions.astype(np.uint64)
        )
        count = np.uint64(len(classes.replacements))
        index = (number >> np.uint64(32)) * count >> np.uint64(32)
        other = classes.replacements[index.astype(np.int64)]
        shown = np.where(uniform < self.mask_share, classes.mask_id, other)
        kept = uniform >= self.mask_share + self.random_share
        return np.where(kept, originals, shown).astype(np.int32)


def _columns(chosen: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Places bool [B, S] -> (ascending int64 [B, P], which are, bool [B, P]).

    No row has more than `most`, P.
    """
    _, places = np.nonzero(chosen)
    counts = np.count_nonzero(chosen, axis=1)
    taken = np.arange(most) < counts[:, None]
    positions = np.zeros(taken.shape, np.int64)
    positions[taken] = places
    return positions, taken


def row_keys(seed: int, epochs: np.ndarray, row_ids: np.ndarray) -> np.ndarray:
    """The key of each row's random numbers, uint64 [B]."""
    return keyed_order.fold(
        keyed_order.fold(keyed_order.fold(seed, 0x3A5C), epochs), row_ids
    )
