"""What fine-tuning can be told: freezing, weights, early end, sweeps."""

import hashlib
import io
import json
import random

import numpy as np
import pytest
import yaml
from sklearn.utils.class_weight import compute_class_weight

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import read_tensors
from trainers import finetune
from trainers.files import exit_status
from trainers.files.console import Console
from trainers.finetuning import search
from trainers.finetuning.kinds.class_weights import weights_of
from trainers.run.skipped_steps import Diverged

CAUSES = {"good": ["good", "warm", "fun"], "bad": ["bad", "dull", "bored"]}


def write(path, count, seed):
    draw = random.Random(seed)
    lines = ["text\tlabel\n"]
    for _ in range(count):
        label = "good" if draw.random() < 0.8 else "bad"
        words = draw.choices(["the", "film", "was"], k=draw.choice([3, 40]))
        words.insert(draw.randrange(3), draw.choice(CAUSES[label]))
        lines.append(f"{' '.join(words)}\t{label}\n")
    path.write_text("".join(lines))


@pytest.fixture(scope="module")
def config(tmp_path_factory, vocabulary):
    """The config file of a run."""
    folder = tmp_path_factory.mktemp("options")
    Tokenizer(vocabulary).save(folder / "tokenizer")
    write(folder / "train.tsv", 83, 0)
    write(folder / "validation.tsv", 21, 1)
    settings = {
        "model": {
            "preset": "tiny",
            "num_hidden_layers": 2,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 48,
        },
        "data": {
            "train": str(folder / "train.tsv"),
            "validation": str(folder / "validation.tsv"),
            "tokenizer": str(folder / "tokenizer"),
            "max_length": 48,
        },
        "optimization": {
            "batch_size": 8,
            "steps": 4,
            "learning_rate": 0.01,
        },
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def train(config, tmp_path):
    """Returns a function that runs `tfbert finetune`; gives the folder."""

    def run(name, *more):
        run_dir = tmp_path / name
        given = ["--config", str(config), "--runtime.run_dir", str(run_dir)]
        finetune.main([*given, *more])
        return run_dir

    return run


def last_weights(run):
    [folder] = (run / "checkpoints").glob("step-*")
    return folder / "model.safetensors"


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.long
def test_frozen_layers_stay_as_they_are(train):
    start = read_tensors(
        last_weights(train("start", "--optimization.learning_rate", "1e-30"))
    )
    frozen = {
        "embeddings": ["embeddings"],
        "1": ["embeddings", "block_0"],
        "encoder": ["embeddings", "block_0", "block_1"],
    }
    for setting, layers in frozen.items():
        run = train(f"freeze-{setting}", "--model.freeze", setting)
        for name, value in read_tensors(last_weights(run)).items():
            same = any(f"encoder/{layer}/" in name for layer in layers)
            assert (np.abs(value - start[name]).max() < 1e-20) == same, name
    with pytest.raises(UserError, match="number of blocks up to 2, got 3"):
        train("three", "--model.freeze", "3")


@pytest.mark.long
def test_class_weights(train):
    labels = ["bad"] * 3 + ["good"] * 9
    wanted = compute_class_weight(
        "balanced", classes=np.array(["bad", "good"]), y=labels
    )
    found = weights_of("balanced", ["bad", "good"], labels)
    np.testing.assert_allclose(found, wanted)
    assert weights_of({"bad": 2.5}, ["bad", "good"], labels) == [2.5, 1.0]
    # The label of "0: 2" in YAML is a number.
    assert weights_of({0: 2.0}, ["0", "1"], labels) == [2.0, 1.0]
    with pytest.raises(UserError, match="names 'worse', which is no label"):
        weights_of({"worse": 1.0}, ["bad", "good"], labels)
    with pytest.raises(UserError, match="class_weights above 0, got 0 for"):
        weights_of({"bad": 0}, ["bad", "good"], labels)
    option = "--optimization.class_weights"
    run = train("balanced", option, "balanced")
    about = json.loads((run / "run.json").read_text())
    assert about["class_weights"][0] > 1 > about["class_weights"][1]
    # A weight is as if the class had so much more of the examples' loss.
    other = train("given", option, '{"bad": 40.0}')
    figures = [
        json.loads((r / "metrics.jsonl").read_text().splitlines()[-1])
        for r in (run, other)
    ]
    assert figures[0]["loss"] != figures[1]["loss"]
    with pytest.raises(UserError, match="regression has no .*class_weights"):
        numbers = run.parent / "numbers.tsv"
        numbers.write_text("text\tlabel\nfun\t1\nbad\t2\n")
        files = [f"--data.{n}={numbers}" for n in ("train", "validation")]
        train("no", "--task", "regression", *files, option, "balanced")


@pytest.mark.long
def test_padding_changes_nothing_that_is_learnt(train):
    still = ["--model.hidden_dropout_prob", "0"]
    still += ["--model.attention_probs_dropout_prob", "0"]
    still += ["--optimization.accumulation_steps", "2"]
    ways = {
        "padded": ["--runtime.skip_padding", "false"],
        "skipped": [],
        "fixed": ["--runtime.xla", "true", "--runtime.devices", "2"],
    }
    runs = {name: train(name, *still, *more) for name, more in ways.items()}
    weights, shares, figures = {}, {}, {}
    for name, run in runs.items():
        rows = (run / "metrics.jsonl").read_text().splitlines()
        rows = [json.loads(row) for row in rows]
        weights[name] = read_tensors(last_weights(run))
        [shares[name]] = [
            row["real_tokens_share"] for row in rows if row["split"] == "train"
        ]
        figures[name] = [
            row["loss"] for row in rows if row["split"] == "validation"
        ]
    assert shares["skipped"] == 1 > shares["fixed"] > shares["padded"]
    for name in ("skipped", "fixed"):
        np.testing.assert_allclose(figures[name], figures["padded"], rtol=1e-4)
        for variable, value in weights[name].items():
            np.testing.assert_allclose(
                value, weights["padded"][variable], atol=2e-4, err_msg=variable
            )


@pytest.mark.long
def test_a_run_that_ends_early_is_complete(train, capsys):
    # With nothing to learn no evaluation is better than the first.
    stop = ["--runtime.evaluate_every", "1", "--runtime.early_stopping", "2"]
    stop += ["--optimization.learning_rate", "1e-30"]
    stop += ["--optimization.steps", "9"]
    run = train("run", *stop)
    assert last_weights(run).parent.name == "step-00000003"
    before = digest(last_weights(run))
    capsys.readouterr()
    train("run", *stop)
    assert "The run is complete" in capsys.readouterr().out
    assert digest(last_weights(run)) == before
    # More patience: it goes on.
    train("run", *stop, "--runtime.early_stopping", "3")
    assert last_weights(run).parent.name == "step-00000004"
    with pytest.raises(UserError, match="runtime.early_stopping above 0"):
        train("no", "--runtime.early_stopping", "0")


@pytest.mark.long
def test_a_sweep_chooses_by_validation(train, capsys):
    grid = "optimization.learning_rate=[1e-30, 0.01]; data.max_length=[16]"
    run = train("sweep", "--sweep", grid)
    found = json.loads((run / "sweep.json").read_text())
    assert found["metric"] == "validation_accuracy"
    settings = [one["settings"] for one in found["runs"]]
    assert settings == [
        {"optimization.learning_rate": "1e-30", "data.max_length": "16"},
        {"optimization.learning_rate": "0.01", "data.max_length": "16"},
    ]
    values = [one["figures"]["validation_accuracy"] for one in found["runs"]]
    assert found["best"] == int(np.argmax(values))
    folder = run / "learning_rate=0.01,max_length=16"
    saved = yaml.safe_load((folder / "settings.yaml").read_text())
    assert saved["optimization"]["learning_rate"] == 0.01
    shown = capsys.readouterr().out
    assert "best by validation_accuracy: --optimization.learning_rate" in shown
    # Again: nothing is trained a second time.
    train("sweep", "--sweep", grid)
    assert capsys.readouterr().out.count("The run is complete") == 2
    assert json.loads((run / "sweep.json").read_text()) == found


def test_a_sweep_over_seeds_chooses_by_the_mean(tmp_path, capsys):
    def run_one(values, folder):
        mean = {"1": 0.5, "2": 0.7, "3": 0.6}[values["a.b"]]
        spread = {"mean": mean, "standard_deviation": 0.01}
        return {"validation_f1": spread, "step": spread}

    found = search.sweep(
        {"a.b": list("123")}, tmp_path, ["accuracy", "f1"], run_one
    )
    assert found["best"] == 1
    assert found["runs"][2]["run_dir"] == str(tmp_path / "b=3")
    assert "0.7000 +- 0.0100" in capsys.readouterr().out
    assert (
        search.sweep({"a": ["1"]}, tmp_path, ["f1"], lambda *_: {}, False) == {}
    )


def test_a_sweep_goes_on_behind_a_run_that_diverges(tmp_path, capsys, caplog):
    caplog.set_level("INFO", "trainers")

    def run_one(values, folder):
        if values["rate"] in failing:
            raise Diverged(f"step 7: rate {values['rate']}")
        if values["rate"] == "none":
            raise UserError("no such file")
        return {"validation_f1": float(values["rate"]), "step": 3}

    def sweep(*rates, is_chief=True):
        grid = {"rate": rates}
        return search.sweep(grid, tmp_path, ["f1"], run_one, is_chief)

    assert exit_status.DIVERGED == Diverged.status
    failing = {"0.1", "9"}
    found = sweep("0.1", "0.5", "9", "0.3")
    assert found["best"] == 1 and found["metric"] == "validation_f1"
    assert found["runs"][0]["failed"] == "step 7: rate 0.1"
    assert "figures" not in found["runs"][0]
    assert json.loads((tmp_path / "sweep.json").read_text()) == found
    told = caplog.text
    assert "rate=9 has failed, and the sweep goes on: step 7" in told
    assert "4 runs by validation_f1" in capsys.readouterr().out
    assert sweep("0.1", "0.5", is_chief=False) == {}
    for is_chief in (True, False):
        with pytest.raises(UserError, match="all 2 runs .*: step 7") as error:
            sweep("0.1", "9", is_chief=is_chief)
        assert error.value.status == exit_status.DIVERGED
    # Another mistake is not the point's own.
    with pytest.raises(UserError, match="no such file"):
        sweep("none", "0.5")


def test_the_f1_of_one_class_needs_two(train, tmp_path):
    three = tmp_path / "three.tsv"
    three.write_text("text\tlabel\nfun\tgood\ndull\tbad\nfilm\tother\n")
    files = [f"--data.{name}={three}" for name in ("train", "validation")]
    message = "data.metric of accuracy, macro_f1, matthews for .*3 classes"
    with pytest.raises(UserError, match=message):
        train("three", *files, "--data.metric", "f1")


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("optimization.learning_rate", "wanted --sweep 'SETTING=.*VALUE"),
        ("optimization.learning_rate=[]", "got 'optimization.learning_rate="),
        ("seed=[1]; seed=[2]", "each setting once, got 'seed="),
        ("seed=[1, 2", "wanted --sweep"),
        (" ; ", "to name a setting"),
        ("runtime.run_dir=[a, b]", "cannot be over runtime.run_dir"),
        ("optimization.learning_rat=[1]", "nearest .*learning_rate'"),
        ("optimization.batch_size=[8, x]", "batch_size"),
    ],
)
def test_a_broken_sweep_is_named_at_once(train, tmp_path, grid, message):
    with pytest.raises(UserError, match=message):
        train("run", "--sweep", grid)
    assert not (tmp_path / "run").exists()


def test_a_sweep_needs_validation(train):
    with pytest.raises(UserError, match="chooses by validation data"):
        train("run", "--sweep", "seed=[1]", "--data.validation", "null")


def test_numbers_of_a_grid_stay_as_they_are_written():
    assert search.read_grid("a=[1e-5, 3]; b=[true, x, null]") == {
        "a": ["1e-5", "3"],
        "b": ["true", "x", "null"],
    }


@pytest.mark.parametrize("width", [40, 80])
def test_the_table_of_a_sweep_cuts_nothing(width):
    figures = {"step": 10.0, "validation_macro_f1": 0.25, "test_macro_f1": 0.5}
    settings = {"optimization.learning_rate": "1e-5", "data.max_length": "64"}
    runs = [{"settings": settings, "figures": figures}]
    result = {"metric": "validation_macro_f1", "runs": runs}
    stream = io.StringIO()
    table = search._table_of_sweep(result)
    Console(file=stream, width=width).show(table)
    printed = stream.getvalue()
    assert "\u2026" not in printed
    assert max(map(len, printed.splitlines())) <= width
    assert width == 40 or "0.2500" in printed
