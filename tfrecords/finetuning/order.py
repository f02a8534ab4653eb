"""Which example stands at which position of a run.

A position q counts examples from the start of the run. It lies in epoch
q // N, and each epoch has its own order, a pure function of (seed, epoch):
nothing is remembered between batches, so any worker can start at any step.
"""

import functools

import numpy as np

from tfbert.errors import UserError


def places(positions: np.ndarray, size: int, seed: int) -> np.ndarray:
    """The examples at `positions`, int64 in [0, `size`), any shape.

    Every example stands exactly once in each epoch.
    """
    epochs, within = np.divmod(np.asarray(positions, np.int64), size)
    found = np.empty_like(within)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        found[chosen] = _permutation(size, seed, int(epoch))[within[chosen]]
    return found


@functools.lru_cache(maxsize=4)
def _permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The order of one epoch, int64 [size].

    Labelled data fits in memory, so an order may be a sort by hash; that it
    is spelled out here keeps it the same under every version of NumPy.
    """
    base = _mix(_mix(np.uint64(seed & (2**64 - 1))) ^ np.uint64(epoch))
    keys = _mix(np.arange(size, dtype=np.uint64) ^ base)
    return np.argsort(keys, kind="stable")


def _mix(value: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al. 2014), a bijection."""
    with np.errstate(over="ignore"):
        value = value + np.uint64(0x9E3779B97F4A7C15)
        value = (value ^ (value >> np.uint64(30))) * np.uint64(
            0xBF58476D1CE4E5B9
        )
        value = (value ^ (value >> np.uint64(27))) * np.uint64(
            0x94D049BB133111EB
        )
        return value ^ (value >> np.uint64(31))


def rows_of_replica(global_batch_size: int, num_replicas: int) -> int:
    """The rows of a global batch that one replica takes.

    Raises:
      UserError: the global batch does not divide.
    """
    if global_batch_size < 1 or global_batch_size % num_replicas:
        raise UserError(
            f"a global batch of {global_batch_size} cannot be shared equally "
            f"by {num_replicas} replicas; make it a multiple of them."
        )
    return global_batch_size // num_replicas
