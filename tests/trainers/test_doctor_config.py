"""What `tfbert doctor` says of a config that it cannot read."""

import pytest

from tfbert.errors import UserError
from trainers import doctor


@pytest.mark.parametrize(
    "content,wanted",
    [
        (None, "wanted a config file"),
        ("a: [", "is not YAML"),
        ("- a\n", "wanted sections"),
    ],
)
def test_files_that_are_no_config(tmp_path, content, wanted):
    path = tmp_path / "config.yaml"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=wanted):
        doctor.read(str(path))


def test_a_change_needs_a_value():
    with pytest.raises(UserError, match="wanted NAME=VALUE"):
        doctor.read(None, ["optimization.steps"])
