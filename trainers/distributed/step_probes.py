"""Ties a pulse to Keras' `fit` and to the step's graph."""

import threading
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from trainers.distributed import worker_status as phases
from trainers.distributed.worker_status import Pulse


class PulseCallback(keras.callbacks.Callback):
    """Tells the pulse what `fit` does; put it first among the callbacks.

    Args:
      pulse: of this worker.
    """

    def __init__(self, pulse: Pulse):
        super().__init__()
        self._pulse = pulse
        self._step = 0

    def on_train_begin(self, logs=None):
        """Learns where the run is."""
        self._pulse.step = self._step = self.model.step

    def on_train_batch_end(self, batch, logs=None):
        """A step, or several of them, is done."""
        before, self._step = self._step, self.model.step
        self._pulse.end_step(self._step, self._step - before)

    def on_test_begin(self, logs=None):
        """Evaluations have no step to wait for."""
        self._pulse.enter(phases.EVALUATING)

    def on_test_batch_end(self, batch, logs=None):
        """It goes on."""
        self._pulse.enter(phases.EVALUATING)

    def on_test_end(self, logs=None):
        """What else is done at the end of an epoch may take long too."""
        self._pulse.enter(phases.CALLBACKS)

    def on_train_end(self, logs=None):
        """Tests, reports and the like may follow."""
        self._pulse.enter(phases.STARTING)


class StepCallback(keras.callbacks.Callback):
    """Tells the pulse that a step begins; put it last among the callbacks.

    Those before it may take their time: the step's limit is not theirs.

    Args:
      pulse: of this worker.
    """

    def __init__(self, pulse: Pulse):
        super().__init__()
        self._pulse = pulse
        self._first = True

    def on_train_begin(self, logs=None):
        """The first step traces and compiles."""
        self._first = True

    def on_train_batch_begin(self, batch, logs=None):
        """A step begins."""
        self._pulse.begin_step(self._first)
        self._first = False


class PhaseCallback(keras.callbacks.Callback):
    """Notes that a phase begins; put it around a callback that takes long.

    Args:
      pulse: of this worker.
      phase: one of pulse.py.
    """

    def __init__(self, pulse: Pulse, phase: str):
        super().__init__()
        self._pulse, self._phase = pulse, phase

    def on_train_batch_end(self, batch, logs=None):
        """The phase begins."""
        self._pulse.enter(self._phase)

    def on_epoch_end(self, epoch, logs=None):
        """The phase begins."""
        self._pulse.enter(self._phase)


def surround(
    callbacks: Sequence[keras.callbacks.Callback],
    named: dict[keras.callbacks.Callback, str],
    pulse: Pulse,
) -> list[keras.callbacks.Callback]:
    """The callbacks, with those around them that tell the pulse.

    Args:
      callbacks: those of `fit`.
      named: callback -> the phase that it is in.
      pulse: of this worker.
    """
    found = [PulseCallback(pulse)]
    for callback in callbacks:
        if callback in named:
            found.append(PhaseCallback(pulse, named[callback]))
        found.append(callback)
        if callback in named:
            found.append(PhaseCallback(pulse, phases.CALLBACKS))
    return [*found, StepCallback(pulse)]


def mark(pulse: Pulse, replicas: int) -> Callable:
    """Makes a function that marks tensors of the step's graph.

    Args:
      pulse: of this worker.
      replicas: how many replicas this worker runs.

    Returns:
      function(tensors, phase) -> the same tensors; in the graph, `phase`
      begins when the last replica has computed them, and nobody gets them
      before.
    """
    arrived = {}
    lock = threading.Lock()

    def note(phase: str) -> None:
        # Replicas come in threads of their own.
        with lock:
            arrived[phase] = (arrived.get(phase, 0) + 1) % replicas
            all_here = not arrived[phase]
        if all_here:
            pulse.within_step(phase)

    def marked(tensors, phase: str):
        flat = tf.nest.flatten(tensors)
        with tf.control_dependencies(flat), tf.device("CPU:0"):
            # From the device, so that the host waits for what it queued.
            probe = tf.identity(tf.reshape(flat[0], [-1])[:1])

            def noted(_):
                note(phase)
                return 0

            done = tf.numpy_function(noted, [probe], tf.int64)
        with tf.control_dependencies([done]):
            flat = [tf.identity(tensor) for tensor in flat]
        return tf.nest.pack_sequence_as(tensors, flat)

    return marked


def watch_step(model, pulse: Pulse, replicas: int) -> None:
    """Marks where the step of a TrainingModel begins and ends to wait.

    Args:
      model: a TrainingModel that has not been trained yet.
      pulse: of this worker.
      replicas: how many replicas this worker runs.
    """
    marked = mark(pulse, replicas)
    global_weights, reduce = model._global_weights, model._reduce

    def watched_weights(data):
        weights = global_weights(marked(data, phases.WAITING))
        return marked(weights, phases.COMPUTING)

    def watched_reduce(gradients, sums):
        return reduce(marked(gradients, phases.WAITING), sums)

    model._global_weights = watched_weights
    model._reduce = watched_reduce
