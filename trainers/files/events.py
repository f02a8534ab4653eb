"""What happened to a run, besides its steps: RUN/events.jsonl.

One JSON object a line: "time" (seconds since 1970), "event", "step", and what
belongs to the event. Lines are only added, also when a run is resumed.
"""

import json
import os
import time
from pathlib import Path

from tfbert.file_names import EVENTS_FILE
from tfbert.json_files import parse_lines


class Events:
    """Adds lines to the events of a run; never stops it.

    Args:
      run_dir: the run's folder.
      enabled: False writes nothing, as on workers that are not the chief.
    """

    def __init__(self, run_dir: str | os.PathLike, enabled: bool = True):
        self.path = Path(run_dir) / EVENTS_FILE
        self.enabled = enabled

    def add(self, event: str, step: int, **about) -> None:
        """Adds a line.

        Args:
          event: restored, skipped, spike, rollback, save_failed, stopped, ...
          step: the global step.
          **about: what else is known, as JSON has it.
        """
        if not self.enabled:
            return
        row = {"time": round(time.time(), 3), "event": event, "step": step}
        line = json.dumps({**row, **about}, ensure_ascii=False) + "\n"
        try:
            with open(self.path, "ab", buffering=0) as stream:
                stream.write(line.encode("utf-8"))
        except OSError:
            # The console has the same message; a run is worth more.
            return


def read_events(run_dir: str | os.PathLike) -> list[dict]:
    """The whole lines of a run's events, oldest first."""
    path = Path(run_dir) / EVENTS_FILE
    if not path.is_file():
        return []
    return parse_lines(path.read_text("utf-8", errors="replace"))
