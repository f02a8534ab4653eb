import json
import pathlib
import shutil

import numpy as np
import pytest
from safetensors.numpy import save_file

from tfbert import files
from tfbert.errors import UserError
from trainers.files.run_folder import RunFolder, count_parameters, read_json


def test_a_folder_that_does_not_exist(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        RunFolder(tmp_path / "nowhere")


def test_a_folder_of_something_else(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(UserError, match="none of run.json, settings.yaml"):
        RunFolder(tmp_path)


def test_an_empty_run_has_empty_parts(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    run = RunFolder(tmp_path)
    assert run.settings == run.config == run.environment == run.manifest == {}
    assert run.metrics == run.checkpoints == []
    assert run.evaluations == {}
    assert run.num_parameters is None and run.records is None


def test_parts_of_a_run(tmp_path):
    run_dir, records = tmp_path / "run", tmp_path / "records"
    checkpoint = run_dir / "checkpoints" / "step-00000020"
    for folder in (checkpoint, records):
        folder.mkdir(parents=True)
    (run_dir / "checkpoints" / ".tmp-x").mkdir()
    (run_dir / "checkpoints" / "step-00000010").mkdir()
    tensors = {"a": np.zeros((3, 4), "float32"), "b": np.float32([1])}
    save_file(tensors, checkpoint / "model.safetensors")
    (run_dir / "settings.yaml").write_text(f"data:\n  records: {records}\n")
    (records / "manifest.json").write_text('{"num_rows": 7}')
    (run_dir / "evaluation-test.json").write_text('{"accuracy": 1}')
    row = {"step": 1, "split": "train"}
    (run_dir / "metrics.jsonl").write_text(
        f'{json.dumps(row)}\n\n[1]\n{{"step": "x"}}\n{{"step": 2, "sp'
    )
    run = RunFolder(run_dir)
    assert [c.step for c in run.checkpoints] == [10, 20]
    assert run.checkpoints[1].num_bytes > 13 * 4
    assert run.num_parameters == 13
    assert run.manifest == {"num_rows": 7}
    assert run.rows("train") == [row] and run.rows("validation") == []
    assert run.evaluations == {"evaluation-test.json": {"accuracy": 1}}


def test_the_newest_checkpoint_may_lack_its_weights(tmp_path):
    (tmp_path / "checkpoints" / "step-00000010").mkdir(parents=True)
    (tmp_path / "run.json").write_text("{}")
    assert RunFolder(tmp_path).num_parameters is None


def test_settings_that_are_not_yaml(tmp_path):
    (tmp_path / "settings.yaml").write_text("a: [")
    with pytest.raises(UserError, match="settings.yaml is not YAML"):
        _ = RunFolder(tmp_path).settings


def test_settings_are_read_without_running_code(tmp_path):
    text = "!!python/object/apply:os.system ['exit 1']"
    (tmp_path / "settings.yaml").write_text(text)
    with pytest.raises(UserError, match="not YAML"):
        _ = RunFolder(tmp_path).settings


def test_json_that_is_broken_or_no_object(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        read_json(path)
    path.write_text("[]")
    with pytest.raises(UserError, match="wanted a JSON object .* got list"):
        read_json(path)


@pytest.mark.parametrize("content", [b"", b"12345678", b"\x04" + b"\0" * 9])
def test_weights_that_are_no_safetensors(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match="not a safetensors file"):
        count_parameters(path)


def test_a_checkpoint_that_is_dropped_meanwhile(tmp_path, monkeypatch):
    (tmp_path / "run.json").write_text("{}")
    for step in (10, 20):
        checkpoint = tmp_path / "checkpoints" / f"step-{step:08d}"
        checkpoint.mkdir(parents=True)
        tensors = {"a": np.zeros((3, 4), "float32")}
        save_file(tensors, checkpoint / "model.safetensors")
    iterate = pathlib.Path.iterdir

    def dropping(self):
        names = list(iterate(self))
        if self.name == "step-00000010":
            shutil.rmtree(self)
        return iter(names)

    monkeypatch.setattr(pathlib.Path, "iterdir", dropping)
    run = RunFolder(tmp_path)
    assert [checkpoint.step for checkpoint in run.checkpoints] == [20]
    monkeypatch.undo()
    assert run.num_parameters == 12
    shutil.rmtree(tmp_path / "checkpoints")
    del run.num_parameters
    assert run.num_parameters is None


def test_a_checkpoint_that_is_being_moved_is_none(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    checkpoint = tmp_path / "checkpoints" / "step-00000010"
    checkpoint.mkdir(parents=True)
    (checkpoint / files.INCOMPLETE).touch()
    assert RunFolder(tmp_path).checkpoints == []


def test_an_address_is_no_run_folder():
    with pytest.raises(UserError, match="the run's folder, got gs://b/run"):
        RunFolder("gs://b/run")
