"""What importing TensorFlow may write, in processes of their own."""

import os
import subprocess
import sys

import pytest

QUIET = """
from tfbert.startup_notices import hide_startup_notices
hide_startup_notices()
hide_startup_notices()
"""
# Stands in for TensorFlow: writes as its libraries do, below Python.
PACKAGE = """
import os
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is\\n")
os.write(2, b"I0000 00:00:1796058445.504277 11175 port.cc:153] oneDNN on\\n")
os.write(2, b"E0000 00:00:1796058445.504277 11175 x.cc:1] a real error\\n")
os.write(2, b"no newline")
if os.environ.get("BROKEN"):
    raise ImportError("no such symbol")
name = __spec__.name
"""


def run(code, **environment):
    found = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        timeout=120,
    )
    return found.stdout, found.stderr


@pytest.fixture
def stand_in(tmp_path):
    (tmp_path / "tensorflow").mkdir()
    (tmp_path / "tensorflow" / "__init__.py").write_text(PACKAGE)
    root = os.path.abspath(os.path.join(__file__, "../../.."))
    return {"PYTHONPATH": f"{tmp_path}{os.pathsep}{root}"}


@pytest.mark.long
def test_the_real_import_is_silent():
    code = QUIET + "import tensorflow; print(tensorflow.constant(3).numpy())"
    assert run(code) == ("3\n", "")


def test_errors_pass_and_notices_do_not(stand_in):
    out, err = run(QUIET + "import tensorflow as t; print(t.name)", **stand_in)
    assert out == "tensorflow\n"
    assert err.splitlines() == [
        "E0000 00:00:1796058445.504277 11175 x.cc:1] a real error",
        "no newline",
    ]


def test_a_failing_import_is_told(stand_in):
    _, err = run(QUIET + "import tensorflow", BROKEN="1", **stand_in)
    assert "a real error" in err and "ImportError: no such symbol" in err


def test_who_wants_the_notices_gets_them(stand_in):
    wanted = {**stand_in, "TF_CPP_MIN_LOG_LEVEL": "0"}
    _, err = run(QUIET + "import tensorflow", **wanted)
    assert "oneDNN on" in err
