"""How long a run still takes, from its pace so far."""

import time
from collections.abc import Callable


class Pace:
    """Predicts the time left, pauses for validation and checkpoints included.

    The pace is measured from the end of the first step after a start, as that
    one compiles.

    Args:
      clock: gives seconds; monotonic.

    Attributes:
      work: steps -> what so many of the first ones cost; None: each step
        costs the same.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.work: Callable[[int], float] | None = None
        self._clock = clock
        self._since: tuple[float, int] | None = None

    def restart(self) -> None:
        """Forgets the pace."""
        self._since = None

    def at(self, step: int) -> bool:
        """Notes a step that is done; returns whether it was the first."""
        if self._since is not None:
            return False
        self._since = (self._clock(), step)
        return True

    def seconds_left(self, step: int, total: int | None) -> float | None:
        """Seconds from `step` to `total`; None while that is not known."""
        if total is None or self._since is None or step <= self._since[1]:
            return None
        began, first = self._since
        work = self.work or float
        done = work(step) - work(first)
        return max(work(total) - work(step), 0) * (self._clock() - began) / done
