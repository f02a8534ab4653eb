"""One trainer for one folder; see tests/faults for real processes."""

import json
import os
import subprocess
import sys
import time

import pytest

from tfbert.errors import UserError
from trainers import run_lock
from trainers.run_lock import RunLock


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(run_lock, "BEAT", 0.05)
    monkeypatch.setattr(run_lock, "PATIENCE", 0.4)


def other(folder, **changes):
    """Leaves the lock of another process."""
    owner = {**run_lock._this_process(), "pid": 1, "start": "0", **changes}
    (folder / "lock.json").write_text(json.dumps(owner))


def test_it_is_held_and_given_back(tmp_path):
    with RunLock(tmp_path):
        with pytest.raises(UserError, match="another trainer .process"):
            RunLock(tmp_path).refuse_if_held()
    assert not (tmp_path / "lock.json").exists()
    RunLock(tmp_path).refuse_if_held()


def test_one_of_this_machine_is_looked_up(tmp_path):
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=-1)
    try:
        start = run_lock._start_of(sleeper.pid)
        other(tmp_path, pid=sleeper.pid, start=start)
        with pytest.raises(UserError, match=f"process {sleeper.pid} on "):
            RunLock(tmp_path).refuse_if_held()
        # The number of a process that has begun at another time.
        other(tmp_path, pid=sleeper.pid, start="7")
        RunLock(tmp_path).refuse_if_held()
    finally:
        sleeper.kill()
        sleeper.communicate()
    other(tmp_path, pid=sleeper.pid, start=start)
    said = []
    with RunLock(tmp_path, report=said.append):
        assert "taking over" in said[0] and str(sleeper.pid) in said[0]


def test_one_of_another_machine_is_watched(tmp_path):
    other(tmp_path, machine="elsewhere")
    beat = subprocess.Popen(
        [
            "sh",
            "-c",
            f"for i in 1 2 3 4 5 6; do sleep 0.1; "
            f"touch {tmp_path}/lock.json; done",
        ]
    )
    with pytest.raises(UserError, match="is at work in"):
        RunLock(tmp_path, report=lambda text: None).refuse_if_held()
    beat.wait()
    said = []
    begin = time.monotonic()
    with RunLock(tmp_path, report=said.append):
        assert time.monotonic() - begin > 0.3
    assert "watching its heartbeat" in said[0] and "taking over" in said[1]


def test_whoever_is_taken_over_stops(tmp_path):
    with RunLock(tmp_path) as lock:
        lock.check()
        other(tmp_path)
        lock._beat.join(5)
        with pytest.raises(UserError, match="has taken over"):
            lock.check()
    # What is another's stays.
    assert (tmp_path / "lock.json").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(UserError, match="cannot write .*lock.json"):
        with RunLock(tmp_path / "gone"):
            pass


def test_workers_do_not_lock(tmp_path):
    with RunLock(tmp_path, enabled=False):
        assert os.listdir(tmp_path) == []


def test_a_broken_lock_is_watched_too(tmp_path):
    (tmp_path / "lock.json").write_text("{")
    with RunLock(tmp_path, report=lambda text: None):
        assert json.loads((tmp_path / "lock.json").read_text())["pid"]
