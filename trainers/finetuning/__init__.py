"""Fine-tuning: what all kinds of tasks share, and one file for each kind.

Separation of concerns: `kinds.kind` says what a kind of task is (data, task,
measures, serving) and `kinds.by_name` lists them; `settings`, `data`, `model`
and `training` know no kind by name. `api` and `run` are for Python.
"""

from trainers.files.exit_status import Stopped
from trainers.finetuning.api import finetune

__all__ = ["Stopped", "finetune"]
