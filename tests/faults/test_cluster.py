"""Workers that die, stall, come late, differ or are slow: F39 to F46."""

import os
import pathlib
import re
import signal
import threading
import time

import pytest

# A worker counts as stalled after this long; 300 s is what users have.
STALL = 12
QUICK = {
    "runtime.stall_timeout": STALL,
    # A machine under load starts a worker in this time.
    "runtime.start_timeout": 120,
    "runtime.background_saving": "false",
}
LOST = 5
NOT_STARTED = 6


def saved_step(faults, run_dir):
    """The newest checkpoint; -1: none."""
    try:
        names = faults.checkpoints(run_dir)
    except FileNotFoundError:
        return -1
    steps = [int(n.split("-")[1]) for n in names if n.startswith("step-")]
    return max(steps, default=-1)


def lost(faults, run_dir, jobs, number, which):
    """Sends a signal to one worker in the middle; returns what others said."""
    jobs[0].until(lambda: saved_step(faults, run_dir) >= 10)
    began = time.monotonic()
    jobs[which].signal(number)
    said = jobs[1 - which].done(LOST)
    assert time.monotonic() - began < 60
    return said


def again(faults, run_dir, two_workers):
    """The same command on both goes on to the end."""
    said = two_workers(faults.workers(run_dir, 2, QUICK))
    assert re.search(r"Resuming at step [1-5]0 of 60", said[0])


@pytest.fixture(scope="module")
def reference_of_two(faults, two_workers_of, tmp_path_factory):
    """R of two workers."""
    run_dir = tmp_path_factory.mktemp("faults-runs") / "two"
    two_workers_of(faults.workers(run_dir, 2, QUICK))
    return run_dir


@pytest.fixture(scope="module")
def two_workers_of():
    """As two_workers, for a whole module."""
    return lambda jobs: [job.done() for job in jobs]


@pytest.mark.parametrize(
    "which",
    [
        pytest.param(1, id="F39-worker"),
        pytest.param(0, id="F40-chief", marks=pytest.mark.faults),
    ],
)
def test_a_killed_worker_is_named_and_the_run_goes_on(
    faults, tmp_path, two_workers, reference_of_two, which
):
    run_dir = tmp_path / "run"
    jobs = faults.workers(run_dir, 2, QUICK, pause=[0.05])
    said = lost(faults, run_dir, jobs, signal.SIGKILL, which)
    chief = ", the chief" if which == 0 else ""
    assert re.search(
        rf"error: worker {which} \(localhost:\d+{chief}\) was lost in step "
        r"\d+: its process ended without a word",
        said,
    )
    assert "goes on from the newest checkpoint" in said
    again(faults, run_dir, two_workers)
    faults.assert_same(run_dir, reference_of_two)


@pytest.mark.faults
def test_f41_a_pause_of_five_seconds_loses_nothing(
    faults, tmp_path, two_workers, reference_of_two
):
    run_dir = tmp_path / "run"
    jobs = faults.workers(run_dir, 2, QUICK, pause=[0.05])
    jobs[0].until(lambda: saved_step(faults, run_dir) >= 10)
    jobs[1].signal(signal.SIGSTOP)
    time.sleep(5)
    jobs[1].signal(signal.SIGCONT)
    two_workers(jobs)
    faults.assert_same(run_dir, reference_of_two)


@pytest.mark.faults
@pytest.mark.parametrize("which", [1, 0], ids=["worker", "chief"])
def test_f41_a_worker_that_is_stopped_for_ever(
    faults, tmp_path, two_workers, reference_of_two, which
):
    run_dir = tmp_path / "run"
    jobs = faults.workers(run_dir, 2, QUICK, pause=[0.05])
    said = lost(faults, run_dir, jobs, signal.SIGSTOP, which)
    assert re.search(
        rf"worker {which} \(.*\) is stalled in step \d+: no sign of life", said
    )
    # The stacks of all threads, by faulthandler.
    assert "What the threads of this worker do:" in said
    assert "most recent call first" in said
    # Woken up, it learns that it was left, and ends too.
    jobs[which].signal(signal.SIGCONT)
    jobs[which].done(LOST)
    again(faults, run_dir, two_workers)
    faults.assert_same(run_dir, reference_of_two)


@pytest.mark.faults
def test_f41_a_worker_that_hangs_in_a_callback(faults, tmp_path):
    run_dir = tmp_path / "run"
    # Callbacks may take as long as the first step.
    changes = {**QUICK, "runtime.start_timeout": 60}
    chief, other = faults.workers(run_dir, 2, changes, hang=[1, 15])
    began = time.monotonic()
    for job in (chief, other):
        said = job.done(LOST)
        assert re.search(
            r"worker 1 \(.*\) is stalled in step 1[56]: in callbacks for", said
        )
        assert "waiting for the other workers for" in said
    assert "in stuck" in said  # where it hangs, in its stack
    assert time.monotonic() - began < 240


