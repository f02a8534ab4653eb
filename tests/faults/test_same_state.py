"""Workers that hold different weights do not train together: F48."""

import signal

import pytest

pytestmark = pytest.mark.faults
QUICK = {
    "model.num_hidden_layers": 1,
    "optimization.steps": 24,
    "runtime.evaluate_every": 24,
    "runtime.checkpoint_every": 6,
    "runtime.start_timeout": 120,
    "runtime.background_saving": "false",
}
ROLLBACK = {**QUICK, "runtime.on_nan": "rollback"}
AGAIN = 6


def bad(first, last):
    return {"bad_batches": [[first, last], 8, "nan"]}


def refused(jobs, status, *texts):
    for job in jobs:
        said = job.done(status)
        for text in texts:
            assert text in said, said
        assert "Traceback" not in said


def test_f48_weights_that_differ_under_one_name(faults, tmp_path):
    run_dir, source = tmp_path / "run", tmp_path / "source"
    faults.pretrain(source, {**QUICK, "optimization.steps": 12}).done()
    changes = {**QUICK, "model.init_from": source}
    chief, other = faults.worker_starters(run_dir, 2, changes)
    jobs = [chief(), other(other_weights=[])]
    refused(jobs, 2, "wanted the same weights on all workers", "model: ")
    assert not faults.rows(run_dir)


def test_f48_a_checkpoint_that_one_worker_does_not_see(
    faults, tmp_path, two_workers
):
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    two_workers(faults.workers(wanted, 2, QUICK))
    jobs = faults.workers(run_dir, 2, QUICK, signal_self=[signal.SIGTERM, 12])
    two_workers(jobs, 143)
    chief, other = faults.worker_starters(run_dir, 2, QUICK)
    jobs = [chief(), other(hidden=["step-00000012"])]
    text = "wanted the same checkpoint on all workers, got:\n"
    refused(jobs, AGAIN, text, "restored step: 6 on worker 1")
    two_workers(faults.workers(run_dir, 2, QUICK))
    faults.assert_same(run_dir, wanted, 24)


def test_f48_one_worker_rolls_back_further(faults, tmp_path, two_workers):
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    two_workers(faults.workers(wanted, 2, ROLLBACK, **bad(14, 14)))
    chief, other = faults.worker_starters(run_dir, 2, ROLLBACK)
    jobs = [
        chief(**bad(14, 14)),
        other(hidden=["step-00000012"], **bad(14, 14)),
    ]
    refused(jobs, AGAIN, "same checkpoint", "restored step: 6 on worker 1")
    # Nothing was written of steps with other weights.
    assert faults.checkpoints(run_dir)[-1] == "step-00000012"
    two_workers(faults.workers(run_dir, 2, ROLLBACK, **bad(14, 14)))
    faults.assert_same(run_dir, wanted, 24)
    # A rollback that one worker does not know of: other batches.
    longer = {**ROLLBACK, "optimization.steps": 30}
    longer["runtime.allow_change"] = "[optimization.steps]"
    chief, other = faults.worker_starters(run_dir, 2, longer)
    jobs = [chief(), other(hidden=["rollbacks.json"])]
    refused(jobs, AGAIN, "rollbacks: [] on worker 1", "last_batch=14")
