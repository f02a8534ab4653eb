"""The progress of a run for a person: a live bar, or plain lines.

On a terminal a bar with the figures under it is drawn over itself. Off it
(a log file, a batch system) one line is printed at intervals that grow with
the run: every ten seconds at first, every five minutes in the end.
"""

import atexit
import collections
import math
import time
from collections.abc import Callable, Mapping

import rich.console
import rich.live
import rich.progress_bar
import rich.table
import rich.text

from trainers.files.console import console as standard_console
from trainers.files.text import duration, figure_text, size
from trainers.watching.meter import as_float
from trainers.watching.system_metrics import Vitals
from trainers.watching.time_left import Pace
from trainers.watching.watcher import Watcher

# Seconds between two drawings, and between two plain lines.
LIVE_SECONDS = 0.5
PLAIN_SECONDS = (10.0, 300.0)
# A plain line every this share of the time passed.
PLAIN_SHARE = 1 / 20
# Intervals that the displayed speed is averaged over.
SPEED_INTERVALS = 20

LABELS = {
    "loss": "loss",
    "masked_lm_loss": "masked-LM loss",
    "masked_lm_accuracy": "masked-LM accuracy",
    "next_sentence_loss": "next-sentence loss",
    "next_sentence_accuracy": "next-sentence accuracy",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm",
}
# Figures of the machine in the order in which they are shown.
MACHINE: dict[str, Callable[[float], str]] = {
    "mfu": lambda value: f"MFU {figure_text('mfu', value)}",
    "real_tokens_share": lambda value: (
        f"{figure_text('real_tokens_share', 1 - value)} padding"
    ),
    "data_wait_share": lambda value: (
        f"waiting for data {figure_text('data_wait_share', value)}"
    ),
    "host_memory_bytes": lambda value: f"memory {size(value)}",
    "device_memory_bytes": lambda value: f"GPU memory {size(value)}",
    "checkpoint_age_seconds": lambda value: f"checkpoint {duration(value)} old",
    "eta_seconds": lambda value: f"{duration(value)} left",
}
NOT_SHOWN = ("steps", "seconds", "tokens", "loss_weight", "skipped", "mfu")
NOT_SHOWN_ENDINGS = ("_per_second", "_seconds", "_bytes", "_share")


