"""`tfbert launch` with workers that are a few lines of Python each."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

from tfbert.errors import UserError
from trainers import launch
from trainers.distributed.members import find_cluster
from trainers.distributed.processes import Group

BEGIN = """
import os, signal, sys, time
me = int(os.environ["ME"])
def first(note):
    "Whether this is the first call with `note`."
    try:
        os.close(os.open(os.environ["FOLDER"] + note, os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False
"""


@pytest.fixture
def group(tmp_path):
    """Returns a function that runs a script as two workers."""

    def run(script, max_restarts=2, grace_seconds=20.0, ask=None):
        said = []
        made = Group(
            [sys.executable, "-uc", BEGIN + script],
            lambda: [
                {"ME": str(i), "FOLDER": f"{tmp_path}/"} for i in range(2)
            ],
            max_restarts,
            grace_seconds,
            said.append,
        )
        if ask is not None:
            threading.Thread(target=ask, args=(made, said)).start()
        return made.run(), said

    return run


def test_output_has_the_worker_before_it(group):
    status, said = group("print('one'); print('two', me, file=sys.stderr)")
    assert status == 0
    assert sorted(said) == ["[0] one", "[0] two 0", "[1] one", "[1] two 1"]


def test_a_killed_worker_is_the_cause_and_all_are_started_again(group):
    status, said = group(
        """
if first(f"start-{me}"):
    if me == 1:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1.5)
    sys.exit(5)
print("done")
"""
    )
    assert status == 0
    assert sorted(said) == [
        "[0] done",
        "[1] done",
        "worker 1 was killed by SIGKILL; restart 1 of 2, from the newest "
        "checkpoint",
    ]


def test_a_stalled_worker_is_killed(group, monkeypatch):
    monkeypatch.setattr("trainers.distributed.processes.ECHO_SECONDS", 0.5)
    status, said = group(
        """
if first(f"start-{me}"):
    if me == 0:
        sys.exit(5)
    os.kill(os.getpid(), signal.SIGSTOP)
"""
    )
    assert status == 0
    assert said[0].startswith("killing worker 1: still there after 0.5 s")
    assert re.match(r"worker 0 .* another worker was lost or stalled", said[1])


def test_restarts_have_an_end_and_the_status_is_the_workers(group):
    status, said = group("sys.exit(7)", max_restarts=1)
    assert status == 7
    assert "restart 1 of 1" in said[0]
    assert "ended after 1 restarts (--max_restarts)" in said[1]
    status, said = group("os.kill(os.getpid(), signal.SIGKILL)", 0)
    assert status == 137


@pytest.mark.parametrize("status", [2, 3, 4, 143])
def test_what_would_end_the_same_way_is_not_started_again(group, status):
    found, said = group(f"sys.exit({status})")
    assert found == status
    assert said[-1].endswith(f"ended with status {status}; not started again")


def test_signals_are_passed_on(group):
    def ask(made, said):
        while len(said) < 2:
            time.sleep(0.01)
        made._pass_on(signal.SIGTERM, None)

    status, said = group(
        """
def told(*_):
    print("saved")
    sys.exit(143)
signal.signal(signal.SIGTERM, told)
print("ready")
time.sleep(60)
""",
        ask=ask,
    )
    assert status == 143
    assert sorted(said) == [
        "[0] ready",
        "[0] saved",
        "[1] ready",
        "[1] saved",
    ]


def test_workers_end_with_a_killed_launcher(tmp_path):
    script = tmp_path / "launcher.py"
    script.write_text(
        "import sys\n"
        "from trainers.distributed.processes import Group\n"
        "Group([sys.executable, '-uc', 'import os, time; "
        "print(os.getpid()); time.sleep(60)'], lambda: [{}], 0, 5.0,\n"
        "      lambda line: print(line, flush=True)).run()\n"
    )
    launcher = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    worker = int(launcher.stdout.readline().removeprefix("[0] "))
    launcher.kill()
    launcher.communicate()
    for _ in range(100):
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        with open(f"/proc/{worker}/stat") as stream:
            if stream.read().split(") ")[1][0] == "Z":
                return
        time.sleep(0.1)
    pytest.fail("the worker outlives its launcher")


def test_each_worker_gets_its_place_ports_and_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    environments = launch.environments(2)
    clusters = [find_cluster(variables) for variables in environments]
    assert [cluster.index for cluster in clusters] == [0, 1]
    assert clusters[0].workers == clusters[1].workers
    assert clusters[0].monitor == clusters[1].monitor
    assert len({*clusters[0].workers, clusters[0].monitor}) == 3
    gpus = [variables["CUDA_VISIBLE_DEVICES"] for variables in environments]
    assert gpus == ["4,5", "6,7"]
    with pytest.raises(UserError, match="divides 4 GPUs"):
        launch.environments(3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES" not in launch.environments(2)[0]
    json.loads(launch.environments(1)[0]["TF_CONFIG"])


def test_the_separator_may_be_left_out():
    argv = "--workers 3 pretrain --config x --workers 2".split()
    parsed = launch.build_parser().parse_args(launch.with_separator(argv))
    assert parsed.workers == 3
    assert parsed.command == argv[2:]
    given = "--workers 3 -- pretrain -- finetune".split()
    assert launch.with_separator(given) == given


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--workers 0 -- pretrain", "--workers from 1, got 0"),
        ("--max_restarts -1 -- pretrain", "--max_restarts from 0"),
        ("--grace_seconds 0 -- pretrain", "--grace_seconds above 0, got 0"),
        ("-- predict x", "pretrain or finetune after --, got 'predict'"),
    ],
)
def test_mistakes(argv, message):
    with pytest.raises(UserError, match=re.escape(message)):
        launch.main(argv.split())
