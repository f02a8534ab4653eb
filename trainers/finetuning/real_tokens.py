"""How many of the places of training's rows are real tokens: arithmetic.

Legend: N examples, K sequences of one, R of all, B examples of a global batch,
S sequence.
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


class Lengths:
    """Tokens of all sequences of a file.

    Args:
      tokens: of each row, [N] or [N, K]; or of each window, [R].
      examples: the example of each window, ascending, [R].
      slots: sequences that a batch has for each example, those that are none
        included, where that is not K.
    """

    def __init__(
        self,
        tokens: np.ndarray,
        examples: np.ndarray | None = None,
        slots: int | None = None,
    ):
        if examples is None:
            slots = tokens[:1].size
            examples = np.repeat(np.arange(len(tokens)), slots)
        self.tokens, self.slots = tokens.reshape(-1), slots
        self._examples = examples

    def by_example(self, values: np.ndarray) -> np.ndarray:
        """The sums [N] of what is known of sequences, [R]."""
        sums = np.bincount(self._examples, weights=values)
        return sums.astype(np.int64)


def count(
    lengths: Lengths,
    longest: int,
    rows_of: Callable[[int], np.ndarray],
    parts: int,
    skip_padding: bool,
) -> RealTokens:
    """Counts one epoch.

    Args:
      lengths: tokens of each sequence of N examples.
      longest: S.
      rows_of: number of a batch -> its examples, [B].
      parts: micro-batches of a global batch, on all replicas.
      skip_padding: whether real tokens alone are computed.
    """
    tokens = lengths.tokens
    computed, pairs = tokens, np.square(_widths(tokens, longest))
    if not skip_padding:
        computed = np.full_like(tokens, longest)
        pairs = np.square(computed)
    counted = [lengths.by_example(values) for values in (computed, pairs)]
    most = np.zeros(2, np.int64)
    size = len(rows_of(0))
    for step in range(-(-len(counted[0]) // size)):
        rows = rows_of(step).reshape(parts, -1)
        sums = [values[rows].sum(axis=1).max() for values in counted]
        most = np.maximum(most, sums)
    total = int(tokens.sum())
    attended = float(np.square(tokens).sum() / total)
    places = tokens.size * longest
    return RealTokens(total, places, *map(int, most), attended)


def fixed_sizes(
    lengths: Lengths, longest: int, batches: Iterable[np.ndarray], parts: int
) -> dict[int, Sizes]:
    """What the largest of all micro-batches needs: number of rows -> Sizes.

    Args:
      lengths: tokens of each sequence of N examples.
      longest: S.
      batches: examples of each global batch, [B].
      parts: micro-batches of a global batch, on all replicas.
    """
    widths = group_lengths(longest)
    group = np.searchsorted(widths, lengths.tokens)
    tokens = lengths.by_example(lengths.tokens)
    groups = np.stack(
        [lengths.by_example(group == i) for i in range(len(widths))], axis=1
    )
    # Sequences that are none have the length 0.
    groups[:, 0] += lengths.slots - groups.sum(axis=1)
    counted = np.concatenate([tokens[:, None], groups], axis=1)
    most = np.zeros(1 + len(widths), np.int64)
    count = 0
    for rows in batches:
        shares = rows.reshape(parts, -1)
        count = shares.shape[1] * lengths.slots
        most = np.maximum(most, counted[shares].sum(axis=1).max(axis=0))
    total, *rows = map(int, most)
    return {count: Sizes(total, tuple(rows))}


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
