"""Several steps as one compiled call, and the means that are logged.

A step (`trainers.step.training_model`) returns a dict; a pair (value_sum,
weight_sum) is averaged over steps, sum by sum, a scalar shows its last value.
Counts (tokens, skipped updates) are those of one step: in a call of several
steps, their mean, so that nothing that happened within the call is lost.

Of the skipped steps of a call it is also told how they lie (`SKIP_RUNS`):
what ends a run is a number of them in a row.
"""

from collections.abc import Callable

import tensorflow as tf

# int32 [3]: skipped steps in a row at the call's beginning and at its end, and
# the most in a row. A call without any good step has three times its length.
SKIP_RUNS = "skip_runs"
# Counts of a step, which an interval adds up.
COUNTS = ("tokens", "places", "loss_weight", "skipped", "overflow")
# Seconds of a step in which the loop waited for its batch.
DATA_WAIT = "data_wait"
# Of what a call of several steps gives the mean.
_AVERAGED = (*COUNTS, DATA_WAIT)


def compile_loop(
    strategy: tf.distribute.Strategy,
    step: Callable,
    steps: int,
    run_eagerly: bool = False,
    time_data: bool = False,
) -> Callable:
    """Returns a function that runs `steps` steps on an iterator's batches.

    Args:
      strategy: runs `step` on every replica.
      step: takes one replica's batch, returns the dict that is logged, its
        values already reduced over replicas.
      steps: the most that one call runs.
      run_eagerly: for debugging; nothing is compiled.
      time_data: log as "data_wait" the seconds that `next(iterator)` took.

    Returns:
      function(iterator, count) -> (pairs, scalars): `count` steps, an int32
      scalar; the pairs summed over them, the last scalars, counts' means.
    """

    def one_step(data):
        logs = _of_first_replica(strategy, strategy.run(step, args=(data,)))
        pairs = {k: v for k, v in logs.items() if isinstance(v, tuple)}
        return pairs, {k: v for k, v in logs.items() if k not in pairs}

    def step_of(iterator):
        data, waits = _next(iterator, time_data)
        pairs, scalars = one_step(data)
        if "skipped" in scalars:
            bad = tf.cast(scalars["skipped"] > 0, tf.int32)
            scalars[SKIP_RUNS] = tf.stack([bad, bad, bad])
        return pairs, {**scalars, **waits}

    def loop(iterator, count=None):
        total, scalars = step_of(iterator)
        if steps == 1:
            return total, scalars

        def body(index, total, before):
            pairs, scalars = step_of(iterator)
            total = tf.nest.map_structure(tf.add, total, pairs)
            return index + 1, total, _with(before, scalars, index)

        _, total, scalars = tf.while_loop(
            lambda index, *_: index < count,
            body,
            (tf.constant(1), total, scalars),
        )
        shares = {n: scalars[n] for n in _AVERAGED if n in scalars}
        for name, value in shares.items():
            scalars[name] = value / tf.cast(count, value.dtype)
        return total, scalars

    if run_eagerly:
        return loop
    # The inner function is traced once for both places that call it.
    one_step = tf.function(one_step, autograph=False)
    return tf.function(loop, autograph=False)


def _with(before: dict, scalars: dict, steps: tf.Tensor) -> dict:
    """Scalars of a step, with the counts of the `steps` before it."""
    scalars = dict(scalars)
    for name in _AVERAGED:
        if name in scalars:
            scalars[name] += before[name]
    if SKIP_RUNS in scalars:
        bad = scalars[SKIP_RUNS][0]
        scalars[SKIP_RUNS] = _joined(before[SKIP_RUNS], bad, steps)
    return scalars


def _joined(runs: tf.Tensor, bad: tf.Tensor, steps: tf.Tensor) -> tf.Tensor:
    """SKIP_RUNS of `steps` steps and one more, which was `bad` (0 or 1)."""
    first, last, longest = tf.unstack(runs)
    first += bad * tf.cast(first == steps, tf.int32)
    last = (last + 1) * bad
    return tf.stack([first, last, tf.maximum(longest, last)])


def _of_first_replica(strategy: tf.distribute.Strategy, logs: dict) -> dict:
    """Reduced values are the same on every replica: those of the first."""
    return {
        name: tf.nest.map_structure(
            lambda v: strategy.experimental_local_results(v)[0], value
        )
        for name, value in logs.items()
    }


def _next(iterator, timed: bool) -> tuple:
    """The next batch, and if `timed` the seconds that it was waited for.

    On the host, outside of what replicas run. Where a device still computes
    the step before, that time may pass beside it: it is an upper bound.

    Returns:
      (batch, {"data_wait": float32 scalar} or {})
    """
    if not timed:
        return next(iterator), {}
    begun = tf.timestamp()
    with tf.control_dependencies([begun]):
        data = next(iterator)
    tensors = tf.nest.flatten(data, expand_composites=True)
    with tf.control_dependencies(tensors):
        wait = tf.timestamp() - begun
    return data, {DATA_WAIT: tf.cast(wait, tf.float32)}


def means(logged: list, objectives: list[str]) -> dict:
    """Logs of steps: every pair's sum by its weight.

    Args:
      logged: [(pairs, scalars), ...] of tensors or numbers.
      objectives: names whose means add up to "loss", unless the step logs a
        "loss" of its own.
    """
    last_pairs, scalars = logged[-1]
    logs = {}
    for name in last_pairs:
        value = sum(pairs[name][0] for pairs, _ in logged)
        weight = sum(pairs[name][1] for pairs, _ in logged)
        logs[name] = value / weight
    if "loss" not in logs and objectives and set(objectives) <= set(logs):
        logs = {"loss": sum(logs[name] for name in objectives), **logs}
    return {**logs, **scalars}
