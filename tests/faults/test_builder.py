"""Builders of records that are killed, and text that is made to hurt."""

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
import zstandard

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *LETTERS]
TOKENS += [f"##{letter}" for letter in LETTERS]


def start(arguments, **how):
    return subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, text=True, **how
    )


def below(pid):
    """The processes that descend from one."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *below(child)]
    return found


def alive(pids):
    """Those that run; a zombie is waiting for its parent only."""
    there = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        if state.split()[0] != "Z":
            there.append(pid)
    return there


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def builder(tmp_path):
    """(command, a pipe that it reads text from for ever)."""
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    os.mkfifo(tmp_path / "text")
    command = ["-m", "trainers.records", "--input", str(tmp_path / "text")]
    command += ["--vocab", str(tmp_path / "vocab.txt"), "--processes", "2"]
    command += ["--output", str(tmp_path / "records"), "--shard_rows", "64"]
    return command, tmp_path / "text"


def killed(builder, number):
    """Runs a builder until it has written rows, and sends it a signal."""
    command, pipe = builder
    process = start(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    # What is still in the buffer has no reader at the end.
    with contextlib.suppress(BrokenPipeError), pipe.open("w") as stream:
        for count in range(1_000_000):
            stream.write(
                f"{'some text ' * 20} {LETTERS[count % 26]} {count}\n\n"
            )
            if list(pipe.parent.glob(".building-*/*.tfrecord")):
                break
        workers = below(process.pid)
        assert len(workers) >= 2
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)
    wait_for(lambda: not alive(workers), 20)
    return process.returncode, said


def test_workers_end_with_their_builder(builder):
    """SIGKILL leaves the folder in the making to the next start."""
    code, _ = killed(builder, signal.SIGKILL)
    assert code == -signal.SIGKILL
    folder = builder[1].parent
    assert (
        list(folder.glob(".building-*")) and not (folder / "records").exists()
    )
    process = start(builder[0])
    with builder[1].open("w") as stream:
        stream.write("some other text\n")
    assert process.wait(120) == 0
    assert not list(folder.glob(".building-*"))
    manifest = json.loads((folder / "records" / "manifest.json").read_text())
    assert manifest["documents"] == 1


def test_sigterm_leaves_nothing(builder):
    code, said = killed(builder, signal.SIGTERM)
    assert (code, "nothing was left" in said) == (143, True), said
    assert sorted(os.listdir(builder[1].parent)) == ["text", "vocab.txt"]


READ = """
import sys
from tfbert.errors import UserError
from tfrecords.text.corpus import Corpus, Reading
path, on_bad_text = sys.argv[1:]
rejected = []
text = Corpus(
    [path], Reading(on_bad_text=on_bad_text), lambda *w: rejected.append(w)
)
try:
    size = sum(len(document.text) for document in text)
except UserError as error:
    sys.exit(str(error))
print(size, [what[::2] for what in rejected])
# Not ru_maxrss, which a process inherits from the one that started it.
with open("/proc/self/status", encoding="ascii") as stream:
    [line] = [row for row in stream if row.startswith("VmHWM:")]
print(int(line.split()[1]) >> 10)
"""


def read(path, on_bad_text="error"):
    """(what reading says, its peak of memory in MB)."""
    run = subprocess.run(
        [sys.executable, "-c", READ, str(path), on_bad_text],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_AS, (2 << 30, 2 << 30)
        ),
    )
    if run.returncode:
        assert "Traceback" not in run.stderr
        return run.stderr.strip(), 0
    said, peak = run.stdout.splitlines()
    return said, int(peak)


def written(path, *parts):
    with path.open("wb") as stream:
        with zstandard.ZstdCompressor().stream_writer(stream) as writer:
            for part in parts:
                writer.write(part)
    assert path.stat().st_size < 1 << 20
    return path


def test_a_frame_of_512_mb_takes_little(tmp_path):
    block = (b"some words of text " * 55 + b"\n") * 1000
    path = written(tmp_path / "a.txt.zst", *[block] * 512)
    said, peak = read(path)
    assert int(said.split()[0]) > 511 * len(block)
    assert peak < 300


def test_a_line_of_512_mb_is_one_message(tmp_path):
    block = b"some words of text " * 55_000
    good = b'{"text": "good"}\n'
    path = written(
        tmp_path / "a.jsonl.zst",
        good,
        b'{"text": "',
        *[block] * 512,
        b'"}\n',
        good,
    )
    said, _ = read(path)
    assert "a.jsonl.zst, line 2: it is longer than 16 MiB" in said
    said, peak = read(path, "skip")
    assert said == "8 [('line_too_long', 2)]" and peak < 300


def test_a_line_as_long_as_is_allowed(tmp_path):
    block = b"ab\\n" * 250_000
    path = written(
        tmp_path / "a.jsonl.zst",
        '{"text": "\U0001f600'.encode(),
        *[block] * 15,
        b'"}\n',
    )
    said, peak = read(path)
    assert said.endswith("[]") and peak < 300


@pytest.mark.parametrize("value", ["[" * 100_000, "9" * 5_000])
def test_json_that_is_made_to_hurt(tmp_path, value):
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"text": "good"}}\n{{"text": {value}}}\n')
    said, _ = read(path)
    assert "a.jsonl, line 2: it is not JSON" in said
    assert read(path, "skip")[0] == "4 [('bad_json', 2)]"


_OFTEN = """
import sys
from tfrecords.build import resuming
from trainers import command, records
resuming.SECONDS = 0.2
sys.exit(command.script(records.main))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_build_goes_on(tmp_path, number):
    """It ends with the same bytes, and makes no row twice that is certain."""
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    with open(tmp_path / "text", "w") as stream:
        for count in range(120_000):
            stream.write(f"{'some text ' * (count % 20)} {count}\n\n")
    options = ["--input", tmp_path / "text", "--vocab", tmp_path / "vocab.txt"]
    options += ["--processes", "2", "--max_length", "16"]
    options += ["--shard_rows", "20000", "--held_out", "0.1", "--output"]
    assert start(["-c", _OFTEN, *options, tmp_path / "whole"]).wait(300) == 0
    output = tmp_path / "records"
    state = tmp_path / ".building-records" / "unfinished.json"
    kills = chunks = 0

    def further():
        with contextlib.suppress(OSError):
            return json.loads(state.read_text())["chunks"] > chunks
        return False

    for last in (False, False, True):
        process = start(
            ["-c", _OFTEN, *options, output],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        while not last and process.poll() is None and not further():
            time.sleep(0.02)
        if not last:
            process.send_signal(number)
        said, _ = process.communicate(timeout=300)
        assert kills == 0 or "Going on with what" in said
        if process.returncode:
            kills += 1
            assert process.returncode == (143 if number == 15 else -9), said
            assert number == 9 or "the same command goes on" in said
            assert not output.exists()
            chunks = json.loads(state.read_text())["chunks"]
    assert kills == 2 and output.exists()
    wanted = {p.name: p.read_bytes() for p in (tmp_path / "whole").rglob("*.*")}
    found = {p.name: p.read_bytes() for p in output.rglob("*.*")}
    assert found == wanted
