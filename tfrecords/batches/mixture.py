"""Several folders of records, mixed by weight.

The run's positions are cut into blocks of 65,536. A source of share w has
round(65536 w) of the places of every block, no more and no fewer, spread
evenly: the places, with the bits of their numbers reversed, are the points of
van der Corput's sequence (1935), moved by a key of (seed, block); a source
has those that fall into an interval as wide as its share. So among any 2^m
positions from a multiple of 2^m on, a source has its share up to one row.

The n-th place of a source in the run is the n-th position of a run on that
source alone: its rows come in the order, epoch by epoch, in which they would
come without the others. All of it is arithmetic; there is no state.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Sequence

import numpy as np

from tfbert.errors import UserError
from tfrecords import keyed_order
from tfrecords.storage.reader import Records

_BLOCK_BITS = 16
_BLOCK = 1 << _BLOCK_BITS

# Positions whose rows are worked out together.
_PART = 1 << 14


class Mixture:
    """Records of several folders, read as one.

    Row ids count through all sources, in the order in which they were given.

    Attributes:
      sources: the `Records`.
      shares: each source's share of the positions; they add up to 1.
      path: of the first source, whose vocabulary is that of all.
      manifest: of the first source; `packed` if any source is.
      num_rows: rows of all sources together.
      sequence_length, vocabulary, classes, has_labels, faults: see `Records`.
      bad_rows: int64, rows that cannot be read.
    """

    def __init__(
        self,
        sources: Sequence[Records],
        weights: Sequence[float | None] | None = None,
        temperature: float = 1.0,
    ):
        """Mixes sources.

        Args:
          sources: with one vocabulary, tokenizer, length and objective.
          weights: of each source; None: its number of rows.
          temperature: shares are proportional to weight ** temperature, so
            less than 1 gives small sources (languages) more than their size
            (Conneau and Lample 2019, section 3.1).

        Raises:
          UserError: they do not go together, or weights mean nothing.
        """
        _check_alike(sources)
        self.sources = list(sources)
        weights = weights or [None] * len(sources)
        self._counts = _places(sources, weights, temperature)
        self.shares = [count / _BLOCK for count in self._counts.tolist()]
        first = sources[0]
        self.path = first.path
        self.manifest = dataclasses.replace(
            first.manifest,
            packed=any(source.manifest.packed for source in sources),
        )
        self.sequence_length = first.sequence_length
        self.vocabulary, self.classes = first.vocabulary, first.classes
        self.has_labels = first.has_labels
        sizes = [source.num_rows for source in sources]
        self._starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self.num_rows = int(self._starts[-1])
        self._parts: dict[tuple[int, int], np.ndarray] = {}
        self.faults = [fault for s in sources for fault in s.faults]
        self.bad_rows = np.concatenate(
            [
                source.bad_rows + start
                for source, start in zip(
                    sources, self._starts[:-1], strict=True
                )
            ]
        )

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of what is read, sha256, hex: sources and shares."""
        parts = [source.fingerprint for source in self.sources]
        text = "\n".join([*parts, *map(str, self._counts.tolist())])
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    def rows_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which row stands at each position of a run.

        Args:
          positions: int64 [B], counted from the start of the run.
          seed: the run's seed.

        Returns:
          (row ids int64 [B], epochs of their sources int64 [B])
        """
        positions = np.asarray(positions, np.int64)
        parts, places = np.divmod(positions, _PART)
        row_ids, epochs = np.empty_like(places), np.empty_like(places)
        for part, chosen in keyed_order.groups(parts):
            rows = self._part_rows(part, seed)
            row_ids[chosen], epochs[chosen] = rows[:, places[chosen]]
        return row_ids, epochs

    def _part_rows(self, part: int, seed: int) -> np.ndarray:
        """(row ids, epochs) of `_PART` positions, int64 [2, _PART].

        Worked out for all of them at once: a batch has places of every
        source, and asking each of a hundred costs more than the answers.
        """
        found = self._parts.get((part, seed))
        if found is None:
            first = part * _PART
            found = self._rows_at(np.arange(first, first + _PART), seed)
            # Of the batches that are made at the same time.
            kept = list(self._parts.items())[-3:]
            self._parts = dict([*kept, ((part, seed), found)])
        return found

    def _rows_at(self, positions: np.ndarray, seed: int) -> np.ndarray:
        numbers, places = self.sources_at(positions, seed)
        rows = np.empty((2, len(places)), np.int64)
        for number, source in enumerate(self.sources):
            chosen = numbers == number
            rows[:, chosen] = source.rows_at(places[chosen], seed)
            rows[0, chosen] += self._starts[number]
        return rows

    def sources_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(source int64 [B], position in a run on it alone int64 [B])."""
        blocks, places = np.divmod(np.asarray(positions, np.int64), _BLOCK)
        numbers, ranks = np.empty_like(places), np.empty_like(places)
        counts = tuple(self._counts.tolist())
        for block in np.unique(blocks).tolist():
            chosen = blocks == block
            of_block = _block(block, seed, counts)
            numbers[chosen], ranks[chosen] = of_block[:, places[chosen]]
        return numbers, blocks * self._counts[numbers] + ranks

    def rows(self, row_ids: np.ndarray) -> np.ndarray:
        """As `Records.rows`, int32 [B, S + labels]."""
        width = self.manifest.layout.row_width
        rows = np.empty((len(row_ids), width), np.int32)
        numbers = np.searchsorted(self._starts, row_ids, side="right") - 1
        own = row_ids - self._starts[numbers]
        for number, chosen in keyed_order.groups(numbers):
            rows[chosen] = self.sources[number].rows(own[chosen])
        return rows

    def tokens(self, row_ids: np.ndarray) -> np.ndarray:
        """The token ids of rows, int32 [B, S]."""
        return self.rows(row_ids)[:, : self.sequence_length]


