import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tfbert.errors import UserError
from tfrecords.build import pool
from tfrecords.build.chunks import Chunk, Recipe
from tfrecords.text.corpus import Corpus, Reading


def test_little_text_takes_few_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "_BYTES_WORTH_A_PROCESS", 10)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3))
    path = tmp_path / "a.txt"
    for size, processes in ((1, 1), (10, 1), (11, 2), (21, 3), (999, 3)):
        path.write_text("x" * size)
        text = Corpus([str(path)], Reading(), None)
        assert pool.enough(text) == processes
    assert pool.enough(Corpus(["-"], Reading(), None)) == 3


def test_cores_where_affinity_is_unknown(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert pool.cores() == 7


@pytest.fixture
def recipe(tmp_path):
    vocab = tmp_path / "vocab.txt"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the"]
    vocab.write_text("\n".join(tokens) + "\n")
    return Recipe(str(vocab), True, 32, "masked_lm", True, 0)


CHUNK = Chunk("train", 0, [b"the"], [("f", 1, 0)])


@pytest.mark.parametrize(
    "death, message",
    [
        (signal.SIGKILL, "killed .SIGKILL., most likely for want of memory"),
        (signal.SIGABRT, "a worker process died of signal 6 .Aborted"),
    ],
)
def test_the_death_of_a_worker_is_told(recipe, death, message):
    def chunks():
        yield CHUNK
        # The first; which others there are depends on the machine.
        os.kill(multiprocessing.active_children()[0].pid, death)
        time.sleep(0.5)
        yield CHUNK

    with pytest.raises(UserError, match=message):
        with pool.workers(recipe, 2) as results_of:
            list(results_of(chunks()))


def test_a_worker_that_cannot_start_does_not_blame_memory(recipe):
    gone = dataclasses.replace(recipe, vocabulary="gone")
    with pytest.raises(UserError, match="ended by itself .*printed above"):
        with pool.workers(gone, 2) as results_of:
            list(results_of([CHUNK]))


@pytest.mark.long
def test_a_script_without_a_guard_builds(tmp_path, recipe):
    """Workers do not run the user's script once more."""
    (tmp_path / "a.txt").write_text("the the")
    (tmp_path / "script.py").write_text(
        "import sys\n"
        "from tfrecords.build.build import BuildSettings, build_records\n"
        "print('once')\n"
        f"build_records(BuildSettings(['a.txt'], {recipe.vocabulary!r}, 'out',"
        " processes=2))\n"
        "print('tensorflow' in sys.modules)\n"
    )
    run = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(pool.__file__).parents[3]),
        },
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout == "once\nFalse\n"
    assert (tmp_path / "out" / "manifest.json").exists()
