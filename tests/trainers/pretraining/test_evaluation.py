"""`tfbert evaluate` of a pretraining run."""

import json
import math
import shutil

import pytest

from tfbert.errors import UserError
from trainers import evaluate, pretrain
from trainers.checkpoints.checkpoints import Checkpoints
from trainers.checkpoints.files import STATE_FILE, read_state
from trainers.pretraining import evaluation


@pytest.fixture(scope="module")
def run_dir(small_corpus, tmp_path_factory):
    """A run whose held-out loss was measured at each of three checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 1,
        "model.hidden_size": 32,
        "model.num_attention_heads": 2,
        "model.intermediate_size": 32,
        "model.max_position_embeddings": 16,
        "data.records": small_corpus / "records",
        "optimization.batch_size": 8,
        "optimization.steps": 6,
        "optimization.average_decay": 0.5,
        "optimization.learning_rate": 0.3,
        "optimization.warmup_steps": 1,
        "runtime.run_dir": folder,
        "runtime.evaluate_every": 2,
        "runtime.checkpoint_every": 2,
        "runtime.precision": "float32",
    }
    pretrain.main([f"--{name}={value}" for name, value in settings.items()])
    return folder


def measured(run_dir, capsys, *more):
    records = json.loads((run_dir / "run.json").read_text())["records"]
    argv = [str(run_dir), "--data", f"{records}/held_out", *more]
    evaluate.main(argv)
    printed = capsys.readouterr().out
    file = run_dir / "evaluation-held_out.json"
    return json.loads(file.read_text()), printed


def validated(run_dir):
    """Step -> the held-out values that the run has kept."""
    checkpoints = Checkpoints(run_dir)
    return {
        step: read_state(checkpoints.path(step))["validation"]
        for step in checkpoints.steps()
    }


def test_the_figures_are_those_of_the_run(run_dir, capsys):
    state = Checkpoints(run_dir).path(4) / STATE_FILE
    # So that the best is not the last one.
    content = json.loads(state.read_text())
    content["validation"]["loss"] = 0.0
    state.write_text(json.dumps(content))
    kept = validated(run_dir)
    for which, step in (("best", 4), ("last", 6)):
        found, printed = measured(run_dir, capsys, "--checkpoint", which)
        assert found["step"] == step and found["examples"] == 7
        for name in ("masked_lm_loss", "masked_lm_accuracy"):
            assert found[name] == pytest.approx(kept[step][name], rel=1e-4)
        assert f"perplexity {math.exp(found['masked_lm_loss']):.2f}" in printed
        assert "evaluation-held_out.json" in printed
        assert f"Next: tfbert report {run_dir}" in " ".join(printed.split())


def test_any_batch_gives_the_same(run_dir, capsys):
    one, _ = measured(run_dir, capsys)
    other, _ = measured(run_dir, capsys, "--batch_size", "5")
    assert other.keys() == one.keys()
    for name in ("masked_lm_loss", "masked_lm_accuracy"):
        assert other[name] == pytest.approx(one[name], rel=1e-5)


def test_records_that_do_not_fit_are_named(
    run_dir, small_corpus, tmp_path, monkeypatch
):
    held_out = str(small_corpus / "records" / "held_out")

    def mistake(folder, data=held_out):
        with pytest.raises(UserError) as error:
            evaluate.main([str(folder), "--data", data])
        return str(error.value)

    assert "no manifest.json" in mistake(run_dir, str(tmp_path))
    copy = tmp_path / "copy"
    shutil.copytree(run_dir, copy)
    config = json.loads((copy / "config.json").read_text())
    config["max_position_embeddings"] = 8
    (copy / "config.json").write_text(json.dumps(config))
    assert "at most 8 tokens a row, got 16" in mistake(copy)
    text = (copy / "vocab.txt").read_text()
    (copy / "vocab.txt").write_text(text.replace("film", "movie"))
    assert "wanted records with the vocabulary of" in mistake(copy)
    shutil.rmtree(copy / "checkpoints")
    assert "holds no checkpoint" in mistake(copy)
    pairs = {"next_sentence/kernel": None}
    monkeypatch.setattr(evaluation, "read_tensors", lambda path: pairs)
    assert "wanted records of pairs of sentences" in mistake(run_dir)
