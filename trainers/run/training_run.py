"""One run from its newest checkpoint to its last step, come what may.

restore the newest intact checkpoint
until the last step:
    fit                       an epoch is an evaluation interval
    if the guard asks for it: go back to the newest checkpoint, leave out
                              the batches up to and with the bad one
    if a signal came:         end here
save, release the run folder
"""

import contextlib
import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path

import keras

from tfbert.errors import UserError
from trainers.checkpoints.best import KeepBest
from trainers.checkpoints.checkpoints import Checkpoints, Restored
from trainers.checkpoints.files import SaveError
from trainers.checkpoints.saving import (
    CheckLock,
    SaveCheckpoints,
    StopAt,
    validation_values,
)
from trainers.checkpoints.step_boundaries import Boundaries
from trainers.distributed import worker_status
from trainers.distributed.strategies import Distribution
from trainers.files.events import Events
from trainers.files.exit_status import Stopped
from trainers.files.rollbacks import Rollbacks
from trainers.files.run_lock import RunLock
from trainers.run.callback_list import Callbacks
from trainers.run.early_stopping import EarlyStopping
from trainers.run.run_data import RunData
from trainers.run.same_state import check_same_state
from trainers.run.skipped_steps import Diverged, Guard
from trainers.run.stopping import CANNOT_SAVE, STATUS, StopOnSignal
from trainers.step.training_model import TrainingModel
from trainers.watching.metrics_log import LostOutput
from trainers.watching.safe_callbacks import Harmless
from trainers.watching.watcher import tell_validation

_log = logging.getLogger(__name__)


