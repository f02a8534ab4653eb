"""Says so when a run has learnt how often tokens stand, and nothing else.

A masked LM learns the frequency of tokens within some hundred steps; its loss
is then the entropy of that distribution. It leaves this plateau when attention
begins to use the neighbours, which can take long: it comes the later the
longer the rows, the smaller the batch and the more of the text are copies.
"""

import logging
import os
from collections.abc import Mapping

from trainers.files.events import Events, read_events
from trainers.watching.watcher import Watcher

EVENT = "plateau"
# The loss stands on the plateau where it is this near to the entropy.
NEAR = 0.05
# It is told after this share of the run, and after so many steps.
LONG_SHARE = 0.1
LONG_STEPS = 500

_log = logging.getLogger(__name__)


class PlateauWatch(Watcher):
    """Tells once, on the console and in RUN/events.jsonl, of a plateau.

    Args:
      run_dir: folder of the run.
      entropy: of the tokens that are trained on, in nats.
      sequence_length: of the rows, in tokens.
      every: steps whose mean loss is looked at.
      total_steps: of the run.
    """

    def __init__(
        self,
        run_dir: str | os.PathLike,
        entropy: float,
        sequence_length: int,
        every: int,
        total_steps: int,
    ):
        super().__init__(every, total_steps=total_steps)
        self.entropy = entropy
        self.long = max(LONG_STEPS, round(LONG_SHARE * total_steps))
        self._run_dir = run_dir
        self._sequence_length = sequence_length
        self._told = False
        self._since: int | None = None

    def on_train_begin(self, logs: Mapping | None = None) -> None:
        """Forgets where the plateau began, and finds out what was told."""
        super().on_train_begin(logs)
        self._since = None
        self._told = any(
            event.get("event") == EVENT for event in read_events(self._run_dir)
        )

    def on_interval(self, row: dict[str, float | None]) -> None:
        """Looks at the mean loss of the interval."""
        loss = row.get("masked_lm_loss")
        if self._told or loss is None:
            return
        if abs(loss - self.entropy) > NEAR * self.entropy:
            self._since = None
            return
        if self._since is None:
            self._since = self.step - round(row["steps"])
        if self.step - self._since >= self.long:
            self._tell(loss)

    def _tell(self, loss: float) -> None:
        self._told = True
        steps = self.step - self._since
        text = (
            f"for {steps:,} steps the loss has been that of token "
            f"frequencies alone ({loss:.2f} nats; their entropy is "
            f"{self.entropy:.2f}): the context is not used yet"
        )
        Events(self._run_dir).add(EVENT, self.step, message=text)
        _log.warning(f"Step {self.step:,}: {text}. {self._advice()}")

    def _advice(self) -> str:
        cures = [
            "train on shorter rows first (tfbert records --max_length 32, and "
            "optimization.stages)"
            if self._sequence_length > 64
            else None,
            "take a larger optimization.batch_size",
            "leave near copies out (tfbert records --near_duplicates 0.8)",
            "or give it more steps",
        ]
        return "What helps: " + "; ".join(filter(None, cures)) + "."
