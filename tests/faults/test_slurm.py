"""Two nodes of a real Slurm train by docs/launch/slurm.sbatch."""

import importlib.util
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
HERE = pathlib.Path(__file__).parent
SECONDS = 120


def _slurm_cluster():
    spec = importlib.util.spec_from_file_location(
        "slurm_cluster", HERE / "slurm_cluster.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


slurm_cluster = _slurm_cluster()
WHY_NOT = slurm_cluster.why_not()
pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(WHY_NOT is not None, reason=WHY_NOT or ""),
]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    """The environment of a running Slurm."""
    with slurm_cluster.slurm(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.fixture
def submit(faults, slurm, tmp_path):
    """Returns a function that submits a run; it returns (job, log)."""
    tfbert = tmp_path / "tfbert"
    tfbert.write_text(
        f'#!/bin/bash\nexec {sys.executable} -m trainers.cli "$@"\n'
    )
    tfbert.chmod(0o755)

    def run(run_dir, changes):
        log = tmp_path / f"log-{len(list(tmp_path.iterdir()))}.txt"
        log.touch()
        told = subprocess.run(
            ["sbatch", "--parsable", f"--output={log}"]
            + [f"--export=ALL,TFBERT={tfbert}"]
            + [str(ROOT / "docs/launch/slurm.sbatch")]
            + list(map(str, faults.options(run_dir, changes))),
            cwd=ROOT,
            env=slurm,
            capture_output=True,
            text=True,
        )
        assert told.returncode == 0, told.stderr
        return told.stdout.strip(), log

    return run


def ended(slurm, job, log):
    """Waits for a job to end; returns how it ended."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        state = re.search(r"JobState=(\w+)", show(slurm, job))
        if state and state[1] in ("COMPLETED", "FAILED", "CANCELLED"):
            return state[1]
        time.sleep(0.5)
    raise AssertionError(f"the job does not end:\n{log.read_text()}")


def test_two_nodes_train(faults, slurm, submit, tmp_path):
    run_dir = tmp_path / "run"
    changes = {**faults.no_dropout, "optimization.steps": 20}
    job, log = submit(run_dir, changes)
    state = ended(slurm, job, log)
    said = log.read_text()
    assert state == "COMPLETED", said
    assert re.search(
        rf"2 workers by Slurm job {job}, step 0 \(this is worker 0 at "
        r"127.0.0.1:\d+\)",
        said,
    )
    assert "2 replicas on 2 workers (this is 0)" in said
    # As one process has it.
    one = tmp_path / "one"
    faults.pretrain(one, changes).done()
    faults.assert_close(run_dir, one)


def test_a_killed_task_is_named_and_the_job_starts_again(
    faults, slurm, submit, tmp_path
):
    run_dir = tmp_path / "run"
    changes = {"optimization.steps": 4000, "optimization.warmup_steps": 6}
    job, log = submit(run_dir, changes)
    end = time.monotonic() + SECONDS
    while faults.last_step(run_dir) < 12:
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    os.kill(_task_of(run_dir, rank=1), signal.SIGKILL)
    while "Restarts=1" not in (shown := show(slurm, job)):
        assert time.monotonic() < end, log.read_text() + shown
        time.sleep(0.5)
    said = log.read_text()
    assert re.search(
        r"0: error: worker 1 \(127.0.0.2:\d+\) was lost in step \d+", said
    )
    assert "starting again" in said
    # Slurm lets such a job wait for two minutes; we do not.
    slurm_cluster.ask(slurm, "scancel", job)
    job, log = submit(run_dir, changes)
    end = time.monotonic() + SECONDS
    while "Resuming at step" not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    # The end of its time: SIGTERM to the tasks, and they save.
    slurm_cluster.ask(slurm, "scontrol", "update", f"JobId={job}", "Requeue=0")
    slurm_cluster.ask(slurm, "scancel", "--signal=TERM", f"{job}.0")
    while "Stopped at step" not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.2)
    ended(slurm, job, log)
    assert re.search(r"0: Stopped at step \d+ of 4000; saved", log.read_text())


def show(slurm, job):
    """What Slurm knows of a job."""
    return slurm_cluster.ask(slurm, "scontrol", "show", "job", job)


def _task_of(run_dir, rank):
    """The process of a Slurm task that trains in `run_dir`."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            str(run_dir).encode() in command
            and b"trainers.cli" in command
            and f"SLURM_PROCID={rank}".encode() in environment
            # srun and the batch script have no local rank of their own.
            and b"-m" in command[:2]
        ):
            return int(folder.name)
    raise AssertionError("no such task")
