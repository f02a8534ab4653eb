"""Steps at which a run has something to do between two loops.

Evaluations and checkpoints are due at multiples of their intervals, and the
run ends at a step: a call that runs several steps (runtime.steps_per_loop)
is cut short there. So these steps are the same whatever the length of a loop
is, and whatever it was before the run was resumed.
"""

import dataclasses
import math


@dataclasses.dataclass(frozen=True)
class Boundaries:
    """Where loops end at the latest.

    Attributes:
      loop: most steps of a call.
      evaluate_every: steps between evaluations, an epoch of `fit`.
      checkpoint_every: steps between checkpoints.
      end: the step after which nothing is run.
    """

    loop: int
    evaluate_every: int
    checkpoint_every: int
    end: int

    def after(self, step: int) -> int:
        """The first boundary after `step`."""
        return min(
            _next_multiple(step, self.evaluate_every),
            _next_multiple(step, self.checkpoint_every),
            max(self.end, step + 1),
        )

    def calls(self, first: int, last: int) -> int:
        """How many calls it takes from step `first` to `last`."""
        calls, step = 0, first
        while step < last:
            after = min(self.after(step), last)
            calls += math.ceil((after - step) / self.loop)
            step = after
        return calls

    def epochs(self, first: int) -> tuple[int, int]:
        """Which epochs one `fit` may run: those of equally many calls.

        Args:
          first: step that it begins with.

        Returns:
          (the step at which the last of them ends, the calls of each). An
          epoch that is begun in its midst stands alone. The last one of the
          run may be cut short: `end` comes before its calls are made.
        """
        every = self.evaluate_every
        until = _next_multiple(first, every)
        calls = self.calls(first, until)
        if first % every:
            return until, calls
        alike = not every % self.checkpoint_every
        alike = alike or not self.checkpoint_every % every
        while until < self.end:
            following = until + every
            if not alike and self.calls(until, following) != calls:
                break
            until = following
        return until, calls


def crossed(before: int, step: int, every: int) -> bool:
    """Whether a multiple of `every` lies after `before`, up to `step`."""
    return step // every > before // every


def _next_multiple(step: int, every: int) -> int:
    return (step // every + 1) * every
