"""What this worker is doing: its step, its phase, and since when."""

import collections
import statistics
import threading
import time

# Phases of a step in which a worker works for itself ...
READING = "reading the batch"
COMPUTING = "computing gradients"
# ... and in which it waits for the others.
WAITING = "waiting for the other workers"
# What may take long, and has limits of its own: callbacks are the user's too,
# which copy files and speak with other machines.
CALLBACKS = "in callbacks"
FIRST_STEP = "in its first step"
EVALUATING = "evaluating"
SAVING = "saving"
# Before and after training: data are read and hashed, a model is built, a test
# set is predicted, a report is written. That has no usual length, and no limit:
# a worker that is lost, stopped or has failed there is noticed all the same.
STARTING = "starting"
ENDING = "ending"

_WORK = (READING, COMPUTING, CALLBACKS)
_NO_LIMIT = (STARTING, ENDING)
_SLOW = (FIRST_STEP, EVALUATING, SAVING, CALLBACKS)
WINDOW = 20
# A step may take this many times as long as the median before it is called
# stalled.
MEDIANS = 10


class Pulse:
    """Told by the training thread, read by the monitor's.

    Args:
      stall_seconds: a step may take this long, or MEDIANS times the median
        step, whichever is more.
      slow_seconds: limit of the first step, of a batch of an evaluation, of
        callbacks and of saving.
      clock: seconds, monotonic.
    """

    def __init__(
        self,
        stall_seconds: float,
        slow_seconds: float,
        clock=time.monotonic,
    ):
        self.stall_seconds = stall_seconds
        self.slow_seconds = slow_seconds
        self.step: int | None = None
        self.phase = STARTING
        self._clock = clock
        self._since = clock()
        self._own = 0.0
        self._first = False
        self._step_began = self._since
        self._own_seconds = collections.deque(maxlen=WINDOW)
        self._step_seconds = collections.deque(maxlen=WINDOW)
        self._lock = threading.Lock()

    def enter(self, phase: str) -> None:
        """Notes that `phase` begins now."""
        with self._lock:
            now = self._clock()
            if self.phase in _WORK:
                self._own += now - self._since
            self.phase, self._since = phase, now

    def begin_step(self, first: bool) -> None:
        """Notes the beginning of a step; the first one may take long."""
        self.enter(FIRST_STEP if first else READING)
        with self._lock:
            self._first, self._step_began = first, self._clock()

    def within_step(self, phase: str) -> None:
        """Notes a phase of the step; means nothing outside a step."""
        if self.phase in (READING, COMPUTING, WAITING, FIRST_STEP):
            self.enter(phase)

    def end_step(self, step: int, steps: int = 1) -> None:
        """Notes that `step` steps are done, `steps` of them just now."""
        self.enter(CALLBACKS)
        with self._lock:
            if not self._first:
                seconds = self._clock() - self._step_began
                self._step_seconds.append(seconds)
                self._own_seconds.append(self._own / max(steps, 1))
            self.step, self._own, self._first = step, 0.0, False

    def forgive(self, seconds: float) -> None:
        """Leaves out a time in which the whole process was stopped."""
        with self._lock:
            self._since += seconds
            self._step_began += seconds

    def facts(self) -> dict:
        """What is sent to the others: JSON values."""
        with self._lock:
            own = self._own_seconds
            return {
                "step": self.step,
                "phase": self.phase,
                "seconds": self._clock() - self._since,
                "limit": self._limit(),
                "own": statistics.median(own) if len(own) >= 5 else None,
            }

    def _limit(self) -> float | None:
        if self.phase in _NO_LIMIT:
            return None
        limit = self.stall_seconds
        if self._step_seconds:
            median = statistics.median(self._step_seconds)
            limit = max(limit, MEDIANS * median)
        if self._first or self.phase in _SLOW:
            limit = max(limit, self.slow_seconds)
        return limit
