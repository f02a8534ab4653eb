"""One run whose rows, batches and masks change on the way."""

import json
import shutil

import numpy as np
import pytest
import yaml
from safetensors.numpy import load_file

from tfbert.errors import UserError
from tfrecords.masking.masking import Masking
from trainers import pretrain, records
from trainers.files.run_folder import RunFolder
from trainers.pretraining.data import PretrainingData
from trainers.pretraining.stages import (
    about_run,
    masking_at,
    open_run_records,
)
from trainers.reports import curves
from trainers.settings.stages import Stage

TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
TOKENS += "the sea ship sails over dark water while wind blows".split()
POSITIONS = "encoder/embeddings/position_embeddings"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Records of rows of 8 and of 16, of one text; and of another one."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    documents = [
        " ".join(rng.choice(TOKENS[6:], rng.integers(5, 40))) + "."
        for _ in range(150)
    ]
    (folder / "text.txt").write_text("\n\n".join(documents))
    for name, tokens in (("vocab", TOKENS), ("other", [*TOKENS, "x"])):
        (folder / f"{name}.txt").write_text("\n".join(tokens) + "\n")
    for name, vocab, length in (
        ("r8", "vocab", 8),
        ("r16", "vocab", 16),
        ("o8", "other", 8),
    ):
        records.main(
            f"--input {folder}/text.txt --vocab {folder}/{vocab}.txt "
            f"--output {folder}/{name} --max_length {length} --held_out 0.1 "
            "--processes 1".split()
        )
    return folder


def stages_of(data, *parts):
    """Stages whose records are named by a word."""
    return [
        Stage(**{**part, "records": str(data / part["records"])})
        for part in parts
    ]


def test_what_is_read(data):
    short = {"share": 0.5, "records": "r8"}
    long = {"share": 0.25, "records": "r16"}
    stages = stages_of(data, short, long, {**short, "share": 0.25})
    read = open_run_records(PretrainingData(), stages)
    assert [s.records.sequence_length for s in read.stages] == [8, 16, 8]
    assert (len(read.all), len(read.opened), read.longest) == (2, 4, 16)
    one = open_run_records(PretrainingData(records=str(data / "r8")), None)
    about = about_run(read)
    assert about["max_length"] == 16
    assert about["hashes"]["data"] != one.hashes()["data"]
    assert about["hashes"]["vocabulary"] == one.hashes()["vocabulary"]
    # Another order is another run.
    turned = open_run_records(PretrainingData(), stages[::-1])
    turned = stages_of(data, {**long, "share": 0.5}, short)
    assert open_run_records(PretrainingData(), turned).hashes() != read.hashes()


def test_mistakes_are_named(data):
    halves = [{"share": 0.5, "records": name} for name in ("r8", "o8")]
    with pytest.raises(UserError, match="stages with one vocabulary.*r?o8"):
        open_run_records(PretrainingData(), stages_of(data, *halves))
    alone = stages_of(data, {"share": 1.0, "records": "r8"})
    with pytest.raises(UserError, match="r16 is read by no stage"):
        open_run_records(PretrainingData(records=str(data / "r16")), alone)
    alone[0].temperature = 0.5
    with pytest.raises(UserError, match="that of several folders of records"):
        open_run_records(PretrainingData(), alone)


@pytest.mark.parametrize("strategy", ["token", "whole_word"])
def test_the_masking_rate_falls_in_a_straight_line(data, strategy):
    settings = PretrainingData(
        records=str(data / "r16"),
        final_masking_rate=0.1,
        masking=Masking(strategy=strategy, rate=0.5),
    )
    (stage,) = open_run_records(settings, None).stages
    at = masking_at(settings, stage, 101)
    assert [round(at(b).rate, 9) for b in (0, 50, 100, 200)] == [
        0.5,
        0.3,
        0.1,
        0.1,
    ]
    # Shapes stay those of the highest rate.
    assert len({at(batch).predictions(16) for batch in range(101)}) == 1
    assert settings.evaluation_masking.rate == 0.1


def options(data, run_dir, **changes):
    stages = [
        {
            "share": 0.5,
            "records": str(data / "r8"),
            "batch_size": 16,
            "masking_rate": 0.3,
        },
        {"share": 0.5, "records": str(data / "r16")},
    ]
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 1,
        "model.hidden_size": 16,
        "model.intermediate_size": 32,
        "model.num_attention_heads": 2,
        "model.max_position_embeddings": 16,
        "model.hidden_dropout_prob": 0.1,
        "optimization.stages": json.dumps(stages),
        "optimization.batch_size": 8,
        "optimization.steps": 12,
        "optimization.learning_rate": 1e-3,
        "optimization.average_decay": 0.9,
        "runtime.run_dir": run_dir,
        "runtime.evaluate_every": 4,
        "runtime.checkpoint_every": 3,
        "runtime.keep_checkpoints": 9,
        "runtime.log_every": 1,
    }
    settings |= {k.replace("__", "."): v for k, v in changes.items()}
    return [text for k, v in settings.items() for text in (f"--{k}", str(v))]


