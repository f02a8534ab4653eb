"""Standard output that goes away, fills up or lacks a character."""

import errno
import io
import os
import subprocess
import sys
import types

import pytest
import rich.table

from trainers.files import console
from trainers.files.console import (
    Console,
    OutputError,
    Stream,
    safe_output,
    warn,
)
from trainers.files.events import Events, read_events
from trainers.watching import metrics_log
from trainers.watching.metrics_log import LostOutput


class Failing(io.StringIO):
    """A stream that fails, until `error` is taken away."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        if self.error is not None:
            raise self.error
        return super().write(text)


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"),
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EIO, "Input/output error"),
    ValueError("I/O operation on closed file."),
]


@pytest.mark.parametrize("error", ERRORS, ids=str)
def test_printing_raises_nothing(error):
    console = Console(file=Failing(error))
    assert console.lost is None
    console.print("some text")
    console.print(rich.table.Table("a", "b"))
    print("some text", file=console.file)
    assert console.lost is error


def test_a_disk_that_has_room_again_is_written_again():
    file = Failing(ERRORS[0])
    console = Console(file=file)
    console.print("lost")
    file.error = None
    console.print("written")
    assert file.getvalue() == "written\n"
    gone = Failing(ERRORS[1])
    console = Console(file=gone)
    console.print("lost")
    gone.error = None
    console.print("nobody reads this")
    assert gone.getvalue() == ""


def test_a_result_that_cannot_be_written_is_an_error():
    with pytest.raises(BrokenPipeError):
        Console(file=Failing(ERRORS[1])).show("answer")
    for error, reason in ((ERRORS[0], "No space left"), (ERRORS[3], "closed")):
        console = Console(file=Failing(error))
        with pytest.raises(OutputError, match=f"standard output: .*{reason}"):
            console.show_line("answer")


def test_text_is_shown_as_it_is():
    file = io.StringIO()
    console = Console(file=file, width=200)
    texts = ["a [/x] b", "[bold]x[/bold] [link", ":cat: \\[x]", "[" * 50]
    for text in texts:
        console.print(text)
    table = rich.table.Table(title="[/title]")
    table.add_column("[/head]")
    for text in texts:
        table.add_row(text)
    console.print(table)
    shown = file.getvalue()
    for text in [*texts, "[/title]", "[/head]"]:
        assert shown.count(text) >= 1
    assert shown.count(":cat:") == 2


@pytest.mark.parametrize("width", [1, 2, 5, 9])
def test_a_narrow_terminal_and_long_words(width):
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True)
    console.print("Donaudampfschifffahrtsgesellschaft " * 20)
    table = rich.table.Table("label", "count", title="a title")
    table.add_row("Donaudampfschifffahrtsgesellschaft" * 20, "1")
    console.print(table)
    assert "Donaudampfschifffahrtsgesellschaft" in file.getvalue()


def test_characters_that_the_encoding_lacks_are_escaped():
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, "ascii"))
    stream.write("très \ud800 bien 東\n")
    stream.flush()
    assert raw.getvalue() == b"tr\\xe8s \\ud800 bien \\u6771\n"
    raw = io.BytesIO()
    stream = Stream(io.TextIOWrapper(raw, "utf-8"))
    stream.writelines(["\ud800", "東\n"])
    stream.flush()
    assert raw.getvalue() == b"\\ud800\xe6\x9d\xb1\n"


def test_the_events_say_once_that_nobody_reads(tmp_path, monkeypatch):
    console = Console(file=Failing(ERRORS[0]))
    monkeypatch.setattr(metrics_log, "console", console)
    callback = LostOutput(Events(tmp_path))
    callback.set_model(types.SimpleNamespace(step=7))
    callback.on_train_begin()
    assert read_events(tmp_path) == []
    console.print("a line")
    for _ in range(3):
        callback.on_train_batch_end(0)
    (event,) = read_events(tmp_path)
    assert event["event"] == "output_lost" and event["step"] == 7
    assert event["reason"] == "No space left on device"


def test_streams_come_back_where_nothing_was_lost(capsys):
    before = sys.stdout, sys.stderr
    with safe_output():
        print("some text")
        warn("a warning")
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("some text\n", "a warning\n")


PROGRAM = """
import sys
from trainers import command
from trainers.files.console import console
from tfbert.errors import UserError

def verb(argv):
    how, = argv
    for number in range(3000):
        console.print("line", number)
    print("and Python's own")
    with open(sys.argv[2], "w") as stream:
        stream.write("done")
    if how == "result":
        console.show("answer")
    if how == "json":
        console.show_line("{}")
    if how == "mistake":
        raise UserError("a mistake")
    if how == "exit":
        raise SystemExit(143)

sys.exit(command.run(verb, sys.argv[1:2]))
"""
READERS = {
    "full": "> /dev/full",
    "head": "| head -3 > /dev/null; exit ${PIPESTATUS[0]}",
    "closed": ">&-",
    "both": "> /dev/full 2>&1",
    "all closed": "<&- >&- 2>&-",
}


CASES = [(reader, how) for reader in READERS for how in ("work", "json")]
CASES += [("full", "result"), ("full", "mistake"), ("head", "exit")]


@pytest.mark.parametrize("reader,how", CASES)
def test_the_status_is_that_of_the_work(reader, how, tmp_path):
    done = tmp_path / "done"
    wanted = {"work": 0, "mistake": 2, "exit": 143}.get(how, 4)
    if reader == "head" and wanted == 4:
        wanted = 0
    script = f'"$0" -c "$1" "$2" "$3" {READERS[reader]}'
    ended = subprocess.run(
        ["bash", "-c", script, sys.executable, PROGRAM, how, str(done)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    assert ended.returncode == wanted, ended.stderr
    # What is printed goes into no file that was opened meanwhile.
    assert done.read_text() == "done"
    lines = ended.stderr.splitlines()
    if reader in ("full", "head", "closed"):
        message = {"mistake": "a mistake", "work": None, "exit": None}.get(
            how, "the result" if wanted else None
        )
        assert len(lines) == (message is not None)
        assert message is None or message in lines[0]


def test_work_is_told_in_a_line_where_nobody_looks(capsys):
    with console.working("Counting [a]"):
        assert capsys.readouterr().out == "Counting [a] ...\n"
    assert capsys.readouterr().out == ""


def test_work_is_a_spinner_on_a_terminal(monkeypatch):
    seen = io.StringIO()
    terminal = console.Console(file=seen, force_terminal=True, width=80)
    monkeypatch.setattr(console, "console", terminal)
    with console.working("Counting [a]"):
        pass
    assert "Counting [a]" in seen.getvalue()
    assert "..." not in seen.getvalue()
