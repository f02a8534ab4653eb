"""One trainer for one folder; see tests/faults for real processes."""

import errno
import json
import multiprocessing
import os
import subprocess
import sys
import time

import pytest

from tfbert.errors import UserError
from trainers.files import run_lock
from trainers.files.run_lock import RunLock


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
        with pytest.raises(
            UserError, match=f"process {sleeper.pid} on "
        ) as error:
            RunLock(tmp_path).refuse_if_held()
        assert error.value.status == 2
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
    with pytest.raises(UserError, match="is at work in") as error:
        RunLock(tmp_path, report=lambda text: None).refuse_if_held()
    # Schedulers start again what ends so: its node may be out of reach.
    assert error.value.status == 6
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


def start(folder, barrier, told, end):
    barrier.wait()
    try:
        with RunLock(folder, report=lambda _: None):
            told.put("at work")
            end.wait()
    except UserError as error:
        told.put(str(error))


@pytest.mark.parametrize("left", [None, {}, {"machine": None}])
def test_of_many_starts_at_once_one_is_at_work(left, tmp_path):
    context = multiprocessing.get_context("fork")
    number = 4
    for round in range(5):
        folder = tmp_path / str(round)
        folder.mkdir()
        if left is not None:
            other(folder, **left)
        barrier, told = context.Barrier(number), context.Queue()
        end = context.Event()
        starts = [
            context.Process(target=start, args=(folder, barrier, told, end))
            for _ in range(number)
        ]
        for process in starts:
            process.start()
        said = [told.get(timeout=30) for _ in range(number)]
        end.set()
        for process in starts:
            process.join(30)
        assert said.count("at work") == 1, said
        assert sum("another trainer" in text for text in said) == number - 1
        assert os.listdir(folder) == []


def test_a_lock_that_came_between_look_and_rename_is_put_back(tmp_path):
    other(tmp_path)
    lock = RunLock(tmp_path)
    stale = lock._owner()
    other(tmp_path, pid=os.getppid())
    assert not lock._set_aside(stale)
    assert lock._owner()["pid"] == os.getppid()
    assert os.listdir(tmp_path) == ["lock.json"]
    (tmp_path / "lock.json").unlink()
    assert lock._set_aside(stale)


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refused(*_):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with RunLock(tmp_path) as lock:
        assert lock._owner() == lock._mine
        assert os.listdir(tmp_path) == ["lock.json"]
        assert not RunLock(tmp_path)._write_new()
        assert os.listdir(tmp_path) == ["lock.json"]
