"""Which tokens of a row are hidden: single ones, words, or runs of words.

A row's candidates are taken in the order of random numbers of their own, so
that what is chosen is a function of the row's key alone. All rows of a batch
are worked on at once.
"""

import numpy as np

from tfrecords import order

# Counters of a row's stream of random numbers: what is drawn for place i of
# purpose k is number k * 2^16 + i, so purposes never share a number.
PLACE_BITS = 16
SELECT, ACTION, REPLACEMENT, LENGTH = (
    np.uint64(purpose << PLACE_BITS) for purpose in range(4)
)
PLACE_MASK = np.uint64((1 << PLACE_BITS) - 1)
_LAST = np.uint64(2**64 - 1)


def in_random_order(
    candidates: np.ndarray, keys: np.ndarray, count: int
) -> np.ndarray:
    """The first places of each row's candidates in an order of its own.

    Args:
      candidates: bool [B, S].
      keys: uint64 [B], of the rows.
      count: how many places are wanted, at most S.

    Returns:
      uint64 [B, count]; `PLACE_MASK` behind a row's last candidate.
    """
    places = np.arange(candidates.shape[1], dtype=np.uint64)
    # The place stands in the low bits: numbers differ, and the smallest ones
    # say where they lie.
    drawn = order.draws(keys[:, None], SELECT + places[None, :])
    drawn = np.where(candidates, drawn & ~PLACE_MASK | places, _LAST)
    drawn.sort(axis=1)
    return drawn[:, :count] & PLACE_MASK


def choose_words(
    maskable: np.ndarray,
    word_start: np.ndarray,
    keys: np.ndarray,
    budgets: np.ndarray,
    lengths: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Chooses runs of whole words.

    Words are taken in random order as starts of runs. A run goes on over the
    words that follow, up to a length drawn for it, and ends before a special
    token, a word that is chosen already, and a word that is longer than what
    is left of the row's budget. A start that cannot be taken is passed over,
    so a budget is missed only by less than each word that is left.

    Args:
      maskable: bool [B, S], may be hidden.
      word_start: bool [B, S], begins a word.
      keys: uint64 [B], of the rows.
      budgets: int64 [B], tokens to choose at most.
      lengths: float64 [L], the probabilities that a run has at most
        1, 2, ..., L words; the last one is 1.

    Returns:
      (chosen bool [B, S], the place where each token's run starts int64
      [B, S])
    """
    batch, length = maskable.shape
    first, sizes = _words(maskable, word_start)
    # One column more: the place behind the last token is no word.
    width = length + 1
    sizes = np.pad(sizes, ((0, 0), (0, 1))).reshape(-1)
    run_of = np.full(batch * width, -1)
    starts = (sizes > 0).reshape(batch, width)[:, :length]
    ranked = in_random_order(starts, keys, length).astype(np.int64)
    counts = starts.sum(axis=1)
    left = budgets.astype(np.int64).copy()
    for rank in range(length):
        rows = np.flatnonzero((left > 0) & (rank < counts))
        if not rows.size:
            break
        start = ranked[rows, rank]
        wanted = _run_lengths(keys[rows], start, lengths)
        place = start + rows * width
        start_of = start
        for step in range(len(lengths)):
            size = sizes[place]
            fits = (size > 0) & (run_of[place] < 0) & (size <= left[rows])
            fits &= step < wanted
            if not fits.all():
                rows, place, size = rows[fits], place[fits], size[fits]
                start_of, wanted = start_of[fits], wanted[fits]
                if not rows.size:
                    break
            run_of[place] = start_of
            left[rows] -= size
            place = place + size
    runs = np.take_along_axis(run_of.reshape(batch, width), first, axis=1)
    return maskable & (runs >= 0), runs


def _run_lengths(keys, starts, lengths) -> np.ndarray:
    """How many words the runs from `starts` (int64 [N]) may have."""
    if len(lengths) == 1:
        return np.ones(len(starts), np.int64)
    drawn = order.draws(keys, LENGTH + starts.astype(np.uint64))
    uniform = (drawn >> np.uint64(11)) * 2.0**-53
    return 1 + np.searchsorted(lengths[:-1], uniform, side="right")


def _words(maskable, word_start) -> tuple[np.ndarray, np.ndarray]:
    """(each token's word's first place, words' sizes there) int64 [B, S].

    A word is a token that begins one, or that stands behind a special token,
    and the pieces that go on with it.
    """
    batch, length = maskable.shape
    starts = maskable.copy()
    starts[:, 1:] &= word_start[:, 1:] | ~maskable[:, :-1]
    places = np.arange(length)
    first = np.maximum.accumulate(np.where(starts, places, 0), axis=1)
    flat = first + np.arange(batch)[:, None] * length
    sizes = np.bincount(flat[maskable], minlength=batch * length)
    return first, sizes.reshape(batch, length)
