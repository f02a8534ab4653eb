"""Mistakes on the command line and limits of the machine: one message."""

import errno

import pytest

from tfbert.errors import UserError
from trainers import command, pretrain


@pytest.mark.parametrize(
    "written,meant",
    [
        # The beginning of a name is not taken for the name.
        ("optimization.learning_rat", "optimization.learning_rate"),
        ("optimization.learnig_rate", "optimization.learning_rate"),
        ("model.hiden_size", "model.hidden_size"),
        ("batch_size", "optimization.batch_size"),
    ],
)
def test_a_misspelt_setting_is_refused_with_the_nearest(written, meant):
    with pytest.raises(UserError, match=f"nearest setting .* is '{meant}'"):
        pretrain.build_parser().parse_args([f"--{written}", "3"])


def test_too_few_open_files_are_explained(capsys):
    def verb(argv):
        raise OSError(errno.EMFILE, "Too many open files", "records/x")

    assert command.run(verb) == command.STATUS_USER_ERROR
    assert "ulimit -n 4096" in capsys.readouterr().err


def test_other_errors_of_the_system_keep_their_traceback():
    def verb(argv):
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        command.run(verb)
