"""Randomness without state: hashes, and a keyed order of any number of rows.

Every number here is a pure function of its arguments, in whole-number
arithmetic, the same on every machine and with every version of NumPy.
"""

import collections
import contextlib
import functools
import itertools
from collections.abc import Iterator

import numpy as np

# Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
# generators": the increment and the finaliser of SplitMix64.
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER_1 = np.uint64(0xBF58476D1CE4E5B9)
_MULTIPLIER_2 = np.uint64(0x94D049BB133111EB)

_ROUNDS = 8

# Places of an order that are worked out together.
_BLOCK = 4096

# Blocks kept for each folder: those of batches made at the same time.
_KEPT = 4


def mix(value: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, a bijection of uint64, any shape.

    Writes over a fresh copy in place: this is the hot loop of masking.
    """
    value = np.array(value, np.uint64, ndmin=1)
    value ^= value >> np.uint64(30)
    value *= _MULTIPLIER_1
    value ^= value >> np.uint64(27)
    value *= _MULTIPLIER_2
    value ^= value >> np.uint64(31)
    return value


def fold(key: np.ndarray | int, value: np.ndarray | int) -> np.ndarray:
    """A key for the pair (key, value), uint64 of the broadcast shape.

    Args:
      key: uint64, or a Python int, taken modulo 2^64.
      value: whole numbers, taken modulo 2^64.
    """
    return mix(mix(_uint64(key) + _GAMMA) ^ _uint64(value))


def draws(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """Number `counters` of the SplitMix64 stream that starts at `keys`.

    Args:
      keys: uint64.
      counters: uint64, broadcast against `keys`.

    Returns:
      uint64 of the broadcast shape, each uniform over all 2^64 values.
    """
    return mix(keys + (counters + np.uint64(1)) * _GAMMA)


def _uint64(value) -> np.ndarray:
    if isinstance(value, int):
        value = value & (1 << 64) - 1
        return np.array([value], np.uint64)
    return np.atleast_1d(np.asarray(value)).astype(np.uint64)


def permute(places: np.ndarray, size: int, key: np.ndarray) -> np.ndarray:
    """Where a keyed permutation of [0, size) sends `places`.

    A Feistel network over the smallest power of two that holds `size`, and
    cycle walking: what falls outside [0, size) goes through the network
    again until it falls inside (Black and Rogaway 2002, "Ciphers with
    arbitrary finite domains", section 3). The domain is less than twice the
    size, so a place takes fewer than two passes on average.

    Args:
      places: int64, any shape, in [0, size).
      size: the number of places.
      key: uint64 [1]; another key is another permutation.

    Returns:
      int64 of the shape of `places`.
    """
    if size < 2:
        return np.zeros_like(places)
    bits = max(2, (size - 1).bit_length())
    shape = np.shape(places)
    value = np.asarray(places).astype(np.uint64).reshape(-1)
    round_keys = draws(key, np.arange(_ROUNDS, dtype=np.uint64))
    value = _feistel(value, bits, round_keys)
    outside = np.flatnonzero(value >= size)
    while outside.size:
        walked = _feistel(value[outside], bits, round_keys)
        value[outside] = walked
        outside = outside[walked >= size]
    return value.astype(np.int64).reshape(shape)


def _feistel(value: np.ndarray, bits: int, round_keys: np.ndarray):
    """One pass: uint64 [N] in [0, 2^bits) -> the same, one to one.

    The two halves may differ by a bit; rounds change them in turn, each by a
    hash of the other, so any width is a bijection.
    """
    low_bits = np.uint64(bits // 2)
    low_mask = np.uint64((1 << (bits // 2)) - 1)
    high_mask = np.uint64((1 << (bits - bits // 2)) - 1)
    high, low = value >> low_bits, value & low_mask
    for number, key in enumerate(round_keys):
        if number % 2:
            low = low ^ (mix(high + key) & low_mask)
        else:
            high = high ^ (mix(low + key) & high_mask)
    return high << low_bits | low


def epoch_key(seed: int, epoch: int) -> np.ndarray:
    """The key of an epoch's order, uint64 [1]."""
    return fold(fold(seed, 0x0DE5), epoch)


class RowOrder:
    """Which row stands at each position of a run on some rows.

    Position q lies in epoch q // num_rows; each epoch has each row once, in
    an order of its own. The class keeps what it worked out last, and has no
    other state.
    """

    def __init__(self, num_rows: int):
        self._num_rows = num_rows
        # Batches are small and neighbours: a block of places is worked out at
        # once and kept for the batches that follow.
        self._blocks: collections.OrderedDict[tuple, np.ndarray] = (
            collections.OrderedDict()
        )

    def rows_at(
        self, positions: np.ndarray, seed: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The rows at positions.

        Args:
          positions: int64 [B], counted from the start of the run.
          seed: the run's seed.

        Returns:
          (rows int64 [B] in [0, num_rows), epochs int64 [B])
        """
        positions = np.asarray(positions, np.int64)
        epochs, places = np.divmod(positions, self._num_rows)
        blocks = places // _BLOCK
        rows = np.empty_like(places)
        # Mostly one; each is looked up once.
        left = np.ones(len(places), bool)
        while left.any():
            first = int(left.argmax())
            epoch, block = int(epochs[first]), int(blocks[first])
            chosen = (epochs == epoch) & (blocks == block)
            found = self._block(epoch, block, seed)
            rows[chosen] = found[places[chosen] - block * _BLOCK]
            left &= ~chosen
        return rows, epochs

    def _block(self, epoch: int, block: int, seed: int) -> np.ndarray:
        """The rows at `_BLOCK` places of an epoch, int64 [up to _BLOCK]."""
        key = (epoch, block, seed)
        found = self._blocks.get(key)
        if found is None:
            first = block * _BLOCK
            last = min(first + _BLOCK, self._num_rows)
            places = np.arange(first, last, dtype=np.int64)
            found = permute(places, self._num_rows, epoch_key(seed, epoch))
            self._blocks[key] = found
            if len(self._blocks) > _KEPT:
                # Another thread may have been first.
                with contextlib.suppress(KeyError):
                    self._blocks.popitem(last=False)
        return found


@functools.lru_cache(maxsize=16)
def _order_of(num_rows: int) -> RowOrder:
    return RowOrder(num_rows)


def rows_at(
    positions: np.ndarray, num_rows: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """As `RowOrder.rows_at`, of `num_rows` rows."""
    return _order_of(num_rows).rows_at(positions, seed)


def groups(numbers: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each of some whole numbers [B], and the places that hold it."""
    by_number = np.argsort(numbers, kind="stable")
    ordered = numbers[by_number]
    cuts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    edges = [0, *cuts.tolist(), len(numbers)]
    for start, end in itertools.pairwise(edges if len(numbers) else []):
        yield int(ordered[start]), by_number[start:end]
