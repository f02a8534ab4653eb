"""SIGTERM and Ctrl-C: at most one more step, one checkpoint, a status."""

import signal
import time

import pytest

TERM, INT, KILL = signal.SIGTERM, signal.SIGINT, signal.SIGKILL


@pytest.mark.parametrize(
    ("number", "again", "status"),
    [
        (TERM, False, 143),
        pytest.param(TERM, True, 143, marks=pytest.mark.faults),
        pytest.param(INT, False, 130, marks=pytest.mark.faults),
    ],
    ids=["F9", "F10", "F12"],
)
def test_a_signal_within_a_step_loses_nothing(
    faults, tmp_path, reference, number, again, status
):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, signal_self=[number, 23, again])
    said = job.done(status)
    # Step 23 had been made when the signal came; it is the last.
    assert "Stopped at step 23 of 60; saved" in said
    assert "The same command goes on from there" in said
    assert "still running" not in said
    assert [e["signal"] for e in faults.events(run_dir, "stopped")] == [number]
    said = faults.pretrain(run_dir).done()
    assert "Resuming at step 23 of 60" in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f10_sigterm_then_sigkill_while_saving(faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, slow_save=[3.0], pause=[0.05])
    job.until_step(15)
    job.signal(TERM)
    time.sleep(2)
    job.signal(KILL)
    assert job.wait() == -KILL
    said = faults.pretrain(run_dir).done()
    assert "Resuming at step 10 of 60" in said or "Resuming" not in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f11_sigterm_during_a_save(faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, slow_save=[1.0], pause=[0.05])
    job.until_step(11)
    job.signal(TERM)
    said = job.done(143)
    assert said.count("Stopped at step") == 1
    names = faults.checkpoints(run_dir)
    assert len(names) == 2 and names[0] == "step-00000010"
    faults.pretrain(run_dir).done()
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f11_sigterm_during_an_evaluation(faults, tmp_path, reference):
    run_dir, note = tmp_path / "run", tmp_path / "note"
    job = faults.pretrain(run_dir, slow_evaluation=[0.5, str(note)])
    job.until(note.exists)
    job.signal(TERM)
    said = job.done(143)
    assert "Stopped at step 30 of 60" in said
    # The evaluation that was cut short is made first, and logged.
    faults.pretrain(run_dir).done()
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f11_sigterm_while_the_first_step_is_traced(
    faults, tmp_path, reference
):
    run_dir = tmp_path / "run"
    said = faults.pretrain(run_dir, signal_in_trace=[TERM]).done(143)
    assert "Stopped at step 1 of 60" in said
    assert faults.checkpoints(run_dir) == ["step-00000001"]
    faults.pretrain(run_dir).done()
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f13_sigterm_to_one_of_two_workers(faults, tmp_path, two_workers):
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    two_workers(faults.workers(wanted, 2))
    jobs = faults.workers(run_dir, 2, pause=[0.02])
    jobs[0].until_step(20)
    jobs[1].signal(TERM)
    said = two_workers(jobs, 143)
    places = [text.split("Stopped at step ")[1].split()[0] for text in said]
    assert places[0] == places[1]
    said = two_workers(faults.workers(run_dir, 2))
    assert f"Resuming at step {places[0]} of 60" in said[0]
    faults.assert_same(run_dir, wanted)
