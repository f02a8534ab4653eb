"""Batches that a run left out when it went back: RUN/rollbacks.json.

Step s trains on batch s, as long as nothing was rolled back. A rollback
returns to the checkpoint of an earlier step and goes on with the batch behind
the bad one (Chowdhery et al. 2022, PaLM, section 5.1): from that step on, all
steps take later batches. The file holds all rollbacks, so that a run that is
resumed, on any number of workers, takes the same batches.
"""

import dataclasses
import json
import os
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import ROLLBACKS_FILE


@dataclasses.dataclass(frozen=True)
class Rollback:
    """One return to a checkpoint.

    Attributes:
      at_step: step of the checkpoint.
      bad_step: the step (updates made) that was not to be kept.
      first_batch, last_batch: the batches that are left out, both included.
    """

    at_step: int
    bad_step: int
    first_batch: int
    last_batch: int


class Rollbacks:
    """All rollbacks of a run.

    Args:
      run_dir: the run's folder.

    Raises:
      UserError: the file is damaged.
    """

    def __init__(self, run_dir: str | os.PathLike):
        self.path = Path(run_dir) / ROLLBACKS_FILE
        self.entries: list[Rollback] = []
        if self.path.is_file():
            try:
                rows = json.loads(self.path.read_text("utf-8"))
                self.entries = [Rollback(**row) for row in rows]
            except (ValueError, TypeError, RecursionError) as error:
                raise UserError(
                    f"{self.path} is damaged: {error}; it says which batches "
                    "the run left out. Restore it from a copy."
                ) from error

    def batch_of(self, step: int) -> int:
        """The batch that the update after `step` updates takes."""
        return step + sum(
            entry.last_batch - entry.first_batch + 1
            for entry in self.entries
            if entry.at_step <= step
        )

    def next_jump(self, step: int) -> int | None:
        """The first step after `step` at which batches are left out."""
        later = [e.at_step for e in self.entries if e.at_step > step]
        return min(later, default=None)

    def add(self, at_step: int, bad_step: int) -> Rollback:
        """Leaves out the batches of the updates at_step + 1 ... bad_step.

        Args:
          at_step: step of the checkpoint that was restored.
          bad_step: step that was not to be kept; later than at_step.
        """
        entry = Rollback(
            at_step,
            bad_step,
            self.batch_of(at_step),
            self.batch_of(bad_step - 1),
        )
        # What came later was done with other weights and is done again.
        self.entries = [e for e in self.entries if e.at_step <= at_step]
        self.entries.append(entry)
        return entry

    def count_at(self, step: int) -> int:
        """How often the run went back to the checkpoint of `step`."""
        return sum(entry.at_step == step for entry in self.entries)

    def save(self) -> None:
        """Writes the file.

        Raises:
          OSError: it cannot be written.
        """
        rows = [dataclasses.asdict(entry) for entry in self.entries]
        files.write_file(self.path, json.dumps(rows, indent=2) + "\n")
