"""Proves, before anything is trained, that sums over replicas are sums.

A strategy that leaves a replica out, or counts one twice, trains without an
error on another batch than it says. So each run first sums known values with
the collective of its own step, in each dtype that travels.
"""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from tfbert.errors import UserError
from trainers.step.replica_sums import sum_over_replicas

# Behind a row of one element for each replica, an array as large as many
# gradients: libraries cut and pack those in other ways.
LARGE = 50_000
_SHOWN = 8


class WrongSum(UserError):
    """The strategy's sums over replicas are wrong."""


def prove(strategy: tf.distribute.Strategy, dtypes: Iterable[str]) -> None:
    """Sums known values over all replicas, and compares on each of this host.

    Element i is 1 on replica i (modulo the number of replicas) and 0 on the
    others, so that every sum is 1, exactly, in any dtype, and one that is not
    tells which replica is missing. Several workers have to call it together.

    Args:
      strategy: whose collective is tried; call it outside of its replicas.
      dtypes: of what travels.

    Raises:
      WrongSum: names the strategy, the dtype and the replicas.
    """
    if strategy.num_replicas_in_sync == 1:
        return
    for dtype in sorted(set(dtypes)):
        sums = _sums(strategy, dtype)
        for small, large in sums:
            wrong = np.flatnonzero(small != 1.0)
            if len(wrong) or (large != 1.0).any():
                raise WrongSum(_message(strategy, dtype, small, wrong))


def _sums(strategy, dtype: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """The sums as each replica of this host has them: ([R], [LARGE])."""
    count = strategy.num_replicas_in_sync

    def on_replica():
        context = tf.distribute.get_replica_context()
        index = context.replica_id_in_sync_group
        small = tf.cast(tf.range(count) == index, dtype)
        large = tf.cast(tf.range(LARGE) % count == index, dtype)
        sums = sum_over_replicas([small, large])
        return [tf.cast(each, tf.float32) for each in sums]

    @tf.function(autograph=False)
    def run():
        return strategy.run(on_replica)

    local = [strategy.experimental_local_results(each) for each in run()]
    return [
        tuple(each.numpy() for each in of_replica)
        for of_replica in zip(*local, strict=True)
    ]


def _message(strategy, dtype, small, wrong) -> str:
    name = type(strategy).__name__
    by = getattr(strategy.extended, "_cross_device_ops", None)
    if by is not None:
        name += f" with {type(by).__name__}"
    found = ", ".join(
        f"replica {index} counts {small[index]:g} times"
        for index in wrong[:_SHOWN]
    )
    return (
        f"sums of {dtype} over the {len(small)} replicas are wrong: "
        f"{found or 'large arrays come out otherwise than small ones'} "
        f"({name}, TensorFlow {tf.__version__}). Each update would be that of "
        "another batch, so nothing was trained. Give another "
        "runtime.strategy, runtime.devices or runtime.all_reduce_dtype"
    )
