"""Ctrl-C, SIGTERM and checkpoints that fail: stop at a step, together."""

import signal
import threading

import keras
import tensorflow as tf

from trainers.distributed.strategies import Distribution
from trainers.files.exit_status import INTERRUPTED, TERMINATED, Stopped
from trainers.step.replica_sums import sum_over_replicas

# Documented in docs/architecture.md.
STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
# In the place of a signal's number: a worker cannot save.
CANNOT_SAVE = -1
# The order in which reasons are told to the other workers; of several the
# first one counts.
REASONS = (CANNOT_SAVE, signal.SIGTERM, signal.SIGINT)
# Batches of an evaluation between two agreements of several workers.
EVALUATION_BATCHES = 8

# Of a run that was over when the signal came: no run of the command follows it.
_missed: list[int] = []


def end_if_told() -> None:
    """Stops for a signal that came to a run in its last moments.

    For several runs of one command, after each of them.

    Raises:
      Stopped: so it did.
    """
    if _missed:
        raise Stopped(
            "a signal came when a run was over; the same command goes on with "
            "the next one",
            STATUS[_missed[0]],
        )


class StopOnSignal(keras.callbacks.Callback):
    """Ends `fit` after the step in which SIGINT or SIGTERM came.

    With several workers the signal may reach one of them, or each in another
    step, or between any two lines of this program. So the handler only takes
    a note of it; what is acted upon is what `agree` finds, on all workers: it
    is asked after every step, now and then in an evaluation, and before each
    branch that not all would take otherwise.

    Attributes:
      signal: why to stop: the number of the signal that came, CANNOT_SAVE, or
        None. The same on all workers; only `agree` changes it.
    """

    def __init__(self, distribution: Distribution):
        super().__init__()
        self.signal = None
        self._distribution = distribution
        # What this worker alone knows.
        self._told = None
        self._cannot_save = False
        self._agree = None
        if distribution.num_workers > 1:
            self._agree = _make_agreement(distribution.strategy)

    def __enter__(self):
        self._previous = {}
        _missed.clear()
        # Only the main thread may set handlers; elsewhere (a notebook's
        # worker, a test) signals are not ours to take.
        if threading.current_thread() is threading.main_thread():
            for number in STATUS:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._told is not None or self.signal in STATUS:
            _missed.append(self._told or self.signal)

    def _note(self, number, _frame):
        # The first signal decides the status; more of them change nothing.
        self._told = self._told or number
        if self._agree is None and getattr(self, "model", None) is not None:
            # An evaluation ends at its next batch; that of several workers
            # where they agree, since each batch of it needs all of them.
            self.model.skip_evaluation = True

    def cannot_save(self) -> None:
        """Asks for an end after the next step, as a signal does."""
        self._cannot_save = True

    def agree(self) -> int | None:
        """Waits for all workers and learns whether any was told to stop.

        Returns:
          the `signal`.
        """
        first = CANNOT_SAVE if self._cannot_save else self._told
        if self._agree is not None:
            # Read once: a signal may come while we wait.
            told = [first == reason for reason in REASONS]
            with self._distribution.waiting():
                counts = self._agree(tf.constant(told)).numpy()
            found = [r for r, n in zip(REASONS, counts, strict=True) if n]
            first = found[0] if found else None
        if first == CANNOT_SAVE:
            self.signal = first
        self.signal = self.signal or first
        return self.signal

    def on_test_batch_end(self, batch, logs=None):
        """Ends an evaluation of several workers, on all of them."""
        if self._agree is None or (batch + 1) % EVALUATION_BATCHES:
            return
        if self.agree() is not None:
            self.model.skip_evaluation = True

    def on_train_batch_end(self, batch, logs=None):
        """Stops `fit` if this or another worker was told to."""
        if self.agree() is not None:
            self.model.stop_training = True
            # Whoever asks us to stop does not want to wait for that.
            self.model.skip_evaluation = True

    def on_epoch_end(self, epoch, logs=None):
        """Stops `fit` for a signal that came during the evaluation."""
        self.on_train_batch_end(None)


def _make_agreement(strategy):
    """Compiles: how many workers were told to stop, by reason."""

    @tf.function(autograph=False)
    def agree(told):
        def on_replica(told):
            return sum_over_replicas(tf.cast(told, tf.float32))

        count = strategy.run(on_replica, args=(told,))
        return strategy.experimental_local_results(count)[0]

    return agree
