"""kill -9 at any moment: the same command ends as if nothing had been."""

import random
import signal
import time

import pytest

FIRST, SECOND = "step-00000010", "step-00000020"


def live_and_die(faults, run_dir, kills, seed):
    """One run, killed at random moments; returns how often it was."""
    rng = random.Random(seed)
    lives = 0
    while lives < kills:
        lives += 1
        before = faults.last_step(run_dir)
        job = faults.pretrain(run_dir, pause=[0.02])
        # At any step to come, and anywhere within it.
        job.until_step(before + rng.randint(1, 12))
        time.sleep(rng.random() * 0.04)
        job.signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
        if faults.last_step(run_dir) > faults.steps - 15:
            break
    said = faults.pretrain(run_dir).done()
    assert "taking over" in said
    return lives


def test_f1_kills_at_random_moments_change_nothing(faults, tmp_path, reference):
    assert live_and_die(faults, tmp_path / "run", 2, seed=1)
    faults.assert_same(tmp_path / "run", reference)


@pytest.mark.faults
@pytest.mark.parametrize("ten", range(5))
def test_f1_fifty_kills_at_random_moments(faults, tmp_path, reference, ten):
    kills = 0
    while kills < 10:
        run_dir = tmp_path / f"run-{kills}"
        seed = 100 * ten + kills
        kills += live_and_die(faults, run_dir, 10 - kills, seed)
        faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f1_two_workers_killed_at_a_random_moment(
    faults, tmp_path, two_workers
):
    wanted, run_dir = tmp_path / "wanted", tmp_path / "run"
    two_workers(faults.workers(wanted, 2))
    jobs = faults.workers(run_dir, 2, pause=[0.02])
    jobs[0].until_step(27)
    for job in jobs:
        job.signal(signal.SIGKILL)
    for job in jobs:
        job.wait()
    two_workers(faults.workers(run_dir, 2))
    faults.assert_same(run_dir, wanted)


@pytest.mark.parametrize(
    ("fault", "resumes", "left"),
    [
        # F2: all is written, nothing is renamed.
        (["rename", SECOND, "before"], 10, True),
        # F3: renamed, and nothing else; there is no pointer to move.
        pytest.param(
            ["rename", SECOND, "after"], 20, False, marks=pytest.mark.faults
        ),
        # F5: there is no checkpoint yet.
        pytest.param(
            ["rename", FIRST, "before"], None, True, marks=pytest.mark.faults
        ),
    ],
    ids=["F2", "F3", "F5"],
)
def test_killed_while_a_checkpoint_is_written(
    faults, tmp_path, reference, fault, resumes, left
):
    run_dir = tmp_path / "run"
    assert faults.pretrain(run_dir, die_at=fault).wait() == -signal.SIGKILL
    temporary = [n for n in faults.checkpoints(run_dir) if n[0] == "."]
    assert bool(temporary) == left
    said = faults.pretrain(run_dir).done()
    assert [n for n in faults.checkpoints(run_dir) if n[0] == "."] == []
    if resumes is None:
        assert "Resuming" not in said
        assert faults.events(run_dir, "restored") == []
    else:
        assert f"Resuming at step {resumes} of 60" in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f4_killed_while_writing_beside_the_training(
    faults, tmp_path, reference
):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, slow_save=[1.0], pause=[0.02])
    # Step 20 waits until step 10 is on the disk: never two in flight.
    job.until(lambda: (run_dir / "checkpoints" / FIRST).exists())
    job.until_step(21)
    job.signal(signal.SIGKILL)
    job.wait()
    ahead = faults.last_step(run_dir)
    safe = max(n for n in faults.checkpoints(run_dir) if n[0] == "s")
    assert ahead - int(safe[-8:]) <= 2 * 10
    said = faults.pretrain(run_dir).done()
    assert f"Resuming at step {int(safe[-8:])} of 60" in said
    faults.assert_same(run_dir, reference)


@pytest.mark.faults
def test_f6_killed_while_records_are_built(faults, tmp_path):
    """The shards of another build, byte for byte, and no half one before."""
    source = faults.data.parent
    argv = [
        *["--input", source / "text.txt", "--vocab", source / "vocab.txt"],
        *["--max_length", 64, "--held_out", 0.1, "--processes", 1],
    ]
    output = tmp_path / "records"
    job = faults.start(
        "records",
        [*argv, "--output", output],
        die_at=["rename", "records", "before"],
    )
    assert job.wait() == -signal.SIGKILL
    assert not output.exists()
    faults.start("records", [*argv, "--output", output]).done()
    wanted = {
        path.relative_to(faults.data): path.read_bytes()
        for path in faults.data.rglob("*.tfrecord")
    }
    found = {
        path.relative_to(output): path.read_bytes()
        for path in output.rglob("*.tfrecord")
    }
    assert wanted and found == wanted
    # What the killed one left is gone too.
    assert sorted(p.name for p in tmp_path.iterdir() if "rec" in p.name) == [
        "records"
    ]


@pytest.mark.faults
def test_f27_the_clock_jumps_back_a_day(faults, tmp_path, reference):
    run_dir = tmp_path / "run"
    job = faults.pretrain(run_dir, die_at=["rename", "step-00000040", "before"])
    job.wait()
    said = faults.pretrain(run_dir, clock=[-86400]).done()
    assert "Resuming at step 30 of 60" in said
    faults.assert_same(run_dir, reference)
