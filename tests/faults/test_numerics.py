"""NaN, Inf and spikes: all replicas decide alike, weights stay finite."""

import signal

import numpy as np
import pytest

NAN = float("nan")


def bad(first, last, factor=NAN, replica=None):
    return [[first, last], 8, factor, replica]


def assert_finite(faults, run_dir, step=60):
    for key, value in faults.tensors(run_dir, step).items():
        assert np.isfinite(value).all(), key


def test_f34_a_bad_batch_is_skipped_and_named(faults, tmp_path):
    run_dir = tmp_path / "run"
    said = faults.pretrain(run_dir, bad_batches=bad(24, 24)).done()
    assert "step 25 (batch 24, rows " in said
    assert "the gradient is not finite; all replicas skipped" in said
    (event,) = faults.events(run_dir, "skipped")
    assert event["step"] == 25 and event["batches"] == [24]
    assert len(event["rows"]) == 8
    assert [r["step"] for r in faults.rows(run_dir) if r["skipped"]] == [25]
    assert_finite(faults, run_dir)


@pytest.mark.faults
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"runtime.max_skipped": 4},
            "step 28: the gradient is not finite (the 4 steps in a row",
        ),
        (
            {"runtime.on_nan": "stop"},
            "step 25: the gradient is not finite (runtime.on_nan is stop)",
        ),
        (
            {"runtime.on_nan": "rollback", "runtime.max_skipped": 3},
            "the run has gone back to step 20 3 times",
        ),
    ],
    ids=["skip", "stop", "rollback"],
)
def test_f34_many_bad_batches_end_the_run(faults, tmp_path, changes, says):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, changes, bad_batches=bad(24, 99))
    assert says in job.done(3)
    assert faults.checkpoints(run_dir)[-1] == "step-00000020"
    assert_finite(faults, run_dir, 20)


@pytest.mark.faults
def test_f34_rollback_is_the_same_for_a_run_that_is_killed(faults, tmp_path):
    """Back to step 20, past batch 24; a resumed run takes the same batches."""
    change = {"runtime.on_nan": "rollback"}
    fault = {"bad_batches": bad(24, 24)}
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    said = faults.pretrain(wanted, change, **fault).done()
    assert "step 25: back to step 20, leaving out batches 20 to 24" in said
    (event,) = faults.events(wanted, "rollback")
    assert (event["first_batch"], event["last_batch"]) == (20, 24)
    assert_finite(faults, wanted)
    for target in ("step-00000020", "step-00000040"):
        job = faults.pretrain(
            run_dir, change, die_at=["rename", target, "before"], **fault
        )
        assert job.wait() == -signal.SIGKILL
    faults.pretrain(run_dir, change, **fault).done()
    faults.assert_same(run_dir, wanted)


@pytest.mark.faults
@pytest.mark.parametrize("when", ["before", "after"])
def test_f57_a_kill_within_the_rollback_itself(faults, tmp_path, when):
    """Around the write of what says which batches are left out."""
    change = {"runtime.on_nan": "rollback", "optimization.steps": 36}
    fault = {"bad_batches": bad(24, 24)}
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    faults.pretrain(wanted, change, **fault).done()
    die = ["replace", "rollbacks.json", when]
    assert faults.pretrain(run_dir, change, die_at=die, **fault).wait() == (
        -signal.SIGKILL
    )
    faults.pretrain(run_dir, change, **fault).done()
    faults.assert_same(run_dir, wanted, 36)


def test_f35_nan_on_one_of_two_replicas(faults, tmp_path):
    run_dir = tmp_path / "run"
    change = {"runtime.devices": 2}
    fault = {"bad_batches": bad(24, 24, replica=1)}
    said = faults.pretrain(run_dir, change, **fault).done()
    assert "step 25 (batch 24, rows " in said
    assert [r["step"] for r in faults.rows(run_dir) if r["skipped"]] == [25]
    assert_finite(faults, run_dir)


@pytest.mark.faults
def test_f35_nan_on_one_of_two_workers(faults, tmp_path, two_workers):
    run_dir = tmp_path / "run"
    fault = {"bad_batches": bad(24, 24, replica=1)}
    said = two_workers(faults.workers(run_dir, 2, **fault))
    assert "step 25 (batch 24, rows " in said[0]
    assert [r["step"] for r in faults.rows(run_dir) if r["skipped"]] == [25]
    assert_finite(faults, run_dir)


@pytest.mark.faults
@pytest.mark.parametrize("workers", [1, 2])
def test_f36_a_spike_is_rolled_back(faults, tmp_path, two_workers, workers):
    change = {"runtime.spike.action": "rollback"}
    fault = {"bad_batches": bad(34, 34, 100.0)}
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"

    def start(where, **more):
        if workers == 1:
            return [faults.pretrain(where, change, **fault, **more)]
        return faults.workers(where, 2, change, **fault, **more)

    said = two_workers(start(wanted))[0]
    assert "step 35 (batch 34, rows " in said
    assert "gradient norm" in said and "deviations above the median" in said
    assert "step 35: back to step 30, leaving out batches 30 to 34" in said
    jobs = start(run_dir, pause=[0.02])
    jobs[0].until_step(33)
    for job in jobs:
        job.signal(signal.SIGKILL)
    for job in jobs:
        job.wait()
    two_workers(start(run_dir))
    faults.assert_same(run_dir, wanted)


@pytest.mark.faults
def test_f36_a_spike_warns_or_stops(faults, tmp_path):
    fault = {"bad_batches": bad(34, 34, 100.0)}
    said = faults.pretrain(tmp_path / "warned", **fault).done()
    assert "step 35 (batch 34, rows " in said
    (event,) = faults.events(tmp_path / "warned", "spike")
    assert event["batches"] == [34]
    stop = {"runtime.spike.action": "stop"}
    said = faults.pretrain(tmp_path / "stopped", stop, **fault).done(3)
    assert "error: step 35: gradient norm" in said


@pytest.mark.faults
def test_f37_a_loss_scale_that_cannot_fall_further(faults, tmp_path):
    change = {"runtime.precision": "float16", "runtime.max_skipped": 3}
    job = faults.pretrain(tmp_path / "run", change, bad_batches=bad(0, 99))
    said = job.done(3)
    assert "the gradient is not finite at the smallest loss scale, 1" in said
    assert "the 3 steps in a row of runtime.max_skipped" in said
    assert_finite(faults, tmp_path / "run", 10)