def weights(run_dir, step, name="model"):
    folder = run_dir / "checkpoints" / f"step-{step:08d}"
    return load_file(folder / f"{name}.safetensors")


def rows(run_dir, split="train"):
    lines = map(json.loads, (run_dir / "metrics.jsonl").open())
    return [row for row in lines if row["split"] == split]


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "one"
    pretrain.main(options(data, run_dir))
    return run_dir


def test_rows_batches_and_positions_change_at_the_border(run, data):
    train = rows(run)
    assert [row["step"] for row in train] == list(range(1, 13))
    # 16 rows of 8, then 8 rows of 16; many rows are shorter than that.
    tokens = [row["tokens"] / row["real_tokens_share"] for row in train]
    assert np.allclose(tokens, 128)
    shares = [row["loss_weight"] / row["tokens"] for row in train]
    assert min(shares[:6]) > 1.3 * max(shares[6:])
    assert [row["step"] for row in rows(run, "validation")] == [0, 4, 8, 12]
    before, after = weights(run, 6), weights(run, 9)
    # But for decay, nothing has reached the second half before the border.
    start = weights(run, 3)[POSITIONS]
    np.testing.assert_allclose(before[POSITIONS][8:], start[8:], atol=1e-5)
    moved = np.abs(after[POSITIONS] - np.tile(before[POSITIONS][:8], (2, 1)))
    assert 0 < moved[8:].max() < 0.02
    states = [
        json.loads((path / "checkpoint.json").read_text())
        for path in sorted((run / "checkpoints").iterdir())
    ]
    assert [state["stage"] for state in states] == [0, 0, 1, 1]


def test_the_report_marks_the_border(run):
    assert curves.borders_of(RunFolder(run)) == [6]
    plots = curves.plots_of(RunFolder(run))
    assert plots and all(plot.borders == [6] for plot in plots)


@pytest.mark.long
@pytest.mark.parametrize("killed_at", [3, 6, 9])
def test_it_resumes_with_the_same_bytes(run, data, tmp_path, killed_at):
    killed = tmp_path / "killed"
    shutil.copytree(run, killed)
    for step in range(killed_at + 3, 13, 3):
        shutil.rmtree(killed / "checkpoints" / f"step-{step:08d}")
    pretrain.main(options(data, killed))
    for name in ("model", "optimizer"):
        wanted = weights(run, 12, name)
        for key, value in weights(killed, 12, name).items():
            np.testing.assert_array_equal(value, wanted[key], err_msg=key)
    assert (
        rows(killed, "validation")[-1]["loss"]
        == (rows(run, "validation")[-1]["loss"])
    )


@pytest.mark.long
def test_two_replicas_and_micro_batches_learn_the_same(data, tmp_path):
    plain = {"model__hidden_dropout_prob": 0.0}
    plain |= {"model__attention_probs_dropout_prob": 0.0}
    one, other = tmp_path / "one", tmp_path / "other"
    pretrain.main(options(data, one, **plain))
    split = {"runtime__devices": 2, "optimization__accumulation_steps": 2}
    pretrain.main(options(data, other, **plain, **split))
    wanted = weights(one, 12)
    for key, value in weights(other, 12).items():
        np.testing.assert_allclose(value, wanted[key], atol=2e-5, err_msg=key)


@pytest.mark.long
def test_a_budget_is_shared_and_a_dry_run_tells_of_each(
    data, tmp_path, capsys, monkeypatch
):
    from trainers.planning import budget

    measure, found = budget.time_steps, iter([10.0, 20.0])

    def timed(*arguments):
        import dataclasses

        return dataclasses.replace(measure(*arguments), step=next(found))

    monkeypatch.setattr(budget, "time_steps", timed)
    run_dir = tmp_path / "run"
    given = options(data, run_dir, runtime__evaluate_every=100)
    given = (
        given[: given.index("--optimization.steps")]
        + (given[given.index("--optimization.steps") + 2 :])
    )
    pretrain.main([*given, "--budget", "10m"])
    saved = yaml.safe_load((run_dir / "settings.yaml").read_text())
    steps = [stage["steps"] for stage in saved["optimization"]["stages"]]
    assert sum(steps) == saved["optimization"]["steps"]
    assert steps[0] == pytest.approx(2 * steps[1], abs=2) and steps[1] > 5
    said = capsys.readouterr().out
    assert (
        f"stage 2: steps {steps[0] + 1} to {sum(steps)}, batches of 8" in said
    )
    # The same command resumes, and does not measure again.
    pretrain.main([*given, "--budget", "10m"])
    assert "as this run began" in capsys.readouterr().out
    pretrain.main([*options(data, tmp_path / "x"), "--dry_run"])
    said = capsys.readouterr().out
    assert "Stage 1 of 2:" in said and "All stages: about" in said
