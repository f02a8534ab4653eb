"""Ctrl-C, SIGTERM and runs that have gone wrong: stop at a step, together."""

import signal
import threading

import keras
import tensorflow as tf

from tfbert.errors import UserError
from trainers.distribution import Distribution

# 128 + signal number, as shells have it; documented in docs/architecture.md.
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


class StopOnSignal(keras.callbacks.Callback):
    """Ends `fit` after the step in which SIGINT or SIGTERM came.

    With several workers the signal may reach one of them, or each in another
    step. So that none waits for another in a collective, they agree after
    every step: if any was told to stop, all stop.

    Attributes:
      signal: the number of the signal that came, or None.
    """

    def __init__(self, distribution: Distribution):
        super().__init__()
        self.signal = None
        self._distribution = distribution
        self._agree = None
        if distribution.num_workers > 1:
            self._agree = _make_agreement(distribution.strategy)

    def __enter__(self):
        self._previous = {}
        # Only the main thread may set handlers; elsewhere (a notebook's
        # worker, a test) signals are not ours to take.
        if threading.current_thread() is threading.main_thread():
            for number in STATUS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _note(self, number, _frame):
        self.signal = number

    def on_train_batch_end(self, batch, logs=None):
        """Stops `fit` if this or another worker was told to."""
        told = self.signal is not None
        if self._agree is not None and self._agree(tf.constant(told)):
            # Told by another worker: the same as being asked to end here.
            told, self.signal = True, self.signal or signal.SIGTERM
        if told:
            self.model.stop_training = True
            # Whoever asks us to stop does not want to wait for that.
            self.model.skip_evaluation = True


class StopOnSkips(keras.callbacks.Callback):
    """Ends the run when no update could be made for many steps in a row.

    Args:
      limit: steps in a row whose gradient held NaN or Inf.
      report: called with a message at the first skipped step of a row.
    """

    def __init__(self, limit: int, report=print):
        super().__init__()
        self.limit = limit
        self._report = report
        self._row = 0
        self._pending = None

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the step before, so that devices need not wait for us."""
        pending, self._pending = self._pending, (logs or {}).get("skipped")
        if pending is not None:
            self._count(float(pending), self.model.step - 1)

    def on_train_end(self, logs=None):
        """Looks at the last step."""
        if self._pending is not None:
            self._count(float(self._pending), self.model.step)
            self._pending = None

    def _count(self, skipped, step):
        self._row = self._row + 1 if skipped else 0
        if self._row == 1:
            self._report(
                f"step {step}: the gradient is not finite; all replicas "
                "skipped the update"
            )
        if self._row >= self.limit:
            raise UserError(
                f"step {step}: the gradient was not finite for {self._row} "
                "steps in a row (runtime.max_skipped); lower "
                "optimization.learning_rate, or look at the data with "
                "`tfbert preview`"
            )


def _make_agreement(strategy):
    """Compiles: whether any worker was told to stop."""

    @tf.function(autograph=False)
    def agree(told):
        def on_replica(told):
            context = tf.distribute.get_replica_context()
            told = tf.cast(told, tf.float32)
            return context.all_reduce(tf.distribute.ReduceOp.SUM, told)

        count = strategy.run(on_replica, args=(told,))
        return strategy.experimental_local_results(count)[0] > 0

    return agree