def open_mixture(
    paths: Sequence[str | os.PathLike],
    weights: Sequence[float | None] | None = None,
    temperature: float = 1.0,
    on_corrupt: str = "error",
) -> Mixture:
    """Opens folders that `tfbert records` wrote, and mixes them.

    Raises:
      UserError: see `Records` and `Mixture`.
    """
    sources = [Records(path, on_corrupt) for path in paths]
    return Mixture(sources, weights, temperature)


def _check_alike(sources: Sequence[Records]) -> None:
    """Raises UserError unless a model can train on all of them at once."""
    if not sources:
        raise UserError("a mixture of no records; name at least one folder.")
    first = sources[0]
    for source in sources:
        for what, one, other in (
            (
                "vocabulary (sha256)",
                first.manifest.vocabulary["sha256"],
                source.manifest.vocabulary["sha256"],
            ),
            ("tokenizer", first.manifest.tokenizer, source.manifest.tokenizer),
            (
                "sequence length",
                first.sequence_length,
                source.sequence_length,
            ),
            (
                "objective",
                first.manifest.objective,
                source.manifest.objective,
            ),
        ):
            if one != other:
                raise UserError(
                    f"records that are mixed need one {what}: {first.path} "
                    f"has {one}, {source.path} has {other}. Build them with "
                    "the same settings."
                )


def _places(sources, weights, temperature: float) -> np.ndarray:
    """How many places of a block each source has, int64 [N]."""
    if len(weights) != len(sources):
        raise UserError(
            f"{len(weights)} weights for {len(sources)} folders of records; "
            "give one for each, or none."
        )
    if not 0 <= temperature <= 1:
        raise UserError(
            f"temperature {temperature}: wanted 0 (equal shares) to 1 "
            "(shares as the weights say)."
        )
    for source, weight in zip(sources, weights, strict=True):
        if weight is not None and not 0 < weight < float("inf"):
            raise UserError(
                f"the weight of {source.path} is {weight}; wanted more than 0."
            )
        if not source.num_rows:
            raise UserError(
                f"{source.path} has no rows; leave it out of the mixture."
            )
    if len({weight is None for weight in weights}) > 1:
        raise UserError(
            "some folders of the mixture have a weight and some have none; "
            "give one to each, or to none."
        )
    sizes = [
        float(source.num_rows if weight is None else weight)
        for source, weight in zip(sources, weights, strict=True)
    ]
    # Against the largest, so that no weight is too large for the power.
    parts = [(size / max(sizes)) ** temperature for size in sizes]
    exact = [_BLOCK * part / sum(parts) for part in parts]
    if min(exact) < 0.5:
        small = sources[exact.index(min(exact))]
        raise UserError(
            f"{small.path} has a share of less than one row in {2 * _BLOCK}; "
            "raise its weight, or leave it out of the mixture."
        )
    # Largest remainders: the counts nearest to the shares that fill a block.
    counts = [max(1, int(value)) for value in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: (counts[i] - exact[i], i))
    for place in range(_BLOCK - sum(counts)):
        counts[by_rest[place % len(counts)]] += 1
    while sum(counts) > _BLOCK:
        counts[counts.index(max(counts))] -= 1
    return np.array(counts, np.int64)


@functools.lru_cache(maxsize=4)
def _block(block: int, seed: int, counts: tuple[int, ...]) -> np.ndarray:
    """int64 [2, _BLOCK]: the source at each place, and its rank there."""
    key = keyed_order.fold(keyed_order.fold(seed, 0x313C), block)
    slots = _reversed_bits() ^ int(key[0] >> np.uint64(64 - _BLOCK_BITS))
    ends = np.cumsum(counts)
    numbers = np.searchsorted(ends, slots, side="right")
    # Places in the order of their sources, then of themselves.
    by_source = np.argsort(numbers, kind="stable")
    ranks = np.empty(_BLOCK, np.int64)
    ranks[by_source] = np.arange(_BLOCK) - (ends - counts)[numbers[by_source]]
    return np.stack([numbers, ranks])


@functools.cache
def _reversed_bits() -> np.ndarray:
    """Each number below _BLOCK with its bits reversed, int64 [_BLOCK]."""
    values = np.zeros(1, np.int64)
    for _ in range(_BLOCK_BITS):
        values = np.concatenate([2 * values, 2 * values + 1])
    return values