@pytest.mark.faults
def test_f42_a_worker_that_is_late_or_never_comes(faults, tmp_path):
    late = {**QUICK, "optimization.steps": 12}
    first, second = faults.worker_starters(tmp_path / "late", 2, late)
    chief = first()
    chief.until(lambda: "waiting for worker 1" in chief.said)
    assert re.search(r"waiting for worker 1 \(localhost:\d+\)", chief.said)
    other = second()
    chief.done()
    other.done()

    never = {**QUICK, "runtime.start_timeout": 4}
    starters = faults.worker_starters(tmp_path / "never", 3, never)
    said = starters[0]().done(NOT_STARTED)
    assert re.search(
        r"worker 1 \(localhost:\d+\), worker 2 \(localhost:\d+\) did not "
        r"start within 4 s \(runtime.start_timeout\)",
        said,
    )
    said = starters[2]().done(NOT_STARTED)
    assert "the chief) did not answer at localhost:" in said


def test_f43_workers_that_differ_are_refused(faults, tmp_path):
    run_dir = tmp_path / "run"
    starters = faults.worker_starters(run_dir, 2, QUICK)
    rate = {**QUICK, "optimization.learning_rate": 0.5}
    jobs = [starters[0](), starters[1](rate, changed_code=[])]
    for job in jobs:
        said = job.done(2)
        assert "wanted the same settings, data and code on all" in said
        assert re.search(
            r"optimization.learning_rate: 0.5 on worker 1 \(.*\), 0.001 on "
            r"worker 0",
            said,
        )
        assert "code tfbert/encoder.py: changed on worker 1" in said
    # Refused before anything was written.
    assert not run_dir.exists()


@pytest.mark.faults
def test_f45_a_slow_worker_gets_a_line_in_the_log(faults, tmp_path):
    run_dir = tmp_path / "run"
    changes = {**QUICK, "optimization.steps": 120}
    chief, other = faults.workers(run_dir, 2, changes, pause=[0.02])
    chief.until(lambda: saved_step(faults, run_dir) >= 10)
    over = threading.Event()

    def hold_back():
        # As cpulimit does: stopped for most of the time.
        while not over.is_set() and other.process.exitcode is None:
            other.signal(signal.SIGSTOP)
            time.sleep(0.25)
            other.signal(signal.SIGCONT)
            time.sleep(0.05)

    holder = threading.Thread(target=hold_back)
    holder.start()
    try:
        chief.until(lambda: "is slow" in chief.said)
    finally:
        over.set()
        holder.join()
    assert re.search(
        r"worker 1 \(localhost:\d+\) is slow, and all wait for it at step \d+; "
        r"own work of a step: worker 0 \(.*\) 0\.\d+ s, worker 1 \(.*\) "
        r"\d\.\d+ s",
        chief.said,
    )
    for job in (chief, other):
        job.done()


@pytest.mark.faults
def test_f46_a_last_batch_that_does_not_divide(
    faults, tmp_path, two_workers, reference_without_dropout
):
    """The held-out rows are fewer than a batch, and odd in number."""
    run_dir = tmp_path / "run"
    changes = {**QUICK, **faults.no_dropout, "data.evaluation_rows": 13}
    two_workers(faults.workers(run_dir, 2, changes))
    one = tmp_path / "one"
    faults.pretrain(one, changes).done()
    faults.assert_close(run_dir, one)
    wanted, found = (
        faults.rows(one, "validation"),
        faults.rows(run_dir, "validation"),
    )
    assert len(wanted) == len(found) == 3
    for a, b in zip(wanted, found, strict=True):
        assert b == pytest.approx(a, rel=1e-5)
    faults.assert_close(run_dir, reference_without_dropout)


@pytest.mark.faults
def test_workers_that_know_each_other_by_ipv6(faults, tmp_path):
    changes = {**QUICK, "optimization.steps": 10, "runtime.evaluate_every": 10}
    run_dir = tmp_path / "run"
    jobs = [
        faults.pretrain(run_dir, changes, env=env)
        for env in faults.worker_environments(2, "[::1]")
    ]
    for job in jobs:
        job.done()
    assert "this is worker 0 at [::1]:" in jobs[0].said


@pytest.mark.faults
def test_only_the_chief_writes(faults, tmp_path, two_workers):
    run_dir = tmp_path / "run"
    starters = faults.worker_starters(run_dir, 2, QUICK)
    jobs = [
        start(note_writes=[str(run_dir), str(tmp_path / f"writes-{index}")])
        for index, start in enumerate(starters)
    ]
    two_workers(jobs)
    assert "checkpoint" in (tmp_path / "writes-0").read_text()
    assert not (tmp_path / "writes-1").exists()


@pytest.mark.faults
def test_launch_starts_a_lost_worker_again(faults, tmp_path, reference_of_two):
    run_dir = tmp_path / "run"
    options = faults.options(run_dir, QUICK)
    job = faults.start("launch", ["--", "pretrain", *options], run_dir)
    job.until(lambda: saved_step(faults, run_dir) >= 10)
    children = pathlib.Path(f"/proc/{job.process.pid}/task").glob("*/children")
    workers = [
        int(pid) for each in children for pid in each.read_text().split()
    ]
    os.kill(max(workers), signal.SIGKILL)
    said = job.done()
    assert "worker 1 was killed by SIGKILL; restart 1 of 3" in said
    assert re.search(r"\[0\] Resuming at step \d+ of 60", said)
    faults.assert_same(run_dir, reference_of_two)
