"""`precision: auto`: measured, told, and kept by the run."""

import dataclasses
import json
import types

import numpy as np
import pytest
import yaml

from tfbert.config import BertConfig
from trainers import pretrain
from trainers.planning import precision
from trainers.settings.sections import RuntimeSettings

WIDE = BertConfig.preset("mini", vocab_size=50)


@pytest.fixture
def faster(monkeypatch):
    """Sets how much faster bfloat16 is."""

    def set_to(ratio):
        monkeypatch.setattr(precision, "probe", lambda *_: ratio)

    return set_to


@pytest.mark.parametrize(
    "ratio, wanted", [(2.0, "bfloat16"), (1.05, "float32"), (0.4, "float32")]
)
def test_the_faster_one_is_taken(faster, ratio, wanted):
    faster(ratio)
    name, why = precision.choose(WIDE)
    assert name == wanted and "of float32's time" in why


def test_narrow_models_and_tpus_need_no_probe(monkeypatch):
    monkeypatch.delattr(precision, "probe")
    narrow = BertConfig.preset("tiny", vocab_size=50)
    assert precision.choose(narrow)[0] == "float32"
    assert precision.choose(narrow, "tpu")[0] == "bfloat16"


def test_the_probe_measures():
    assert 0.01 < precision.probe(64, 64, 0.01) < 100


def test_auto_has_no_dtype():
    assert RuntimeSettings().precision == "auto"
    with pytest.raises(ValueError, match="got auto; resolve it first"):
        _ = RuntimeSettings().dtype


@pytest.mark.parametrize("saved", ["bfloat16", "float16", "float32"])
def test_a_run_goes_on_in_its_precision(faster, tmp_path, caplog, saved):
    caplog.set_level("INFO", "trainers")
    faster(0.4 if saved == "bfloat16" else 2.0)
    text = yaml.safe_dump({"runtime": {"precision": saved}})
    (tmp_path / "settings.yaml").write_text(text)
    made = dataclasses.make_dataclass("Settings", ["runtime"])
    settings = made(RuntimeSettings(run_dir=str(tmp_path)))
    one = types.SimpleNamespace(is_chief=True, num_workers=1, kind="one_device")
    found = precision.resolved(settings, WIDE, one)
    assert found.runtime.precision == saved
    assert f"Precision: {saved} (as this run began)" in caplog.text
    # What is asked for is taken.
    given = made(RuntimeSettings(precision="float32"))
    assert precision.resolved(given, WIDE, one) is given


@pytest.mark.parametrize(
    "ratio", [pytest.param(2.0, marks=pytest.mark.long), 0.4]
)
def test_a_run_says_and_records_it(
    faster, small_corpus, tmp_path, capsys, monkeypatch, ratio
):
    faster(ratio)
    monkeypatch.setattr(precision, "LEAST_WIDTH", 16)
    options = {
        "model.preset": "tiny",
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_hidden_layers": 1,
        "model.max_position_embeddings": 16,
        "data.records": small_corpus / "records",
        "data.masking.max_predictions": 3,
        "optimization.batch_size": 4,
        "optimization.accumulation_steps": 2,
        "optimization.steps": 4,
        "optimization.warmup_steps": 1,
        "runtime.run_dir": tmp_path / "run",
    }
    arguments = [t for k, v in options.items() for t in (f"--{k}", str(v))]
    pretrain.main(arguments)
    wanted = "bfloat16" if ratio > 1 else "float32"
    assert f"Precision: {wanted} (products" in capsys.readouterr().out
    saved = yaml.safe_load((tmp_path / "run/settings.yaml").read_text())
    assert saved["runtime"]["precision"] == wanted
    rows = map(json.loads, (tmp_path / "run/metrics.jsonl").open())
    assert all(np.isfinite(row["loss"]) for row in rows)
