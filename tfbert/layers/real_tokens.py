"""The real tokens of padded rows, laid end to end.

All layers but attention compute each token by itself. So padding is taken out
before the first block, the tokens of a batch are one row of T, and attention
alone lays them into rows again: sequences of like length together, so that a
long one makes nobody else's rows long. As in Zeng et al. 2022, "Boosting
Distributed Training Performance of the Unpadded BERT Model", section 3.

Legend: B rows, S their length, T real tokens of all rows, n and L the rows of
a group and their length, P places that are read of each row, W a width.
"""

from typing import NamedTuple

import keras
from keras import ops

from tfbert import fast_ops

# The shortest group's rows; each next group's are twice as long.
SHORTEST = 32


class Sizes(NamedTuple):
    """The most that batches of one shape have, for shapes that are fixed.

    Attributes:
      tokens: T.
      rows: n of each group, of `group_lengths`.
    """

    tokens: int
    rows: tuple[int, ...]


class Groups:
    """Rows of a matrix [R, W] laid into groups, and back.

    Args:
      slots: of each group the rows that lie there, int32 [...]; R where none
        does.
      home: for each row its place among the slots of all groups, int32 [R];
        their number for a row that lies in none.
    """

    def __init__(self, slots: list, home: keras.KerasTensor):
        self.slots, self.home = slots, home

    def apart(self, x: keras.KerasTensor) -> list:
        """[R, W] -> of each group [..., W]; what lies in no row is finite."""
        return fast_ops.lay_apart(x, self.slots, self.home)

    def together(self, parts: list) -> keras.KerasTensor:
        """The way back: of each group [..., W] -> [R, W]."""
        return fast_ops.lay_together(parts, self.slots, self.home)


class RealTokens:
    """Where the real tokens of padded rows are.

    Args:
      mask: integers [B, S], 1 for tokens, which come first, and 0 for padding.
      longest: the most tokens of a row, where S is not known before.
      sizes: T and n, where shapes are fixed (XLA, TPUs): what is too much of
        them is computed and counts for nothing; None: just as many as there
        are.

    Attributes:
      places: where each token lies among the places of the rows, int32 [T];
        B S for what is no token.
      position_ids: its place in its own row, int32 [T].
      tokens: Groups of the T tokens, [n, L] slots each.
      rows: Groups of the B rows, in the same groups, [n] slots each.
      fits: whether all that there is has a place, bool scalar; None: always.
    """

    def __init__(
        self,
        mask: keras.KerasTensor,
        longest: int,
        sizes: Sizes | None = None,
    ):
        batch, self.length = ops.shape(mask)
        longest = mask.shape[1] or longest
        real = ops.cast(ops.not_equal(mask, 0), "int32")
        lengths = ops.sum(real, axis=1)  # [B]
        self.starts = ops.cumsum(lengths) - lengths
        self.batch, self.fixed = batch, sizes is not None
        flat = ops.reshape(real, (-1,))
        self.places = _true_places(flat > 0, sizes and sizes.tokens)
        self.fits = None if sizes is None else ops.sum(flat) <= sizes.tokens
        self.position_ids = ops.mod(self.places, self.length)
        self._make_groups(lengths, longest, sizes)

    def _make_groups(self, lengths, longest: int, sizes: Sizes | None) -> None:
        total = ops.shape(self.places)[0]
        # Behind the rows, one without tokens.
        lengths = ops.pad(lengths, [(0, 1)])
        starts = ops.pad(self.starts, [(0, 1)])
        rows, slots, bases = [], [], []
        before, lowest = 0, -1
        for group, width in enumerate(group_lengths(longest)):
            inside = ops.logical_and(lengths > lowest, lengths <= width)
            members = _true_places(inside[:-1], sizes and sizes.rows[group])
            own = ops.take(lengths, members)[:, None]  # [n, 1]
            if sizes is not None:
                there = ops.sum(ops.cast(inside[:-1], "int32"))
                self.fits &= there <= sizes.rows[group]
            columns = ops.arange(width, dtype="int32")[None]  # [1, L]
            slots.append(
                ops.where(
                    columns < own,
                    ops.take(starts, members)[:, None] + columns,
                    total,
                )
            )
            count = ops.shape(members)[0]
            bases.append(before + ops.arange(count, dtype="int32") * width)
            rows.append(members)
            before, lowest = before + count * width, width
        # The rows come first, in their order.
        order = ops.argsort(ops.concatenate(rows))[: self.batch]
        home = ops.cast(order, "int32")  # [B]
        self.rows = Groups(rows, home)
        base = ops.take(ops.concatenate(bases), home)
        base = ops.concatenate([base, ops.reshape(before, (1,))])
        row_of = ops.floor_divide(self.places, self.length)
        self.tokens = Groups(slots, ops.take(base, row_of) + self.position_ids)

    def bias(self, group: int, dtype: str) -> keras.KerasTensor:
        """Of a group's attention: 0, and hugely negative at padding."""
        slots, total = self.tokens.slots[group], ops.shape(self.places)[0]
        padding = ops.cast(ops.equal(slots, total), dtype)  # [n, L]
        return shut(padding)[:, None, None, :]

    def of(self, values: keras.KerasTensor) -> keras.KerasTensor:
        """The values [B, S] of the real tokens: [1, T]."""
        flat = ops.reshape(values, (-1,))
        if self.fixed:
            flat = ops.pad(flat, [(0, 1)])
        return ops.take(flat, self.places)[None]

    def at(self, positions: keras.KerasTensor) -> keras.KerasTensor:
        """Places [1, B P] among the tokens of positions [B, P] in the rows."""
        flat = ops.cast(positions, "int32") + self.starts[:, None]
        last = ops.shape(self.places)[0] - 1
        return ops.reshape(ops.minimum(flat, last), (1, -1))

    def in_rows(self, x: keras.KerasTensor) -> keras.KerasTensor:
        """[1, T, W] -> [B, S, W], 0 at padding."""
        width, count = ops.shape(x)[-1], self.batch * self.length
        shape = (count + int(self.fixed), width)
        flat = ops.scatter(self.places[:, None], x[0], shape)
        return ops.reshape(flat[:count], (self.batch, self.length, width))


def _true_places(
    flags: keras.KerasTensor, size: int | None
) -> keras.KerasTensor:
    """Where flags [R] are true, int32 [size], filled up with R.

    Args:
      size: at least as many as are true; None: just as many.
    """
    if size is None:
        (places,) = ops.nonzero(flags)
        return ops.cast(places, "int32")
    count = ops.shape(flags)[0]
    numbers = ops.where(flags, ops.arange(count, dtype="int32"), count)
    if size > count:
        numbers = ops.pad(numbers, [(0, size - count)], constant_values=count)
    return ops.sort(numbers)[:size]


def shut(padding: keras.KerasTensor) -> keras.KerasTensor:
    """What is added to scores: 0, and -1e9 (-3e4 in float16) for 1."""
    dtype = keras.backend.standardize_dtype(padding.dtype)
    return ops.multiply(padding, -3e4 if dtype == "float16" else -1e9)


def group_lengths(length: int) -> list[int]:
    """The rows' lengths of all groups, ascending; the last is `length`."""
    found = []
    longest = SHORTEST
    while longest < length:
        found.append(longest)
        longest *= 2
    return [*found, length]
