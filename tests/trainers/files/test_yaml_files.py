"""Files that somebody broke: one message that names them, never a traceback."""

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors.numpy

from tfbert.errors import UserError
from tfbert.json_files import parse_lines
from tfbert.serving.package import versions
from tfrecords.storage.manifest import Manifest
from trainers import doctor
from trainers.checkpoints.best import read_best
from trainers.checkpoints.files import read_state
from trainers.distributed.members import read_tf_config
from trainers.files import environment, run_lock
from trainers.files.events import read_events
from trainers.files.rollbacks import Rollbacks
from trainers.files.run_folder import RunFolder, count_parameters, read_json
from trainers.files.yaml_files import parse, read_yaml
from trainers.finetuning.search import read_grid
from trainers.planning import budget, precision
from trainers.reports.errors import read_predictions
from trainers.settings.same_run import check_same_run

DEEP = "[" * 20_000
# PyYAML's time is quadratic in the depth.
DEEP_YAML = "[" * 1_000
DEEP_OBJECT = '{"a": ' * 20_000


def settings_of(folder):
    return SimpleNamespace(runtime=SimpleNamespace(run_dir=str(folder)))


def write_best(path):
    array = {"a": np.zeros(1, np.float32)}
    safetensors.numpy.save_file(array, path, {"validation": DEEP})


def read_header(path):
    header = path.read_bytes()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    count_parameters(path)


# Name of the file, and who reads it.
READERS = [
    ("run.json", lambda path: RunFolder(path.parent).about),
    ("config.json", lambda path: RunFolder(path.parent).config),
    ("environment.json", lambda path: RunFolder(path.parent).environment),
    ("settings.yaml", lambda path: RunFolder(path.parent).settings),
    ("evaluation-a.json", lambda path: RunFolder(path.parent).evaluations),
    ("x.json", read_json),
    ("settings.yaml", lambda path: check_same_run(None, path.parent)),
    (
        "settings.yaml",
        lambda path: budget.steps_of_run(settings_of(path.parent)),
    ),
    ("config.yaml", lambda path: doctor.read(str(path))),
    ("x.yaml", read_yaml),
    ("checkpoint.json", lambda path: read_state(path.parent)),
    ("rollbacks.json", lambda path: Rollbacks(path.parent)),
    ("model.safetensors", read_header),
    ("manifest.json", lambda path: Manifest.read(path.parent)),
    (versions.CARD, lambda path: versions.read_card(path.parents[1])),
]


@pytest.mark.parametrize("text", [DEEP, DEEP_OBJECT], ids=["[", "{"])
@pytest.mark.parametrize(("name", "read"), READERS)
def test_files_nested_too_deeply(name, read, text, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text[:1000] if path.suffix == ".yaml" else text)
    with pytest.raises(UserError) as error:
        read(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 600


def test_others_nested_too_deeply(tmp_path):
    best = tmp_path / "best.safetensors"
    write_best(best)
    with pytest.raises(UserError, match="best.safetensors is damaged"):
        read_best(best)
    with pytest.raises(UserError, match="^TF_CONFIG .* nested too deeply"):
        read_tf_config({"TF_CONFIG": DEEP_OBJECT})
    with pytest.raises(UserError, match="^TF_CONFIG is not JSON"):
        read_tf_config({"TF_CONFIG": "9" * 5000})
    with pytest.raises(UserError, match="wanted --sweep"):
        read_grid("a=" + DEEP_YAML)


def test_what_a_broken_file_must_not_stop(tmp_path):
    """A start of a run, its log, and a lock of somebody's."""
    path = tmp_path / "broken.json"
    path.write_text(DEEP)
    assert environment._earlier_starts(path) == []
    assert run_lock._read_owner(path) == {}
    (tmp_path / "settings.yaml").write_text(DEEP_YAML)
    assert precision._of_run(tmp_path) is None
    rows = [{"step": 1, "event": "odd\u2028line"}, {"step": 2, "event": "a"}]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    text = "\n".join([lines[0], DEEP, "[3]", '{"cut', lines[1], ""])
    assert parse_lines(text) == rows
    for name in ("events.jsonl", "metrics.jsonl", "predictions-a.jsonl"):
        (tmp_path / name).write_text(text, "utf-8")
    assert read_events(tmp_path) == rows
    assert RunFolder(tmp_path).metrics == rows
    assert read_predictions(tmp_path / "predictions-a.jsonl") == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not YAML: while parsing"),
        (b"a: \xff", "is not YAML: .*utf-8"),
        ("a: 2020-13-01", "is not YAML: month must be"),
        ("a: !!bool maybe", "is not YAML: 'maybe'"),
        ("a: !!timestamp x", "is not YAML"),
        (DEEP_YAML, "is not YAML that .* nested too deeply"),
    ],
)
def test_texts_that_are_not_yaml(text, message, tmp_path):
    with pytest.raises(UserError, match="the text " + message):
        parse(text, "the text")
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        read_yaml(path)
    assert str(error.value).startswith(str(path))


def test_what_is_read(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("é: [1, null]", "utf-8")
    assert read_yaml(path) == {"é": [1, None]}
    with pytest.raises(UserError, match="cannot read .*none.yaml: No such"):
        read_yaml(tmp_path / "none.yaml")