@dataclasses.dataclass
class TrainingRun:
    """What one call of `training.train` does.

    Attributes:
      model: from make_model.
      settings: with sections optimization and runtime, and a seed.
      distribution: where it runs.
      data: what it reads.
      watchers: callbacks that show and log.
      callbacks: more callbacks, run before a checkpoint is written.
      facts: what checkpoints say of the run.
    """

    model: TrainingModel
    settings: object
    distribution: Distribution
    data: RunData
    watchers: Sequence[keras.callbacks.Callback]
    callbacks: Sequence[keras.callbacks.Callback]
    facts: dict

    def __post_init__(self):
        runtime = self.settings.runtime
        self.total = self.settings.optimization.steps
        self.run_dir = Path(runtime.run_dir)
        is_chief = self.distribution.is_chief
        self.lock = RunLock(self.run_dir, is_chief, _log.info)
        self.events = Events(self.run_dir, is_chief)
        self.rollbacks = Rollbacks(self.run_dir)
        self.checkpoints = Checkpoints(
            self.run_dir,
            runtime.keep_checkpoints,
            is_chief,
            keep_best=runtime.keep_best,
            background=runtime.background_saving,
            facts=self.facts,
            allowed=runtime.allow_change,
        )
        self.guard = Guard(
            runtime,
            _log.info,
            self.events,
            self.rollbacks.batch_of,
            self.data.row_ids,
        )
        self.saving = SaveCheckpoints(
            self.checkpoints,
            runtime.checkpoint_every,
            runtime.evaluate_every,
            self.total,
            self.guard,
            self._on_save_error,
            self._state,
        )
        for callback in self.callbacks:
            if isinstance(callback, KeepBest):
                callback.checkpoints = self.checkpoints
        self.stop_at = StopAt(self.total, runtime.evaluate_every)
        self.save_error: SaveError | None = None
        stops = (c for c in self.callbacks if isinstance(c, EarlyStopping))
        self.early_stopping = next(stops, None)
        self.told = Callbacks(self.callbacks)
        self.last: dict[str, float] = {}
        self.ended = False  # By a callback of the user's.

    def run(self) -> dict[str, float]:
        """Restores, fits, evaluates and saves; see `training.train`."""
        with self.lock, StopOnSignal(self.distribution) as self.stop:
            try:
                self._restore()
                if self.stop.agree() is None:
                    self._first_evaluation()
                self._fit_to_the_end()
                self.told.end()
                self._save_the_end()
            finally:
                # Whatever has ended the run, what is being written is kept.
                with contextlib.suppress(SaveError):
                    self.checkpoints.wait()
        if self.stop.signal in STATUS and not self._complete:
            self._stopped()
        # Another run of the same command may follow.
        self.distribution.enter(worker_status.STARTING)
        return {**self.last, "step": self.model.step}

    @property
    def _complete(self) -> bool:
        """Whether nothing is left to do."""
        ended = self.early_stopping is not None and self.early_stopping.ended
        return ended or self.ended or self.model.step >= self.total

    # -- before the first step ---------------------------------------------

    def _restore(self) -> None:
        restored = self.checkpoints.restore(self.model)
        self._agree_on(restored)
        if restored is None:
            if self._may_roll_back():
                # There has to be something to go back to.
                self.saving.set_model(self.model)
                self.saving.save()
            return
        self._take_over(restored)
        for message in restored.passed_over:
            _log.warning(f"passed over a checkpoint: {message}")
        self.events.add(
            "restored",
            restored.step,
            checkpoint=restored.path.name,
            passed_over=restored.passed_over,
        )
        place = f"step {restored.step} of {self.total}"
        if self._complete:
            _log.info(f"The run is complete: {restored.path} is its {place}")
        else:
            _log.info(f"Resuming at {place} from {restored.path}")

    def _agree_on(self, restored: Restored | None) -> None:
        """Raises UserError where workers hold another step or other weights."""
        entries = self.rollbacks.entries
        check_same_state(self.distribution, self.model, restored, entries)

    def _may_roll_back(self) -> bool:
        runtime = self.settings.runtime
        return "rollback" in (runtime.on_nan, runtime.spike.action)

    def _take_over(self, restored) -> None:
        self.model.step = restored.step
        self.guard.load(restored.state.get("guard") or {})
        if self.early_stopping is not None:
            self.early_stopping.load(restored.state.get("early_stopping") or {})
        self.ended = restored.state.get("ended_of") == self.total
        self.last = dict(restored.state.get("validation") or {})

    def _first_evaluation(self) -> None:
        """Does an evaluation (of step 0, too) that a kill came before."""
        step = self.model.step
        due = step % self.settings.runtime.evaluate_every == 0
        due = due or step >= self.total
        held_out = self.data.validation_of(self._last_batch or 0)
        if not due or self.last or not held_out:
            return
        self.stop.set_model(self.model)
        stop = self.distribution.watched([self.stop])
        values = self.model.evaluate(*held_out, stop)
        self.distribution.enter(worker_status.STARTING)
        if not values:
            return
        self.last = values
        tell_validation(self.watchers, step, values)
        if step:
            every = self.settings.runtime.evaluate_every
            self.told.evaluated(self.model, (step - 1) // every, values)
        self.saving.save_first()

    @property
    def _last_batch(self) -> int | None:
        """The batch of the last step that was made."""
        step = self.model.step
        return self.rollbacks.batch_of(step - 1) if step else None

    # -- the steps ------------------------------------------------------------

    def _fit_to_the_end(self) -> None:
        while not self._complete and self.stop.agree() is None:
            before = self.model.step
            history = self._fit_once()
            self.last = validation_values(history) or self.last
            if self.guard.rollback is not None:
                self._roll_back()
            elif self.model.step == before:
                place = f"step {before} of {self.total}"
                raise UserError(f"the training data ended at {place}")
            elif self.model.stop_training and self.stop.agree() is None:
                early = self.model.step < self.stop_at.step
                self.ended = early and not self._complete

    def _fit_once(self):
        """One `fit`, at most to where batches are left out.

        A run that was resumed between two evaluations first finishes that
        interval, so that evaluations stay at multiples of evaluate_every.
        """
        runtime, start = self.settings.runtime, self.model.step
        every, batch = runtime.evaluate_every, self.rollbacks.batch_of(start)
        if self.data.enter(self.model, self._last_batch, batch):
            self.guard.forget()
        held_out = self.data.validation_of(batch)
        bounds = Boundaries(
            runtime.steps_per_loop,
            every,
            runtime.checkpoint_every,
            self._end_of_fit(start),
        )
        until, calls = bounds.epochs(start)
        # Keras counts whole loops, also where they are cut short.
        steps = calls * runtime.steps_per_loop
        self.stop_at.step = bounds.end
        self.model.next_boundary = bounds.after
        self.model.skip_evaluation = False
        return self.model.fit(
            self.data.make_batches(batch),
            initial_epoch=start // every,
            # The last epoch may be a short one; StopAt ends it.
            epochs=until // every,
            steps_per_epoch=steps,
            validation_data=held_out and held_out[0],
            validation_steps=held_out and held_out[1],
            callbacks=self.told.of_fit(
                self._all_callbacks(), self.model, until // every, steps
            ),
            verbose=0,
            shuffle=False,
        )

    def _end_of_fit(self, start: int) -> int:
        """The step at which other batches begin: others, or of another size."""
        batch = self.rollbacks.batch_of(start)
        change = self.settings.optimization.batch_plan.next_change(batch)
        change = change and start + change - batch
        ends = self.total, self.rollbacks.next_jump(start), change
        return min(end for end in ends if end is not None)

    def _all_callbacks(self) -> list[keras.callbacks.Callback]:
        # Saving is last: a kill before it repeats steps, and loses nothing.
        callbacks = [
            self.guard,
            *map(Harmless, self.watchers),
            self.stop_at,
            self.stop,
            CheckLock(self.lock),
            LostOutput(self.events),
            *self.callbacks,
            self.saving,
        ]
        return self.distribution.watched(callbacks, saving=self.saving)

    def _roll_back(self) -> None:
        """Goes back to the newest checkpoint, past the bad batch.

        On all workers: they have seen the same values. `agree` lets none read
        before the chief has written.
        """
        bad = self.guard.rollback
        try:
            self.checkpoints.wait()
        except SaveError as error:
            self._on_save_error(error)
        self.stop.agree()
        restored = self.checkpoints.restore(self.model)
        self._agree_on(restored)
        if restored is None:
            raise Diverged(
                f"step {bad.last}: {bad.reason}, and there is no checkpoint to "
                f"go back to in {self.checkpoints.folder}"
            )
        self._take_over(restored)
        limit = self.settings.runtime.max_skipped
        if self.rollbacks.count_at(restored.step) >= limit:
            raise Diverged(
                f"step {bad.last}: {bad.reason}; the run has gone back to step "
                f"{restored.step} {limit} times (runtime.max_skipped). Lower "
                "optimization.learning_rate, or look at the data with "
                "`tfbert preview`"
            )
        entry = self.rollbacks.add(restored.step, bad.last)
        if self.distribution.is_chief:
            # What cannot be written is found out again by a resumed run.
            with contextlib.suppress(OSError):
                self.rollbacks.save()
        self.events.add(
            "rollback",
            bad.last,
            to_step=restored.step,
            reason=bad.reason,
            first_batch=entry.first_batch,
            last_batch=entry.last_batch,
        )
        left_out = f"batches {entry.first_batch} to {entry.last_batch}"
        _log.info(
            f"step {bad.last}: back to step {restored.step}, leaving out "
            f"{left_out} ({bad.reason})"
        )

    # -- saving and the end -----------------------------------------------

    def _state(self) -> dict:
        step = self.model.step
        state = {
            "next_batch": self.rollbacks.batch_of(step),
            "stage": self.data.stage_of(self._last_batch or 0),
            "guard": self.guard.state(),
            "ended_of": self.total if self.ended else None,
        }
        if self.early_stopping is not None:
            state["early_stopping"] = self.early_stopping.state()
        return state

    def _on_save_error(self, error: SaveError) -> None:
        """Goes on, or ends the run at a step that all workers agree on."""
        self.events.add("save_failed", self.model.step, message=str(error))
        if self.settings.runtime.on_save_error == "continue":
            _log.warning(
                f"{error}. Training goes on "
                "(runtime.on_save_error: continue); until a checkpoint is "
                "written, what is learnt can be lost"
            )
        else:
            self.save_error = error
            self.stop.cannot_save()

    def _save_the_end(self) -> None:
        self.distribution.enter(worker_status.SAVING)
        try:
            self.checkpoints.wait()
            # Nothing is written where this step was saved already.
            # A run that is over has just been evaluated.
            values = self.last if self._complete else None
            state = {**self._state(), "validation": values or None}
            self.checkpoints.save(self.model, self.model.step, state)
            self.checkpoints.wait()
        except SaveError as error:
            self.save_error = self.save_error or error
            self.stop.cannot_save()
        # None leaves before the chief has saved.
        self.stop.agree()
        self.distribution.enter(worker_status.ENDING)
        if self.save_error is not None:
            self.save_error.args = (
                f"stopped at step {self.model.step} of {self.total}: "
                f"{self.save_error}",
            )
            raise self.save_error
        if self.stop.signal == CANNOT_SAVE:
            raise SaveError(
                f"stopped at step {self.model.step} of {self.total}: worker 0 "
                "cannot write checkpoints; its message says why"
            )

    def _stopped(self) -> None:
        step, path = self.model.step, self.checkpoints.path(self.model.step)
        self.events.add("stopped", step, signal=int(self.stop.signal))
        by = "saved" if self.distribution.is_chief else "worker 0 saved"
        message = f"Stopped at step {step} of {self.total}; {by} {path}. "
        message += "The same command goes on from there."
        _log.info(message)
        raise Stopped(message, STATUS[self.stop.signal])
