"""`tfbert predict` of a file, killed, without room, and in many processes."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
WORDS = "a warm funny film story was dull very bad good plots".split()
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(WORDS)]
ROWS = 4000
_OFTEN = """
import sys
from trainers import command, predict
from trainers.reports.answered_files import part_file
part_file.SECONDS, part_file._SHARE = 0.1, 1
sys.exit(command.script(predict.main))
"""
_EXPORT = """
import sys
from tfbert.config import BertConfig
from tfbert.serving.graphs.classification import classifier
from tfbert.serving.package import versions
from tfbert.tasks.classification import ClassificationTask
from tfbert.text.tokenizer import Tokenizer
words = sys.argv[2].split()
config = BertConfig(
    vocab_size=len(words), hidden_size=32, num_hidden_layers=2,
    num_attention_heads=2, intermediate_size=64, max_position_embeddings=64,
)
labels = ["bad", "good"]
task = ClassificationTask(config, 2, seed=1)
served = classifier(task, Tokenizer(words), labels, 64)
card = {"kind": "classification", "inputs": ["text"], "labels": labels}
card |= {"text_columns": ["text"], "max_length": 64}
versions.write_version(served, sys.argv[1], card)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(export, a file of rows, the answers of an undisturbed process)."""
    folder = tmp_path_factory.mktemp("predicting")
    subprocess.run(
        [sys.executable, "-c", _EXPORT, folder / "export", " ".join(TOKENS)],
        cwd=ROOT,
        check=True,
    )
    rows = "".join(
        json.dumps(
            {
                "id": row,
                "text": " ".join(
                    WORDS[(row * 7 + word * word) % len(WORDS)]
                    for word in range(1 + row * 13 % 60)
                ),
            }
        )
        + "\n"
        for row in range(ROWS)
    )
    (folder / "rows.jsonl").write_text(rows)
    output = folder / "whole.csv"
    assert start(folder, output).wait(300) == 0
    return folder, output.read_bytes()


def start(folder, output, *options, **how):
    command = ["-c", _OFTEN, folder / "export", "--input"]
    command += [folder / "rows.jsonl", "--output", output, "--batch_size", "8"]
    return subprocess.Popen(
        [sys.executable, *command, *options], cwd=ROOT, text=True, **how
    )


def answered(output):
    """The rows that the journal is sure of."""
    with contextlib.suppress(FileNotFoundError):
        journal = json.loads(Path(f"{output}.part.json").read_text())
        return journal["state"].get("rows", 0)
    return 0


def wait_for(condition, process, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_goes_on_after_kills(made, tmp_path, number):
    folder, wanted = made
    output = tmp_path / "answers.csv"
    kills = before = 0
    for last in (False, False, True):
        process = start(folder, output, stderr=subprocess.PIPE)
        while not last and process.poll() is None:
            if answered(output) > before:
                process.send_signal(number)
                break
            time.sleep(0.02)
        _, said = process.communicate(timeout=300)
        if process.returncode:
            kills += 1
            assert process.returncode == (143 if number == 15 else -9), said
            assert not output.exists() and answered(output) > before
            before = answered(output)
        else:
            break
    assert kills >= 1
    assert output.read_bytes() == wanted
    assert os.listdir(tmp_path) == ["answers.csv"]


def test_a_file_that_may_not_grow(made, tmp_path):
    folder, wanted = made
    output = tmp_path / "answers.csv"

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

    process = start(folder, output, stderr=subprocess.PIPE, preexec_fn=limit)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 4, said
    assert "What was made is kept: make room, and give the same" in said
    assert "Traceback" not in said and 0 < answered(output) < ROWS
    assert start(folder, output).wait(300) == 0
    assert output.read_bytes() == wanted


def test_a_worker_that_is_killed(made, tmp_path):
    folder, _ = made
    output = tmp_path / "answers.csv"
    process = start(folder, output, "--workers", "2", stderr=subprocess.PIPE)
    wait_for(lambda: answered(output) > 0, process)
    below = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = [
        int(worker)
        for child in below.read_text().split()
        for worker in Path(f"/proc/{child}/task/{child}/children")
        .read_text()
        .split()
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 2, said
    assert "a worker process was killed (SIGKILL)" in said
    assert "Try fewer --workers (now 2)" in said
    assert start(folder, output, "--workers", "2").wait(300) == 0
    lines = output.read_text().splitlines()[1:]
    assert [int(line.split(",")[0]) for line in lines] == list(range(ROWS))
