"""Mistakes on the command line and limits of the machine: one message."""

import errno
import logging
import os
import subprocess
import sys

import pytest

from tfbert.errors import UserError
from trainers import command, finetune, pretrain, records
from trainers.files import exit_status


@pytest.mark.parametrize(
    "written,meant",
    [
        # The beginning of a name is not taken for the name.
        ("optimization.learning_rat", "optimization.learning_rate"),
        ("optimization.learnig_rate", "optimization.learning_rate"),
        ("model.hiden_size", "model.hidden_size"),
        ("batch_size", "optimization.batch_size"),
        # By meaning: what it is called elsewhere.
        ("lr", "optimization.learning_rate"),
        ("max-steps", "optimization.steps"),
        ("bs", "optimization.batch_size"),
        ("per_device_train_batch_size", "optimization.batch_size"),
        ("output_dir", "runtime.run_dir"),
        ("optimization.lr", "optimization.learning_rate"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest(written, meant):
    with pytest.raises(UserError, match=f"nearest setting .* is '{meant}'"):
        pretrain.build_parser().parse_args([f"--{written}", "3"])


def test_too_few_open_files_are_explained(capsys):
    def verb(argv):
        raise OSError(errno.EMFILE, "Too many open files", "records/x")

    assert command.run(verb) == exit_status.USER_ERROR
    assert "ulimit -n 4096" in capsys.readouterr().err


def test_other_errors_of_the_system_keep_their_traceback():
    def verb(argv):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        command.run(verb)


def verbs():
    """Verb -> its parser, and arguments without which it does not parse."""
    from trainers import (
        convert,
        demo,
        evaluate,
        export,
        preview,
        report,
        vocab,
    )

    yield pretrain, []
    yield finetune, []
    yield evaluate, ["run", "--data", "x"]
    yield export, ["run", "--output", "x"]
    yield convert, ["source", "--output", "x"]
    yield report, ["run"]
    yield vocab, ["--input", "x", "--output", "x"]
    yield records, ["--input", "x", "--vocab", "x", "--output", "x"]
    yield preview, ["records"]
    yield demo, []


def texts(verb, needed):
    """(parser, settings that are text) of a verb."""
    parser = verb.build_parser()
    parsed = parser.parse_args(needed)
    wanted = {str, str | None}
    for action in parser._actions:
        hint = getattr(action, "_typehint", None) or action.type
        is_text = hint in wanted or isinstance(parsed.get(action.dest), str)
        if is_text and not action.choices and action.dest != "config":
            yield parser, action


def test_an_address_in_the_place_of_a_path_is_refused_by_every_verb():
    tried = 0
    for verb, needed in verbs():
        for parser, action in texts(verb, needed):
            if action.dest in parser.may_be_addresses:
                continue
            if not action.option_strings:
                given = ["gs://b/x", *needed[1:]]
            else:
                given = [*needed, f"{action.option_strings[0]}=gs://b/x"]
            # A setting of a few values refuses it as it refuses any other.
            wanted = "wanted a path of this machine|to be one of"
            with pytest.raises(UserError, match=wanted):
                parser.parse_args(given)
            tried += 1
    assert tried > 40


@pytest.mark.parametrize(
    "name",
    ["runtime.run_dir", "data.vocab", "data.word_list", "model.init_from"],
)
def test_an_address_in_a_file_of_settings_is_refused(name, tmp_path):
    section, leaf = name.split(".")
    config = tmp_path / "config.yaml"
    config.write_text(f"{section}:\n  {leaf}: gs://bucket/x\n")
    with pytest.raises(UserError, match=f"in {name}, got gs://bucket/x"):
        pretrain.build_parser().parse_args(["--config", str(config)])


def test_records_are_read_where_they_lie():
    mixture = '[{"records": "gs://a"}, {"records": "gs://b", "weight": 2}]'
    settings = pretrain.build_parser().parse_args(
        [
            *("--data.records", "gs://a", "--data.held_out", "gs://b"),
            *("--data.mixture", mixture, "--runtime.tpu", "grpc://10.0.0.2"),
        ]
    )
    assert settings.data.records == "gs://a"


ENDS = """
import atexit, os, sys, threading
from trainers import command
from tfbert.errors import UserError

class Hangs:
    "As a dataset whose batches are in flight: gone when they are made."
    def __del__(self):
        threading.Event().wait()

hangs = Hangs()
command.LONGEST_END = 1.0

def verb(argv):
    how = os.environ["HOW"]
    if how == "thread":
        threading.Thread(target=threading.Event().wait).start()
    if how == "hook":
        atexit.register(threading.Event().wait)
    if how == "signal":
        raise SystemExit(143)
    if how == "fault":
        raise ZeroDivisionError("a fault")
    print("flushed", flush=False)
    raise UserError("a mistake")

atexit.register(lambda: print("told of the end"))
sys.exit(command.script(verb))
"""


@pytest.mark.parametrize(
    "how,status,said",
    [
        ("mistake", 2, "error: a mistake"),
        ("signal", 143, ""),
        ("fault", 1, "ZeroDivisionError: a fault"),
        ("thread", 2, "error: a mistake"),
        ("hook", 2, "error: a mistake"),
    ],
)
def test_a_failed_process_ends_with_its_status(how, status, said):
    """Whatever is still in flight, and whoever does not end."""
    ended = subprocess.run(
        [sys.executable, "-c", ENDS],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "HOW": how},
    )
    assert ended.returncode == status
    assert said in ended.stderr
    assert ("Traceback" in ended.stderr) == (how == "fault")
    if how in ("mistake", "signal", "fault"):
        assert "told of the end" in ended.stdout
    assert ("flushed" in ended.stdout) == (status == 2)


def test_a_verb_prints_what_the_packages_log_once_and_as_it_is(capsys):
    log = logging.getLogger("trainers.somewhere")
    for _ in range(2):
        command.make_parser("some", "does", "an example")
    log.info("100 % of [bold]words[/bold]")
    log.warning("rows are missing")
    logging.getLogger("elsewhere").info("not ours")
    printed = capsys.readouterr().out
    assert printed == (
        "100 % of [bold]words[/bold]\nwarning: rows are missing\n"
    )


@pytest.mark.long
def test_the_rooms_below_the_verbs_print_nothing():
    code = (
        "import logging; from trainers.distributed import strategies\n"
        "strategies.make_distribution()\n"
        "logging.basicConfig(level=logging.INFO, format='%(name)s')\n"
        "strategies.make_distribution()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert done.stdout == "", done.stderr
    assert done.stderr.splitlines()[-1] == "trainers.distributed.strategies"


def test_what_is_stopped_ends_with_its_status():
    with pytest.raises(SystemExit) as end, command.stopped_by_signals():
        raise exit_status.Stopped("at step 3", exit_status.TERMINATED)
    assert end.value.code == 143
