"""Turns the logs of single steps into one row for an interval of steps.

Separation of concerns: the callbacks decide when a row is due and where it
goes; this module knows how each kind of value is put together and how long
the steps took. Values are kept as they come (floats or device scalars) and
converted when the row is taken, so that a step costs no transfer.
"""

import math
import time
from collections.abc import Callable, Mapping

import numpy as np

from trainers.step.compiled_loop import COUNTS, DATA_WAIT

# Beside the counts of the interval (COUNTS), values that are settings of the
# moment. All others are means, weighted by `loss_weight`.
LATEST = ("learning_rate", "loss_scale")
# A mean over steps, not over predictions: it is one value for each step.
# "gradient_norm/block_0" is one for a group of layers.
UNWEIGHTED = ("gradient_norm",)


class IntervalMeter:
    """Collects step logs; `take` gives the row of the interval and restarts.

    A row holds, in floats:
      "steps": training steps of the interval;
      "tokens", "loss_weight", "skipped": sums over the interval;
      "real_tokens_share": that of the computed places that hold real tokens
        and no padding, where steps log "places";
      "learning_rate", "loss_scale": the last value;
      "gradient_norm": the mean over steps;
      all other names: the mean weighted by "loss_weight" (the exact mean over
        predictions for a masked-LM loss). A value that is not finite is left
        out of the mean; it is None if none was finite;
      "seconds", "tokens_per_second": the time of the interval without the
        first step after a start (which compiles) and without pauses; absent
        where nothing was timed;
      "data_wait_share": the share of these seconds in which the loop waited
        for data, where steps log "data_wait".

    Args:
      clock: gives seconds; monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._logs: list[tuple[Mapping, int]] = []
        self._since: float | None = None
        self._seconds = 0.0
        # Logs before this place were not timed.
        self._first_timed = 0

    def start(self) -> None:
        """Forgets everything; the next step is not timed (it compiles)."""
        self._logs, self._seconds, self._since = [], 0.0, None
        self._first_timed = 1

    def pause(self) -> None:
        """Stops the clock, for validation."""
        if self._since is not None:
            self._seconds += self._clock() - self._since
            self._since = None

    def resume(self) -> None:
        """Lets the clock run on, unless no step was seen yet."""
        if self._since is None and (self._logs or not self._first_timed):
            self._since = self._clock()

    def add(self, logs: Mapping | None, steps: int = 1) -> None:
        """Adds the logs of `steps` steps that ran in one call.

        Counts in `logs` are those of one step (the last); it stands for all
        of the call.
        """
        self._logs.append((dict(logs or {}), steps))
        if self._since is None:
            self._since = self._clock()

    @property
    def steps(self) -> int:
        """Steps since the last `take`."""
        return sum(steps for _, steps in self._logs)

    def take(self) -> dict[str, float | None]:
        """Returns the row and starts the next interval."""
        running = self._since is not None
        self.pause()
        entries = [
            ({name: as_float(value) for name, value in logs.items()}, steps)
            for logs, steps in self._logs
        ]
        row: dict[str, float | None] = {"steps": self.steps}
        names = dict.fromkeys(n for logs, _ in entries for n in logs)
        for name in names:
            if name != DATA_WAIT:
                row[name] = _combine(name, entries)
        places = row.pop("places", None)
        if places and row.get("tokens"):
            row["real_tokens_share"] = row["tokens"] / places
        timed = entries[self._first_timed :]
        if timed and self._seconds > 0:
            row["seconds"] = self._seconds
            tokens = [
                logs.get("tokens", math.nan) * steps for logs, steps in timed
            ]
            if all(map(math.isfinite, tokens)):
                row["tokens_per_second"] = sum(tokens) / self._seconds
            if DATA_WAIT in names:
                waits = [logs[DATA_WAIT] * steps for logs, steps in timed]
                row["data_wait_share"] = min(sum(waits) / self._seconds, 1.0)
        if entries:
            self._first_timed = 0
        self._logs, self._seconds = [], 0.0
        if running:
            self._since = self._clock()
        return row


def as_float(value) -> float:
    """The float of a number or of a scalar tensor; NaN if it has none."""
    try:
        return float(np.asarray(value))
    except (TypeError, ValueError):
        return math.nan


def _combine(name: str, entries: list[tuple[dict, int]]) -> float | None:
    """The value of `name` for all steps of `entries` together."""
    known = [
        (logs[name], logs.get("loss_weight", 1.0), steps)
        for logs, steps in entries
        if math.isfinite(logs.get(name, math.nan))
    ]
    if not known:
        return None
    if name in COUNTS:
        return sum(value * steps for value, _, steps in known)
    if name in LATEST:
        return known[-1][0]
    values = [value for value, _, _ in known]
    weighted = name.split("/")[0] not in UNWEIGHTED
    weights = [
        steps * (weight if weighted and 0 < weight < math.inf else 1.0)
        for _, weight, steps in known
    ]
    return float(np.average(values, weights=weights))
