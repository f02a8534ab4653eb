"""How many of the places of training's rows are real tokens: arithmetic.

Legend: N rows, K sequences of one, B rows of a global batch, S sequence.
"""

import dataclasses
from collections.abc import Callable, Iterable

import numpy as np

from tfbert.layers.real_tokens import Sizes, group_lengths


@dataclasses.dataclass(frozen=True)
class RealTokens:
    """The tokens of an epoch, and of its largest micro-batch.

    Attributes:
      tokens: all real ones.
      places: of all rows, with their padding.
      largest: the most that the layers compute in one micro-batch: its
        tokens without padding, its places with it.
      pairs: the most pairs of places that attention computes in one.
      attended: how many tokens a token attends to, in the mean.
    """

    tokens: int
    places: int
    largest: int
    pairs: int
    attended: float

    @property
    def share(self) -> float:
        """Of the places of padded rows."""
        return self.tokens / self.places

    def describe(self, skip_padding: bool) -> str:
        """One line for the user."""
        return (
            f"{self.share:.1%} of the rows' places are real tokens; the "
            f"padding is {'not ' if skip_padding else ''}computed, and the "
            f"largest micro-batch has {self.largest:,} places"
        )


def count(
    lengths: np.ndarray,
    longest: int,
    rows_of: Callable[[int], np.ndarray],
    parts: int,
    skip_padding: bool,
) -> RealTokens:
    """Counts one epoch.

    Args:
      lengths: tokens of each row, [N] or [N, K].
      longest: S.
      rows_of: number of a batch -> its rows, [B].
      parts: micro-batches of a global batch, on all replicas.
      skip_padding: whether real tokens alone are computed.
    """
    computed, pairs = lengths, np.square(_widths(lengths, longest))
    if not skip_padding:
        computed = np.full_like(lengths, longest)
        pairs = np.square(computed)
    most = np.zeros(2, np.int64)
    size = len(rows_of(0))
    for step in range(-(-len(lengths) // size)):
        rows = rows_of(step).reshape(parts, -1)
        sums = [values[rows].reshape(parts, -1) for values in (computed, pairs)]
        most = np.maximum(most, [part.sum(axis=1).max() for part in sums])
    tokens = int(lengths.sum())
    attended = float(np.square(lengths).sum() / tokens)
    places = lengths.size * longest
    return RealTokens(tokens, places, *map(int, most), attended)


def fixed_sizes(
    lengths: np.ndarray, longest: int, batches: Iterable[np.ndarray], parts: int
) -> dict[int, Sizes]:
    """What the largest of all micro-batches needs: number of rows -> Sizes.

    Args:
      lengths: tokens of each row, [N] or [N, K].
      longest: S.
      batches: rows of each global batch, [B].
      parts: micro-batches of a global batch, on all replicas.
    """
    widths = group_lengths(longest)
    group = np.searchsorted(widths, lengths)
    most = np.zeros(1 + len(widths), np.int64)
    count = 0
    for rows in batches:
        shares = rows.reshape(parts, -1)
        sums = [
            lengths[shares],
            *(group[shares] == i for i in range(len(widths))),
        ]
        sums = [part.reshape(parts, -1) for part in sums]
        count = sums[0].shape[1]
        most = np.maximum(most, [part.sum(axis=1).max() for part in sums])
    tokens, *rows = map(int, most)
    return {count: Sizes(tokens, tuple(rows))}


def largest(*found: dict[int, Sizes]) -> dict[int, Sizes]:
    """Sizes that fit all, by number of rows."""
    merged: dict[int, Sizes] = {}
    for sizes in found:
        for rows, one in sizes.items():
            other = merged.get(rows, one)
            most = tuple(map(max, one.rows, other.rows))
            merged[rows] = Sizes(max(one.tokens, other.tokens), most)
    return merged


def _widths(lengths: np.ndarray, longest: int) -> np.ndarray:
    """Of each row the length of its group in attention."""
    widths = np.array(group_lengths(longest))
    return widths[np.searchsorted(widths, lengths)]
