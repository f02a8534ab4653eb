"""Ends of a run that are rare; tests/faults has the others, for real."""

import types

import pytest
import tensorflow as tf

from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import SaveError
from trainers.distributed.strategies import Distribution
from trainers.run.run_data import RunData
from trainers.run.skipped_steps import BadSteps, Diverged
from trainers.run.stopping import CANNOT_SAVE, StopOnSignal
from trainers.run.training_run import TrainingRun


@pytest.fixture
def run(tmp_path):
    """As much of a run as its end looks at."""
    run = TrainingRun.__new__(TrainingRun)
    run.model = types.SimpleNamespace(step=7)
    run.data = RunData(make_batches=None)
    run.total = 60
    run.rollbacks = types.SimpleNamespace(batch_of=int, entries=[])
    run.distribution = Distribution(tf.distribute.get_strategy(), "one_device")
    run.guard = types.SimpleNamespace(
        rollback=BadSteps(7, 7, "the gradient is not finite"), state=dict
    )
    run.stop = StopOnSignal(run.distribution)
    # A worker that is not the chief writes nothing.
    run.checkpoints = Checkpoints(tmp_path, is_chief=False)
    run.save_error = run.early_stopping = None
    run.ended = False
    return run


def test_there_is_nothing_to_go_back_to(run):
    with pytest.raises(Diverged, match="step 7: .* there is no checkpoint"):
        run._roll_back()


def test_other_workers_end_when_the_chief_cannot_save(run):
    run._save_the_end()
    run.stop.signal = CANNOT_SAVE
    with pytest.raises(SaveError, match="step 7 of 60: worker 0 cannot write"):
        run._save_the_end()


def test_an_error_of_saving_says_where_the_run_stopped(run):
    run.save_error = SaveError("no room")
    with pytest.raises(SaveError, match="^stopped at step 7 of 60: no room$"):
        run._save_the_end()


def test_a_last_checkpoint_that_fails_is_told_to_the_other_workers(run):
    def fail():
        raise SaveError("no room")

    run.checkpoints.wait = fail
    with pytest.raises(SaveError, match="no room"):
        run._save_the_end()
    assert run.stop.signal == CANNOT_SAVE
