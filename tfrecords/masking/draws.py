"""Which tokens of a row are hidden: single ones, words, or runs of words.

All candidates of a row are laid out in an order of random numbers of their
own, as if around a circle, and those are hidden that begin in a stretch of it
that is `wanted` long and begins anywhere (systematic sampling: Madow 1949, "On
the theory of systematic sampling, II"). So each is hidden with the same
probability, whatever its size, and what is chosen is a function of the row's
key alone. All rows of a batch are worked on at once.
"""

import numpy as np

from tfrecords import keyed_order

# Counters of a row's stream of random numbers: what is drawn for place i of
# purpose k is number k * 2^16 + i, so purposes never share a number.
PLACE_BITS = 16
SELECT, ACTION, REPLACEMENT, LENGTH, OFFSET = (
    np.uint64(purpose << PLACE_BITS) for purpose in range(5)
)
PLACE_MASK = np.uint64((1 << PLACE_BITS) - 1)
_LAST = np.uint64(2**64 - 1)


def uniform(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1), float64; see `order.draws`."""
    drawn = keyed_order.draws(keys, np.atleast_1d(counters))
    return (drawn >> np.uint64(11)) * 2.0**-53


def choose_tokens(
    maskable: np.ndarray, keys: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Chooses single tokens.

    Args:
      maskable: bool [B, S], may be hidden.
      keys: uint64 [B], of the rows.
      wanted: float64 [B], how many on average.

    Returns:
      bool [B, S]; of each row one of the two whole numbers next to `wanted`.
    """
    places = np.arange(maskable.shape[1], dtype=np.uint64)
    # The place stands in the low bits, so that no two numbers are equal.
    drawn = keyed_order.draws(keys[:, None], SELECT + places[None, :])
    drawn = np.where(maskable, drawn & ~PLACE_MASK | places, _LAST)
    counts = np.floor(wanted + uniform(keys, OFFSET)).astype(np.int64)
    counts = np.minimum(counts, np.count_nonzero(maskable, axis=1))
    ordered = np.sort(drawn, axis=1)
    last = np.take_along_axis(ordered, np.maximum(counts, 1)[:, None] - 1, 1)
    return (drawn <= last) & maskable & (counts > 0)[:, None]


def choose_words(
    maskable: np.ndarray,
    word_start: np.ndarray,
    keys: np.ndarray,
    wanted: np.ndarray,
    most: int,
    lengths: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses runs of whole words.

    A row is cut into runs of words, each of a length drawn for it unless a
    special token ends it; runs are laid out in random order, and of the first
    and the last one in the stretch only a part may be hidden.

    Args:
      maskable: bool [B, S], may be hidden.
      word_start: bool [B, S], begins a word.
      keys: uint64 [B], of the rows.
      wanted: float64 [B], how many tokens on average, at most `most`.
      most: P, tokens to choose at most. What has more loses words from its
        start on, so that long ones are not the ones to go.
      lengths: float64 [L], the probabilities that a run has at most
        1, 2, ..., L words; the last one is 1.

    Returns:
      (chosen bool [B, S], the place where each token's run starts int64
      [B, S])
    """
    places = np.arange(maskable.shape[1])
    starts = maskable.copy()
    starts[:, 1:] &= word_start[:, 1:] | ~maskable[:, :-1]
    runs = starts
    if len(lengths) > 1:
        runs = _run_starts(maskable, starts, keys, lengths)
    runs = np.maximum.accumulate(np.where(runs, places, 0), axis=1)
    # Tokens in the order of their runs; runs in that of their numbers.
    numbers = places.astype(np.uint64)
    drawn = keyed_order.draws(keys[:, None], SELECT + numbers[None, :])
    drawn = np.take_along_axis(drawn, runs, axis=1)
    drawn = np.where(maskable, drawn & ~PLACE_MASK | numbers, _LAST)
    drawn.sort(axis=1)
    laid = (drawn & PLACE_MASK).astype(np.int64)
    count = np.count_nonzero(maskable, axis=1)[:, None]
    real = places < count
    laid[~real] = 0  # [CLS], which is never hidden.
    # Where the token's word begins, counted from the stretch's start.
    begins = np.take_along_axis(starts, laid, axis=1)
    word = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    size = np.maximum(count, 1)
    after = (word - uniform(keys, OFFSET)[:, None] * size) % size
    taken = (after < wanted[:, None]) & real
    over = np.flatnonzero(np.count_nonzero(taken, axis=1) > most)
    if over.size:
        taken[over] = _last_words(taken[over], after[over], most)
    chosen = np.zeros_like(maskable)
    np.put_along_axis(chosen, laid, taken, axis=1)
    return chosen, runs


def _last_words(taken, after, most: int) -> np.ndarray:
    """Of words chosen, bool [B, S], the last ones that have room.

    `after` float64 [B, S] says where each begins.
    """
    begin = np.where(taken, after, -1.0)
    last = begin == begin.max(axis=1, keepdims=True)
    # A word for which there is never room goes by itself.
    long = np.count_nonzero(last, axis=1, keepdims=True) > most
    taken = taken & ~(last & long)
    excess = np.count_nonzero(taken, axis=1, keepdims=True) - most
    begin = np.where(taken, after, np.inf)
    first = begin.min(axis=1, keepdims=True)
    return taken & (np.rint(after - first) >= excess)


def _run_starts(maskable, starts, keys, lengths) -> np.ndarray:
    """Which tokens begin a run, bool [B, S]."""
    places = np.arange(starts.shape[1], dtype=np.uint64)
    drawn = uniform(keys[:, None], LENGTH + places[None, :])
    drawn = 1 + np.searchsorted(lengths[:-1], drawn, side="right")
    drawn, starts = (
        np.ascontiguousarray(drawn.T),
        np.ascontiguousarray(starts.T),
    )
    behind = np.ones_like(starts)  # A special token.
    behind[1:] = ~maskable.T[:-1]
    runs = np.zeros_like(starts)
    left = np.zeros(starts.shape[1], np.int64)  # Words of the present run.
    for place in range(len(starts)):
        new = starts[place] & ((left == 0) | behind[place])
        runs[place] = new
        left = np.where(new, drawn[place], left) - starts[place]
    return np.ascontiguousarray(runs.T)
