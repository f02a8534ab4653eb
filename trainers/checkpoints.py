"""Checkpoints that are whole, verified and exact.

RUN/checkpoints/step-00000100/ holds model.safetensors (the task's variables
by name), optimizer.safetensors and checkpoint.json (step, data position,
sizes and SHA-256 of both files). The folder appears under its name only when
all of it is on the disk. The newest is found by step, never by clock.
"""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tfbert import atomic
from tfbert.errors import UserError
from tfbert.weights import arrays_of, assign_tensors, named_variables
from tfrecords.shards import file_sha256

FOLDER = "checkpoints"
MODEL_FILE = "model.safetensors"
OPTIMIZER_FILE = "optimizer.safetensors"
STATE_FILE = "checkpoint.json"


@dataclasses.dataclass(frozen=True)
class Restored:
    """What `restore` found: the step, its folder, and what was passed over."""

    step: int
    path: Path
    passed_over: list[str]


class Checkpoints:
    """Saves and restores a TrainingModel in a run's folder.

    Args:
      run_dir: the run's folder.
      keep: how many of the newest checkpoints stay; `best` stays besides.
      is_chief: only the chief writes.
    """

    def __init__(self, run_dir: str | Path, keep: int = 3, is_chief=True):
        self.folder = Path(run_dir) / FOLDER
        self.keep = keep
        self.is_chief = is_chief

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        found = (
            re.fullmatch(r"step-(\d+)", path.name)
            for path in self.folder.iterdir()
        )
        return sorted(int(match.group(1)) for match in found if match)

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.folder / f"step-{step:08d}"

    def save(self, model, step: int) -> Path:
        """Writes the checkpoint of `step`, then drops the oldest ones."""
        path = self.path(step)
        if not self.is_chief or path.exists():
            return path
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic.folder(path) as temporary:
            save_file(
                arrays_of(named_variables(model.task)), temporary / MODEL_FILE
            )
            save_file(
                arrays_of(_optimizer_variables(model.optimizer)),
                temporary / OPTIMIZER_FILE,
            )
            files = {
                name: _describe(temporary / name)
                for name in (MODEL_FILE, OPTIMIZER_FILE)
            }
            state = {"step": step, "files": files}
            text = json.dumps(state, indent=2) + "\n"
            (temporary / STATE_FILE).write_text(text, encoding="utf-8")
        for old in self.steps()[: -self.keep]:
            shutil.rmtree(self.path(old), ignore_errors=True)
        return path

    def restore(self, model) -> Restored | None:
        """Loads the newest intact checkpoint into `model`.

        Returns:
          None where there is no checkpoint: a fresh start.

        Raises:
          UserError: every checkpoint is damaged, or the newest intact one is
            of another model or optimizer.
        """
        if self.is_chief and self.folder.is_dir():
            atomic.remove_temporaries(self.folder)
        passed_over = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                tensors = read_verified(path)
            except UserError as error:
                passed_over.append(str(error))
                continue
            _assign(model, path, tensors)
            if self.is_chief:
                self._set_aside(step)
            return Restored(step, path, passed_over)
        if passed_over:
            raise UserError(
                f"no checkpoint in {self.folder} is intact:\n  "
                + "\n  ".join(passed_over)
                + "\nRestore one from a copy, or give another runtime.run_dir"
                " to start anew."
            )
        return None

    def _set_aside(self, step: int) -> None:
        """Renames the damaged checkpoints after `step`: their steps come again.

        They are kept as damaged-NNNNNNNN for whoever wants to look at them.
        """
        for later in self.steps():
            if later > step:
                aside = self.folder / f"damaged-{later:08d}"
                shutil.rmtree(aside, ignore_errors=True)
                self.path(later).rename(aside)


def read_verified(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Reads both files of a checkpoint after checking size and SHA-256.

    Raises:
      UserError: names the file and what is wrong with it.
    """
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        tensors = {}
        for name, wanted in state["files"].items():
            found = _describe(path / name)
            if found != wanted:
                raise UserError(
                    f"{path / name} is damaged: wanted {wanted['bytes']} bytes "
                    f"with SHA-256 {wanted['sha256'][:12]}..., got "
                    f"{found['bytes']} with {found['sha256'][:12]}..."
                )
            tensors[name] = load_file(path / name)
        return {key: tensors[key] for key in (MODEL_FILE, OPTIMIZER_FILE)}
    except (OSError, KeyError, ValueError, TypeError, SafetensorError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path} cannot be read: {error!r}") from error


def _assign(model, path, tensors):
    assign_tensors(
        named_variables(model.task),
        tensors[MODEL_FILE],
        source=path / MODEL_FILE,
    )
    assign_tensors(
        _optimizer_variables(model.optimizer),
        tensors[OPTIMIZER_FILE],
        source=path / OPTIMIZER_FILE,
    )


def _optimizer_variables(optimizer) -> dict:
    """Keras variables of the optimizer by path, without its own name."""
    named = {}
    for variable in optimizer.variables:
        # A constant learning rate is a setting, not state.
        if variable is optimizer.__dict__.get("_learning_rate"):
            continue
        name = variable.path.split("/", 1)[-1]
        if name in named:
            raise ValueError(f"two optimizer variables are named {name!r}")
        named[name] = variable
    return named


def _describe(path: Path) -> dict:
    """Size and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}
