import subprocess
import sys

import pytest

from trainers import cli, command


def test_the_command_line_prints_errors_and_help(capsys):
    assert command.run(cli.dispatch, ["pretran"]) == 2
    assert "Did you mean 'pretrain'?" in capsys.readouterr().err
    assert command.run(cli.dispatch, ["--help"]) == 0
    said = capsys.readouterr().out
    assert all(verb in said for verb in cli.VERBS)
    assert command.run(cli.dispatch, ["--version"]) == 0
    assert capsys.readouterr().out.startswith("tfbert ")
    assert command.run(cli.dispatch, ["pretrain", "--seed", "x"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said
    with pytest.raises(SystemExit):
        cli.dispatch(["pretrain", "--help"])
    assert "Example:" in capsys.readouterr().out

    def interrupted(_):
        raise KeyboardInterrupt

    assert command.run(interrupted) == 130


def test_no_help_waits_for_tensorflow():
    code = """
import contextlib, io, sys
from trainers import cli
for verb in cli.VERBS:
    text = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        cli.dispatch([verb, "--help"])
    heavy = {"tensorflow", "keras", "matplotlib"} & set(sys.modules)
    print(verb, "Example:" in text.getvalue(), *heavy)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines() == [f"{verb} True" for verb in cli.VERBS]