class ProgressBar(Watcher):
    """Shows what is learnt, and how the machine does.

    That is step, loss, accuracy, learning rate, gradient norm; then speed,
    MFU, waiting for data, memory, age of the newest checkpoint, time left.

    Values are averages since they were shown last. Speed is in real tokens
    (padding not counted) over the last intervals; the time left follows from
    the pace since the start, pauses for validation included.

    Args:
      total_steps: step at which the run ends; None: what `fit` was told.
      title: what the bar is called.
      console: where to; None: the console of the commands.
      first_step, vitals: see Watcher.
      clock: gives seconds; monotonic.
    """

    def __init__(
        self,
        total_steps: int | None = None,
        title: str = "training",
        console: rich.console.Console | None = None,
        first_step: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        vitals: Vitals | None = None,
    ):
        super().__init__(1, first_step, total_steps, vitals)
        self.pace = Pace(clock)
        self.title = title
        self.console = console or standard_console
        self._clock = clock
        self._speeds = collections.deque(maxlen=SPEED_INTERVALS)
        self._live: rich.live.Live | None = None
        self._line = self._figures_before = ""
        self._skipped = 0
        self._begun = self._shown = 0.0
        self._first = True

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Draws the empty bar."""
        super().on_train_begin(logs)
        self._total = self.end
        self._begun = self._shown = self._clock()
        self._first = True
        self._line = "the first step takes longer: it compiles the model"
        if self.console.is_terminal:
            self._live = rich.live.Live(
                console=self.console,
                auto_refresh=False,
                transient=False,
                get_renderable=self._draw,
            )
            # A run that ends in an exception must not leave the terminal
            # without its cursor.
            atexit.register(self.close)
            self._live.start(refresh=True)

    def due(self, before: int) -> bool:
        """Whether it is time to show something; the first step always is."""
        now = self._clock()
        if self._first:
            self._first = False
            return True
        if self._live:
            return now - self._shown >= LIVE_SECONDS
        shortest, longest = PLAIN_SECONDS
        wait = (now - self._begun) * PLAIN_SHARE
        return now - self._shown >= min(max(wait, shortest), longest)

    def on_interval(self, row: dict[str, float | None]) -> None:
        """Shows the figures of the steps since the last time."""
        self._shown = self._clock()
        self._skipped += int(row.get("skipped") or 0)
        if "tokens_per_second" in row:
            speed = (row["tokens_per_second"], row["seconds"])
            self._speeds.append(speed)
        figures, machine = self._figures(row), self._of_machine(row)
        if self._live:
            # Two lines: one of a terminal is too short for both.
            self._line = "\n".join(["  ".join(figures), "  ".join(machine)])
            self._live.refresh()
        else:
            self._line = "  ".join([*figures, *machine])
            self.console.print(f"{self._place()}  {self._line}")

    def on_test_begin(self, logs: Mapping | None = None) -> None:
        """Says that validation runs."""
        super().on_test_begin(logs)
        if self.meter.steps and self.step == self._total:
            # The last steps come before the validation that they lead to.
            self.on_interval(self.take_row())
        if self._live:
            self._figures_before, self._line = self._line, "validating"
            self._live.refresh()

    def on_test_end(self, logs: Mapping | None = None) -> None:
        """Shows the training figures again."""
        super().on_test_end(logs)
        if self._live:
            self._line = self._figures_before
            self._live.refresh()

    def on_validation(self, row: dict[str, float | None]) -> None:
        """Prints a line that stays."""
        figures = "  ".join(_figure(name, row[name]) for name in _shown(row))
        self.console.print(f"validation at step {self.step:,}  {figures}")

    def on_train_end(self, logs: Mapping | None = None) -> None:
        """Leaves the last state on the screen."""
        super().on_train_end(logs)
        self.close()

    def close(self) -> None:
        """Gives the terminal back; may be called more than once."""
        if self._live:
            self._live.stop()
            self._live = None
            atexit.unregister(self.close)

    def _figures(self, row: Mapping) -> list[str]:
        """What is learnt."""
        figures = [_figure(name, row[name]) for name in _shown(row)]
        if self._skipped:
            plural = "" if self._skipped == 1 else "s"
            figures.append(f"{self._skipped} step{plural} skipped (not finite)")
        return figures

    def _of_machine(self, row: Mapping) -> list[str]:
        """How fast, on what, and for how long still."""
        figures = []
        seconds = sum(seconds for _, seconds in self._speeds)
        if seconds:
            tokens = sum(speed * passed for speed, passed in self._speeds)
            speed = figure_text("tokens_per_second", tokens / seconds)
            figures.append(f"{speed} tokens/s")
        for name, show in MACHINE.items():
            if row.get(name) is not None:
                figures.append(show(row[name]))
        return figures

    def _place(self) -> str:
        if not self._total:
            return f"step {self.step:,}"
        share = self.step / self._total
        return f"step {self.step:,}/{self._total:,} ({share:.0%})"

    def _draw(self) -> rich.console.RenderableType:
        bar = rich.progress_bar.ProgressBar(
            total=self._total,
            completed=self.step,
            width=24,
            pulse=self._total is None,
        )
        head = rich.table.Table.grid(padding=(0, 2))
        head.add_row(self.title, bar, self._place())
        return rich.console.Group(head, rich.text.Text(self._line))


def _shown(row: Mapping) -> list[str]:
    """Names worth showing: one loss, then accuracies, then the settings."""
    names = [
        name
        for name in row
        # "gradient_norm/block_0" and its like are for TensorBoard.
        if name not in NOT_SHOWN and "/" not in name
        if not name.endswith(NOT_SHOWN_ENDINGS)
    ]
    losses = [n for n in names if n.endswith("loss")]
    settings = [n for n in ("learning_rate", "gradient_norm") if n in names]
    others = [n for n in names if n not in losses and n not in settings]
    loss = ["loss"] if "loss" in losses else losses
    return [*loss, *others, *settings]


def _figure(name: str, value: float | None) -> str:
    label = LABELS.get(name, name.replace("_", " "))
    value = as_float(value)
    if not math.isfinite(value):
        return f"{label} not finite"
    return f"{label} {figure_text(name, value)}"
