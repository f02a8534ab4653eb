"""Runs whose steps are planned: budgets, batch ramps, float16 and averages."""

import dataclasses
import json
import pathlib
import re
import runpy
import shutil

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

import tfbert
from tfbert.errors import UserError
from trainers import pretrain, records
from trainers.convert import convert
from trainers.planning import budget
from trainers.planning.dry_run import time_steps
from trainers.run.skipped_steps import Diverged

ELECTRA = pathlib.Path(__file__).parents[3] / "docs/examples/electra.py"
TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
TOKENS += "the sea ship sails over dark water while wind blows".split()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records of a small text, some held out."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    documents = [
        " ".join(rng.choice(TOKENS[6:], rng.integers(5, 40))) + "."
        for _ in range(200)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents))
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    build = "--max_length 16 --held_out 0.1 --processes 1".split()
    records.main(
        ["--input", str(folder / "text.txt")]
        + ["--vocab", str(folder / "vocab.txt")]
        + ["--output", str(folder / "records"), *build]
    )
    return folder / "records"


def train(data, run_dir, task_class=None, **changes):
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 1,
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_attention_heads": 2,
        "model.max_position_embeddings": 16,
        "model.hidden_dropout_prob": 0.0,
        "model.attention_probs_dropout_prob": 0.0,
        "data.records": data,
        "data.masking.max_predictions": 3,
        "optimization.batch_size": 8,
        "optimization.steps": 12,
        "optimization.warmup_share": 0.25,
        "optimization.learning_rate": 1e-3,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 6,
        "runtime.checkpoint_every": 4,
        "runtime.log_every": 1,
    }
    settings |= {k.replace("__", "."): v for k, v in changes.items()}
    pretrain.main(
        [text for k, v in settings.items() for text in (f"--{k}", str(v))],
        task_class,
    )


def weights(run_dir, step=12, name="model"):
    path = run_dir / "checkpoints" / f"step-{step:08d}"
    return load_file(path / f"{name}.safetensors")


def rows(run_dir, split="train"):
    lines = map(json.loads, (run_dir / "metrics.jsonl").open())
    return [row for row in lines if row["split"] == split]


def copy_of_step_4(run_dir, target):
    """What a kill after step 4 leaves of a run."""
    shutil.copytree(run_dir, target)
    for step in (8, 12):
        shutil.rmtree(target / "checkpoints" / f"step-{step:08d}")


def assert_equal(run_dir, reference, atol=0.0):
    for name in ("model", "optimizer"):
        wanted = weights(reference, name=name)
        for key, value in weights(run_dir, name=name).items():
            np.testing.assert_allclose(
                value, wanted[key], rtol=0, atol=atol, err_msg=key
            )


@pytest.mark.long
def test_a_batch_ramp_resumes(data, tmp_path):
    ramp = {
        "optimization__batch_ramp": "[{batch_size: 4, steps: 2}]",
        "optimization__steps": 5,
        "runtime__evaluate_every": 5,
    }
    one, killed = tmp_path / "one", tmp_path / "killed"
    train(data, one, **ramp)
    # Two steps of 4 rows and three of 8, each row in its turn.
    tokens = [row["tokens"] for row in rows(one)]
    assert max(tokens[:2]) < min(tokens[2:])
    shutil.copytree(one, killed)
    shutil.rmtree(killed / "checkpoints" / "step-00000005")
    train(data, killed, **ramp)
    for name in ("model", "optimizer"):
        wanted = weights(one, 5, name)
        for key, value in weights(killed, 5, name).items():
            np.testing.assert_array_equal(value, wanted[key], err_msg=key)


@pytest.mark.long
def test_a_batch_ramp_resumes_within_a_stage_and_on_two_replicas(
    data, tmp_path
):
    ramp = "[{batch_size: 2, steps: 3}, {batch_size: 4, steps: 2}]"
    ramp = {"optimization__batch_ramp": ramp}
    one, two = tmp_path / "one", tmp_path / "two"
    train(data, one, **ramp)
    # Twelve steps of 2 x 3 + 4 x 2 + 8 x 7 rows, each row in its turn.
    assert [row["step"] for row in rows(one)] == list(range(1, 13))
    assert [row["step"] for row in rows(one, "validation")] == [0, 6, 12]
    tokens = [row["tokens"] for row in rows(one)]
    assert max(tokens[:3]) < min(tokens[3:5]) < min(tokens[5:])
    # Killed after step 4, within a stage.
    killed = tmp_path / "killed"
    copy_of_step_4(one, killed)
    train(data, killed, **ramp)
    assert_equal(killed, one)
    assert [row["step"] for row in rows(killed, "validation")] == [0, 6, 12]

    train(data, two, runtime__devices=2, **ramp)
    assert_equal(two, one, atol=1e-5)
    with pytest.raises(UserError, match="2 replicas x 2 accumulation steps"):
        train(
            data,
            tmp_path / "three",
            runtime__devices=2,
            optimization__accumulation_steps=2,
            **ramp,
        )


