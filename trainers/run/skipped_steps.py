"""Watches the numbers of a run: gradients that are not finite, and spikes.

    a gradient with NaN or Inf    all replicas have skipped the update;
                                  runtime.on_nan: skip | stop | rollback
    a spike of loss or gradient   runtime.spike.action: off | warn | stop |
                                  rollback

Both see values that are reduced over all replicas, so all workers come to the
same decision at the same step. What the guard remembers is saved with each
checkpoint: a resumed run decides as the run that was never touched.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras

from tfbert.errors import UserError
from trainers.files import exit_status
from trainers.files.events import Events
from trainers.run.spikes import SpikeDetector
from trainers.settings.sections import RuntimeSettings

# Row ids that are named on the console; the events hold all.
_SHOWN_ROWS = 8


class Diverged(UserError):
    """The numbers of the run are such that it must not go on."""

    status = exit_status.DIVERGED


@dataclasses.dataclass(frozen=True)
class BadSteps:
    """Steps whose updates are not to be kept.

    Attributes:
      first, last: global steps, both included; the same unless
        runtime.steps_per_loop runs several at once.
      reason: a sentence.
    """

    first: int
    last: int
    reason: str


class Guard(keras.callbacks.Callback):
    """Skips, warns, stops or asks for a rollback.

    It looks at the step before, so that devices need not wait for Python;
    `settle` looks at the last one, and is called before every checkpoint: a
    checkpoint never holds a step that was not looked at.

    Args:
      runtime: on_nan, max_skipped, spike and steps_per_loop.
      report: called with a message for the user.
      events: of the run.
      batch_of: step -> the batch that the update after it takes.
      row_ids: batch -> ids of its rows, if they can be told.

    Attributes:
      rollback: the bad steps, once a rollback is wanted; `fit` then ends.
    """

    def __init__(
        self,
        runtime: RuntimeSettings,
        report: Callable[[str], None] = print,
        events: Events | None = None,
        batch_of: Callable[[int], int] = int,
        row_ids: Callable[[int], Sequence[int]] | None = None,
    ):
        super().__init__()
        self.rollback: BadSteps | None = None
        self._runtime = runtime
        self._report = report
        self._events = events or Events(".", enabled=False)
        self._batch_of = batch_of
        self._row_ids = row_ids
        spike = runtime.spike
        self._detector = SpikeDetector(spike.window, spike.threshold)
        self._skipped = 0
        self._in_spike = False
        self._pending = None

    def state(self) -> dict:
        """What is remembered, for checkpoint.json; call `settle` before."""
        return {
            "skipped": self._skipped,
            "in_spike": self._in_spike,
            "values": self._detector.state(),
        }

    def load(self, state: dict) -> None:
        """Remembers what `state` gave."""
        self.rollback, self._pending = None, None
        self._skipped = state.get("skipped", 0)
        self._in_spike = state.get("in_spike", False)
        self._detector.load(state.get("values", {}))

    def forget(self) -> None:
        """Losses of a stage that has ended say nothing of the next one's."""
        self._detector.load({})

    def on_train_batch_end(self, batch, logs=None):
        """Looks at the step before this one."""
        self.settle()
        names = ("loss", "gradient_norm", "skipped", "overflow", "loss_scale")
        self._pending = (
            self.model.step,
            getattr(self.model, "last_steps", 0)
            or self._runtime.steps_per_loop,
            getattr(self.model, "skip_runs", None),
            {name: logs[name] for name in names if name in (logs or {})},
        )

    def on_train_end(self, logs=None):
        """Looks at the last step."""
        self.settle()

    def settle(self) -> None:
        """Looks at the last step now.

        Raises:
          Diverged: the run must not go on.
        """
        pending, self._pending = self._pending, None
        if pending is None or self.rollback is not None:
            return
        step, steps, runs, logs = pending
        values = {name: float(value) for name, value in logs.items()}
        first = step - steps + 1
        if values.get("skipped"):
            if runs is None:  # Of a model that tells no more: all of them.
                runs = [steps] * 3
            runs = [int(run) for run in runs]
            self._on_skipped(first, step, runs, values.get("loss_scale"))
            return
        self._skipped = 0
        if values.get("overflow"):
            # A loss scale that comes down says nothing of the data.
            return
        if self._runtime.spike.action != "off":
            self._on_values(first, step, values)

    def _on_skipped(
        self,
        first: int,
        last: int,
        runs: Sequence[int],
        loss_scale: float | None,
    ) -> None:
        begins = self._skipped == 0
        at_first, at_last, longest = runs
        longest = max(self._skipped + at_first, longest)
        whole = at_first == last - first + 1
        self._skipped = longest if whole else at_last
        action, limit = self._runtime.on_nan, self._runtime.max_skipped
        reason = "the gradient is not finite"
        cure = "lower optimization.learning_rate"
        if loss_scale is not None:
            reason += f" at the smallest loss scale, {loss_scale:g}"
            cure = "give runtime.precision bfloat16 or float32, " + cure
        if begins:
            self._tell(
                "skipped",
                first,
                last,
                f"{reason}; all replicas skipped the update",
            )
        if action == "rollback":
            self._go_back(BadSteps(first, last, reason))
        elif action == "stop" or longest >= limit:
            row = (
                "runtime.on_nan is stop"
                if action == "stop"
                else f"the {longest} steps in a row of runtime.max_skipped"
            )
            raise Diverged(
                f"step {last}: {reason} ({row}); {cure}, or look at the data "
                "with `tfbert preview`"
            )

    def _on_values(self, first: int, last: int, values: dict) -> None:
        spike = self._detector.observe(values)
        begins, self._in_spike = not self._in_spike, spike is not None
        if spike is None:
            return
        if begins:
            self._tell("spike", first, last, spike)
        action = self._runtime.spike.action
        if action == "rollback":
            self._go_back(BadSteps(first, last, spike))
        elif action == "stop":
            raise Diverged(
                f"step {last}: {spike} (runtime.spike.action is stop); lower "
                "optimization.learning_rate, or look at the data with "
                "`tfbert preview`"
            )

    def _go_back(self, bad: BadSteps) -> None:
        self.rollback = bad
        self.model.stop_training = True
        self.model.skip_evaluation = True

    def _tell(self, event: str, first: int, last: int, message: str) -> None:
        """Reports bad steps with their batches and the rows of these."""
        batches = [self._batch_of(step - 1) for step in range(first, last + 1)]
        about = {"message": message, "batches": batches}
        place = f"batch {batches[0]}"
        if len(batches) > 1:
            place = f"batches {batches[0]} to {batches[-1]}"
        if self._row_ids is not None:
            rows = [int(r) for b in batches for r in self._row_ids(b)]
            about["rows"] = rows
            shown = ", ".join(map(str, rows[:_SHOWN_ROWS]))
            more = ", ..." if len(rows) > _SHOWN_ROWS else ""
            place += f", rows {shown}{more}"
        self._events.add(event, last, **about)
        self._report(f"step {last} ({place}): {message}")
