"""Checkpoints that are whole, verified and exact.

RUN/checkpoints/step-00000100/ appears under its name only when all of it is
on the disk. The newest is found by step, never by clock.

    training thread:  snapshot to host arrays   (waits for the one before)
    writer thread:    best weights, if there are new ones; then the checkpoint:
                      write, hash, fsync, rename, fsync; drop the oldest

Never more than one checkpoint is being written, so what is on the disk is at
most one interval of saving behind the training.
"""

import contextlib
import dataclasses
import re
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import CHECKPOINTS_FOLDER, MODEL_FILE
from tfbert.local_paths import local_path
from tfbert.weights.variables import arrays_of, assign_tensors, named_variables
from trainers.checkpoints.files import (
    OPTIMIZER_FILE,
    check_facts,
    read_state,
    read_verified,
    write_checkpoint,
)

LOSS_SCALE_PREFIX = "loss_scale/"


@dataclasses.dataclass(frozen=True)
class Restored:
    """What `restore` found.

    Attributes:
      step: updates that were made.
      path: the checkpoint's folder.
      passed_over: what was wrong with newer ones.
      state: content of checkpoint.json.
    """

    step: int
    path: Path
    passed_over: list[str]
    state: dict


class Checkpoints:
    """Saves and restores a TrainingModel in a run's folder.

    Args:
      run_dir: the run's folder.
      keep: how many of the newest checkpoints stay.
      is_chief: only the chief writes.
      keep_best: how many more stay because of their validation loss.
      background: write beside the training.
      facts: what the run is, kept in checkpoint.json and compared when a
        checkpoint is restored: seed, hashes of data and vocabulary, ...
      allowed: facts or settings that may differ.
    """

    def __init__(
        self,
        run_dir: str | Path,
        keep: int = 3,
        is_chief: bool = True,
        *,
        keep_best: int = 0,
        background: bool = False,
        facts: Mapping | None = None,
        allowed: Sequence[str] = (),
    ):
        self.folder = (
            local_path(run_dir, "the run's folder") / CHECKPOINTS_FOLDER
        )
        self.keep = keep
        self.keep_best = keep_best
        self.is_chief = is_chief
        self.background = background
        self.facts = dict(facts or {})
        self.allowed = allowed
        self._writer: threading.Thread | None = None
        self._error: BaseException | None = None
        self._first: Callable[[], None] | None = None

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        if not self.folder.is_dir():
            return []
        found = (
            re.fullmatch(r"step-(\d+)", path.name)
            for path in self.folder.iterdir()
            if files.is_whole(path)
        )
        return sorted(int(match.group(1)) for match in found if match)

    def path(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.folder / f"step-{step:08d}"

    def write_first(self, job: Callable[[], None]) -> None:
        """Has `job` done before the next checkpoint is written.

        So what a checkpoint takes as done is on the disk before it. A job that
        fails stands in the way of the checkpoint and is tried again with the
        next; a later job takes the place of one that waits.

        Args:
          job: writes something; raises SaveError.
        """
        self._first = job

    def begin_first(self) -> None:
        """Begins what `write_first` has left, where no checkpoint is due.

        Raises:
          SaveError: it, or a checkpoint begun before, could not be written.
        """
        self.wait()
        if self._first is not None:
            self._start("best", self._write_waiting)

    def save(self, model, step: int, state: Mapping | None = None) -> Path:
        """Takes a snapshot of `step` and writes it, or begins to.

        Args:
          model: the TrainingModel.
          step: updates that were made.
          state: what else goes into checkpoint.json.

        Raises:
          SaveError: this checkpoint, or one begun before, could not be
            written.
        """
        path = self.path(step)
        self.wait()
        if not self.is_chief or path.exists():
            return path
        # The model's file is for everybody: it holds the averaged weights.
        with model.averaged():
            tensors = {
                MODEL_FILE: arrays_of(named_variables(model.task)),
                OPTIMIZER_FILE: arrays_of(other_variables(model)),
            }
        about = {"step": step, **(state or {}), "facts": self.facts}
        self._start(f"checkpoint-{step}", self._write, path, tensors, about)
        return path

    def _start(self, name: str, write: Callable[..., None], *arguments) -> None:
        """Calls `write`, in the writer thread if that is wanted."""
        if not self.background:
            write(*arguments)
            return

        def beside():
            try:
                write(*arguments)
            except BaseException as error:  # told to the training thread
                self._error = error

        # Not a daemon: the interpreter waits for it at its end.
        self._writer = threading.Thread(target=beside, name=name)
        self._writer.start()

    def check(self) -> None:
        """Raises what went wrong beside the training, without waiting."""
        if self._writer is None or not self._writer.is_alive():
            self.wait()

    def wait(self) -> None:
        """Waits until nothing is being written.

        Raises:
          SaveError: the checkpoint could not be written.
        """
        if self._writer is not None:
            self._writer.join()
            self._writer = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _write_waiting(self) -> None:
        job = self._first
        if job is not None:
            job()
            # Meanwhile the training thread may have left another.
            if self._first is job:
                self._first = None

    def _write(self, path, tensors, about):
        self._write_waiting()
        write_checkpoint(path, tensors, about)
        # Whatever keeps an old one from going, the new one is safe.
        with contextlib.suppress(OSError):
            self._drop_old()

    def _drop_old(self) -> None:
        """Removes all but the newest and the best checkpoints."""
        steps = self.steps()
        kept = set(steps[-self.keep :]) | set(self.best(steps))
        for step in steps:
            if step not in kept:
                files.remove_folder(self.path(step))

    def best(self, steps: list[int]) -> list[int]:
        """The steps with the lowest validation loss, of equal ones the later.

        Losses of an earlier stage, on other rows, come behind all of a later
        one. A checkpoint without a loss, or whose JSON is damaged, is none.
        """
        losses = []
        for step in steps if self.keep_best else ():
            try:
                state = read_state(self.path(step))
                loss = float((state.get("validation") or {})["loss"])
                losses.append((-state.get("stage", 0), loss, -step))
            except (UserError, KeyError, TypeError, ValueError):
                continue
        losses = sorted(loss for loss in losses if loss[1] == loss[1])
        return [-step for _, _, step in losses[: self.keep_best]]

    def check_run(self) -> None:
        """Refuses a run folder whose newest checkpoint has other facts.

        Raises:
          UserError: lists what differs.
        """
        for step in reversed(self.steps()):
            try:
                state = read_state(self.path(step))
            except UserError:
                continue
            self._check_facts(self.path(step), state)
            return

    def restore(self, model) -> Restored | None:
        """Loads the newest intact checkpoint into `model`.

        Returns:
          None where there is no checkpoint: a fresh start.

        Raises:
          UserError: every checkpoint is damaged, or the newest intact one is
            of another model, optimizer or run.
          SaveError: what was being written could not be.
        """
        self.wait()
        # It belongs to steps that are done again.
        self._first = None
        if self.is_chief:
            for folder in (self.folder.parent, self.folder):
                files.remove_temporaries(folder)
        passed_over = []
        for step in reversed(self.steps()):
            path = self.path(step)
            try:
                tensors = read_verified(path)
                state = read_state(path)
            except UserError as error:
                passed_over.append(str(error))
                continue
            self._check_facts(path, state)
            with model.averaged():
                _assign(model, path, tensors)
            # A model at step 0 would begin its averages anew.
            model.step = step
            if self.is_chief:
                self._set_aside(step)
            return Restored(step, path, passed_over, state)
        if passed_over:
            raise UserError(
                f"no checkpoint in {self.folder} is intact:\n  "
                + "\n  ".join(passed_over)
                + "\nRestore one from a copy, or give another runtime.run_dir"
                " to start anew."
            )
        return None

    def _check_facts(self, path: Path, state: dict) -> None:
        saved = state.get("facts") or {}
        check_facts(path, saved, self.facts, self.allowed)

    def _set_aside(self, step: int) -> None:
        """Renames the damaged checkpoints after `step`: their steps come again.

        They are kept as damaged-NNNNNNNN for whoever wants to look at them.
        """
        for later in self.steps():
            if later > step:
                aside = self.folder / f"damaged-{later:08d}"
                shutil.rmtree(aside, ignore_errors=True)
                files.move_folder(self.path(later), aside)


def _assign(model, path, tensors):
    assign_tensors(
        named_variables(model.task),
        tensors[MODEL_FILE],
        source=path / MODEL_FILE,
    )
    saved, wanted = tensors[OPTIMIZER_FILE], other_variables(model)
    # A run may go on in another precision: only float16 has a loss scale.
    for one, other in ((saved, wanted), (wanted, saved)):
        for name in [name for name in one if name not in other]:
            if name.startswith(LOSS_SCALE_PREFIX):
                del one[name]
    # Until there was a list of what is learnt, all had moments: zeros.
    for name in [name for name in saved if name not in wanted]:
        if name.startswith(_unlearnt_prefixes(model)):
            del saved[name]
    assign_tensors(wanted, saved, source=path / OPTIMIZER_FILE)


def _unlearnt_prefixes(model) -> tuple[str, ...]:
    """How names begin that belong to variables without a gradient."""
    learnt = {id(v) for v in getattr(model, "learnt_variables", ())}
    prefixes = []
    for variable in model.task.trainable_variables if learnt else ():
        if id(variable) not in learnt:
            name = variable.path.removeprefix(f"{model.task.path}/")
            prefixes.append(f"training_weights/{name}")
            prefixes.append(variable.path.replace("/", "_") + "_")
    return tuple(prefixes)


def other_variables(model) -> dict:
    """What has to be kept besides the task's variables.

    Keras variables of the optimizer by path, without its own name, and those
    in `model.state_variables` (a dict by name), if the model has them.
    """
    optimizer = model.optimizer
    named = dict(getattr(model, "state_variables", {}))
    for variable in optimizer.variables:
        # A constant learning rate is a setting, not state.
        if variable is optimizer.__dict__.get("_learning_rate"):
            continue
        name = variable.path.split("/", 1)[-1]
        if name in named:
            raise ValueError(f"two optimizer variables are named {name!r}")
        named[name] = variable
    return named