@pytest.mark.long
def test_a_budget_chooses_the_steps_and_the_run_keeps_them(
    data, tmp_path, capsys, monkeypatch
):
    """Steps of 20 s by the clock, however fast the machine is."""

    def timed(*arguments):
        return dataclasses.replace(time_steps(*arguments), step=20.0)

    monkeypatch.setattr(budget, "time_steps", timed)
    run_dir = tmp_path / "run"
    short = {"runtime__evaluate_every": 500, "runtime__checkpoint_every": 500}
    short |= {"runtime__log_every": 1000}
    train(data, run_dir, budget="10m", **short)
    said = capsys.readouterr().out
    steps = int(re.search(r"Budget 10m: (\d+) steps", said)[1])
    assert 1 <= steps <= 30
    settings = yaml.safe_load((run_dir / "settings.yaml").read_text())
    assert settings["optimization"]["steps"] == steps
    assert settings["optimization"]["warmup_steps"] == round(steps / 4)
    assert weights(run_dir, steps)
    train(data, run_dir, budget="10m", **short)
    said = capsys.readouterr().out
    assert f"Budget 10m: {steps:,} steps, as this run began" in said
    assert f"is its step {steps} of {steps}" in said.replace("\n", " ")
    with pytest.raises(UserError, match="the budget 10m, got --budget 1h"):
        train(data, run_dir, budget="1h", **short)
    with pytest.raises(UserError, match="a budget of 1s is too short"):
        train(data, tmp_path / "short", budget="1s", **short)
    (run_dir / "settings.yaml").write_text("a: [")
    with pytest.raises(UserError, match="wanted the settings of a run"):
        train(data, run_dir, budget="10m", **short)


@pytest.mark.long
def test_float16_and_averages_resume_with_the_same_bytes(data, tmp_path):
    """A checkpoint holds the loss scale and the average."""
    options = {
        "runtime__precision": "float16",
        "optimization__average_decay": 0.9,
        "optimization__optimizer": "nvlamb",
        "optimization__schedule": "one_cycle",
        "model__hidden_dropout_prob": 0.1,
        "runtime__recompute": "true",
    }
    whole, halves = tmp_path / "whole", tmp_path / "halves"
    train(data, whole, **options)
    copy_of_step_4(whole, halves)
    train(data, halves, **options)
    assert_equal(halves, whole)
    state = weights(whole, name="optimizer")
    assert state["loss_scale/scale"] == 2.0**15
    assert state["loss_scale/finite_steps"] == 12
    averaged, prefix = weights(whole), "training_weights/"
    trained = [name for name in state if name.startswith(prefix)]
    assert trained
    for name in trained:
        assert state[name].shape == averaged[name.removeprefix(prefix)].shape
    # No objective reads the pooler, so it has not moved.
    assert f"{prefix}encoder/pooler/kernel" not in trained
    assert (rows(whole)[0]["loss_scale"], rows(whole)[0]["overflow"]) == (
        2.0**15,
        0,
    )
    assert rows(halves)[-1]["loss"] == rows(whole)[-1]["loss"]


@pytest.mark.long
def test_gradients_that_float16_cannot_hold_end_the_run(
    data, tmp_path, monkeypatch
):
    from trainers.step.training_model import TrainingModel

    def broken(self, gradients, sums):
        gradients, sums = reduce(self, gradients, sums)
        return [gradient * np.inf for gradient in gradients], sums

    reduce = TrainingModel._reduce
    monkeypatch.setattr(TrainingModel, "_reduce", broken)
    with pytest.raises(Diverged, match="smallest loss scale, 1 .*bfloat16"):
        train(
            data,
            tmp_path / "run",
            runtime__precision="float16",
            optimization__steps=60,
            runtime__max_skipped=4,
        )
    # 15 halvings, then four skips at the smallest scale.
    overflow = [row["overflow"] for row in rows(tmp_path / "run")]
    assert sum(overflow) == 15 and len(overflow) in (18, 19, 20)


@pytest.mark.long
def test_the_example_of_a_task_of_ones_own(data, tmp_path):
    """docs/examples/electra.py learns under two replicas."""
    Electra = runpy.run_path(ELECTRA)["Electra"]
    assert len(ELECTRA.read_text().splitlines()) < 100
    options = {
        "task_class": Electra,
        "optimization__steps": 24,
        "optimization__learning_rate": 3e-3,
    }
    run_dir = tmp_path / "run"
    train(data, run_dir, runtime__devices=2, **options)
    first, *_, last = rows(run_dir, "validation")
    assert last["masked_lm_loss"] < first["masked_lm_loss"]
    assert last["detection_loss"] < 0.9 * first["detection_loss"]
    assert 0 <= last["recall"] <= 1 and last["accuracy"] > 0.5
    # What was learnt is an encoder like any other.
    assert tfbert.load_encoder(run_dir).config.num_hidden_layers == 1
    with pytest.raises(UserError, match="a run of 'electra'.*--encoder_only"):
        convert(str(run_dir), str(tmp_path / "all"), "tfbert")


def test_an_average_needs_a_decay(data, tmp_path):
    with pytest.raises(UserError, match="average_decay above 0 and below 1"):
        train(data, tmp_path / "run", optimization__average_decay=1.0)
