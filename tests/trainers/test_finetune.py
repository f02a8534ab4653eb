import collections
import hashlib
import json
import random

import numpy as np
import pytest
import yaml

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.variables import read_tensors
from trainers import export, finetune, predict
from trainers.finetuning import evaluation, training
from trainers.finetuning.data import load_data
from trainers.finetuning.settings import (
    FinetuningData,
    FinetuningModel,
    FinetuningOptimization,
    FinetuningRuntime,
    FinetuningSettings,
    resolve,
    with_length,
)
from trainers.settings import sections
from trainers.settings.ranges import check_ranges

CAUSES = {"good": ["good", "warm", "fun"], "bad": ["bad", "dull", "bored"]}
TINY = {
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
}


def sentences(count, seed):
    """Lines whose label is decided by one of their words."""
    draw = random.Random(seed)
    for _ in range(count):
        label = draw.choice(sorted(CAUSES))
        words = draw.choices(["the", "film", "was", "very", "it", "is"], k=4)
        words.insert(draw.randrange(5), draw.choice(CAUSES[label]))
        yield " ".join(words), label


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vocabulary):
    """Labelled files and a tokenizer."""
    path = tmp_path_factory.mktemp("finetune")
    Tokenizer(vocabulary).save(path / "tokenizer")
    for seed, (name, count) in enumerate(
        {"train": 203, "validation": 51, "test": 37}.items()
    ):
        lines = [f"{text}\t{label}\n" for text, label in sentences(count, seed)]
        (path / f"{name}.tsv").write_text("text\tlabel\n" + "".join(lines))
    return path


@pytest.fixture
def arguments(folder, tmp_path):
    """Returns the arguments of a run, with changes."""
    settings = {
        "model": {"preset": "tiny", **TINY},
        "data": {
            "train": str(folder / "train.tsv"),
            "validation": str(folder / "validation.tsv"),
            "tokenizer": str(folder / "tokenizer"),
            "max_length": 16,
        },
        "optimization": {
            "batch_size": 16,
            "epochs": 3,
            "learning_rate": 0.01,
        },
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(settings))

    def make(name, *more):
        run_dir = str(tmp_path / name)
        return ["--config", str(path), "--runtime.run_dir", run_dir, *more]

    return make


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def last_weights(run):
    [folder] = (run / "checkpoints").glob("step-*")
    return folder / "model.safetensors"


def test_it_learns_and_serves(arguments, folder, tmp_path, capsys):
    test = str(folder / "test.tsv")
    finetune.main(arguments("run", "--data.test", test))
    printed = capsys.readouterr().out
    assert "51 texts are in train too" in printed
    assert "Best at step" in printed
    run = tmp_path / "run"
    about = json.loads((run / "run.json").read_text())
    assert about["kind"] == "classification"
    assert about["labels"] == ["bad", "good"]
    saved = yaml.safe_load((run / "settings.yaml").read_text())
    # 203 examples, three epochs, batches of 16; a tenth is warm-up.
    assert saved["optimization"]["steps"] == 39
    assert saved["optimization"]["warmup_steps"] == 4
    assert saved["runtime"]["evaluate_every"] == 13
    figures = json.loads((run / "evaluation-test.json").read_text())
    assert figures["examples"] == 37
    assert figures["accuracy"] > 0.9
    assert list(validations(run)) == [0, 13, 26, 39]
    export.main([str(run), "--output", str(tmp_path / "export")])
    capsys.readouterr()
    predict.main([str(tmp_path / "export"), "it was bored", "--json"])
    assert json.loads(capsys.readouterr().out)["label"] == "bad"


def validations(run):
    """The validation rows of metrics.jsonl by step."""
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = map(json.loads, lines)
    return {r["step"]: r for r in rows if r["split"] == "validation"}


def test_validation_figures_are_exact(arguments, folder, tmp_path):
    # 51 examples in batches of 16: the last batch has 13 rows of padding.
    finetune.main(arguments("run", "--optimization.epochs", "1"))
    logged = validations(tmp_path / "run")[13]
    result = evaluation.evaluate(
        tmp_path / "run", folder / "validation.tsv", checkpoint="last"
    )
    assert logged["accuracy"] == pytest.approx(result.accuracy, abs=1e-7)
    assert logged["loss"] == pytest.approx(result.loss, rel=1e-5)


@pytest.mark.long
def test_the_same_seed_gives_the_same_bytes(arguments, tmp_path):
    for name in ("one", "two"):
        finetune.main(arguments(name, "--optimization.steps", "15"))
    one, two = tmp_path / "one", tmp_path / "two"
    assert digest(last_weights(one)) == digest(last_weights(two))
    assert digest(one / "best.safetensors") == digest(two / "best.safetensors")
    finetune.main(
        arguments("three", "--optimization.steps", "15", "--seed", "1")
    )
    three = last_weights(tmp_path / "three")
    assert digest(last_weights(one)) != digest(three)


@pytest.mark.long
def test_a_stopped_run_goes_on_to_the_same_bytes(arguments, tmp_path, capsys):
    whole = ("--optimization.steps", "20", "--runtime.evaluate_every", "6")
    finetune.main(arguments("whole", *whole))
    import keras

    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if self.model.step == 9:
                raise KeyboardInterrupt

    argv = arguments("parts", *whole, "--runtime.checkpoint_every", "4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_keep_best", lambda *_: [Stop()])
        with pytest.raises(KeyboardInterrupt):
            finetune.main(argv)
    finetune.main(argv)
    assert "Resuming at step 8 of 20" in capsys.readouterr().out
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert digest(last_weights(whole)) == digest(last_weights(parts))


@pytest.mark.long
def test_two_replicas_and_micro_batches_give_the_same_update(
    arguments, tmp_path
):
    # Dropout differs by replica and is off here.
    same = (
        *("--optimization.steps", "13"),
        *("--model.hidden_dropout_prob", "0"),
        *("--model.attention_probs_dropout_prob", "0"),
    )
    finetune.main(arguments("one", *same))
    finetune.main(
        arguments(
            "two",
            *same,
            *("--runtime.strategy", "mirrored", "--runtime.devices", "2"),
            *("--optimization.accumulation_steps", "2"),
        )
    )
    one, two = (
        read_tensors(last_weights(tmp_path / name)) for name in ("one", "two")
    )
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], atol=2e-4, err_msg=name)
    logged = [validations(tmp_path / name)[13] for name in ("one", "two")]
    assert logged[0]["accuracy"] == logged[1]["accuracy"]
    assert logged[0]["loss"] == pytest.approx(logged[1]["loss"], rel=1e-4)


@pytest.mark.long
def test_from_a_run(arguments, tmp_path, single_run, folder, capsys):
    finetune.main(
        [
            *("--model.init_from", str(make_pretrained(single_run, tmp_path))),
            *("--model.hidden_dropout_prob", "0.2"),
            *("--data.train", str(folder / "train.tsv")),
            *("--data.max_length", "16"),
            *("--optimization.steps", "2", "--optimization.batch_size", "8"),
            *("--optimization.learning_rate", "1e-9"),
            *("--runtime.run_dir", str(tmp_path / "run")),
        ]
    )
    before = read_tensors(single_run / "best.safetensors")
    after = read_tensors(last_weights(tmp_path / "run"))
    for name in before:
        if name.startswith("encoder/"):
            np.testing.assert_allclose(before[name], after[name], atol=1e-6)
    sections = json.loads((tmp_path / "run/config.json").read_text())
    assert sections["hidden_size"] == 32
    assert sections["hidden_dropout_prob"] == 0.2
    # Without validation data the last weights are the best.
    assert not (tmp_path / "run/best.safetensors").exists()
    result = evaluation.evaluate(tmp_path / "run", folder / "test.tsv")
    assert result.step == 2


def make_pretrained(single_run, tmp_path):
    path = tmp_path / "pretrained"
    path.mkdir()
    names = ("config.json", "run.json", "vocab.txt", "tokenizer_config.json")
    for name in names:
        (path / name).write_bytes((single_run / name).read_bytes())
    weights = (single_run / "best.safetensors").read_bytes()
    (path / "model.safetensors").write_bytes(weights)
    return path


@pytest.mark.long
def test_seeds_are_repeated_and_summed_up(arguments, folder, tmp_path, capsys):
    test = str(folder / "test.tsv")
    argv = arguments("runs", "--seeds", "2", "--seed", "3", "--data.test", test)
    finetune.main([*argv, "--optimization.steps", "4"])
    assert "standard deviation" in capsys.readouterr().out
    summary = json.loads((tmp_path / "runs/summary.json").read_text())
    assert list(summary["seeds"]) == ["3", "4"]
    values = [run["test_accuracy"] for run in summary["seeds"].values()]
    spread = summary["spread"]["test_accuracy"]
    assert spread["mean"] == pytest.approx(np.mean(values))
    assert spread["standard_deviation"] == pytest.approx(np.std(values, ddof=1))
    assert (tmp_path / "runs/seed-4/best.safetensors").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data.train", "none.tsv"], "none.tsv: there is no such file"),
        (["--data.text_columns", "[txet]"], "no column 'txet'.*: text, label"),
        (["--data.max_length", "2"], "max_length from 3, for the special"),
        (["--data.max_length", "25"], "max_length from 3 to 24"),
        (
            ["--data.max_length", "25"],
            "give --data.max_length 24, or --model.max_position_embeddings 25",
        ),
        (["--data.max_length", "1"], "max_length from 3, .* got 1"),
        (["--data.tokenizer", "none"], "no folder none"),
        (["--data.tokenizer", "null"], "model.init_from .* or data.tokenizer"),
        (["--data.train", "null"], "wanted data.train"),
        (["--model.preset", "null"], "got neither"),
        (["--model.init_from", "x"], "got both"),
        (["--optimization.epochs", "0"], "epochs above 0"),
        (["--optimization.batch_size", "-1"], "batch_size above 0"),
        (
            ["--optimization.batch_size", "5000"],
            "batch_size = 5,000 is larger .* its 203 rows 24.6 times.* at most",
        ),
        (["--seeds", "0"], "seeds above 0"),
        (["--data.text_column", "[text]"], "'data.text_columns'"),
    ],
)
def test_mistakes_are_named(arguments, tmp_path, more, message):
    with pytest.raises(UserError, match=message):
        finetune.main(arguments("run", *more))
    assert not (tmp_path / "run").exists()


def test_unknown_labels_are_found_before_training(arguments, tmp_path):
    data = tmp_path / "other.tsv"
    data.write_text("text\tlabel\nfun\tgood\nfun\tgodo\n")
    for name in ("validation", "test"):
        argv = arguments("run", f"--data.{name}", str(data))
        with pytest.raises(UserError, match=r"other\.tsv:3: unknown .*'godo'"):
            finetune.main(argv)


def test_counts_of_labels_are_said(arguments, folder):
    argv = arguments("run", "--optimization.batch_size", "250")
    settings = sections.parse_settings(
        finetune.build_parser(), FinetuningSettings, argv
    )
    data = load_data(settings)
    line = next(x for x in data.account() if x.startswith("classes in train"))
    labels = (folder / "train.tsv").read_text().split("\n")[1:-1]
    counts = collections.Counter(row.split("\t")[1] for row in labels)
    for label, count in counts.items():
        assert f"{label} {count}" in line
    assert not data.check_batch(203)
    (line,) = data.check_batch(250)
    assert "larger than the training data" in line


def test_another_shape_than_the_checkpoints_is_refused(single_run, tmp_path):
    start = make_pretrained(single_run, tmp_path)
    other = FinetuningModel(init_from=str(start), hidden_size=64)
    with pytest.raises(UserError, match="model.hidden_size is 64, .* has 32"):
        other.encoder_config(vocab_size=41)
    other = FinetuningModel(init_from=str(start))
    with pytest.raises(UserError, match="tokens, the tokenizer 5;"):
        other.encoder_config(vocab_size=5)


def test_steps_do_not_depend_on_the_length_of_a_loop():
    settings = FinetuningSettings(
        model=None,
        data=None,
        optimization=FinetuningOptimization(batch_size=10, epochs=2.5),
        runtime=FinetuningRuntime(steps_per_loop=4),
    )
    filled = resolve(settings, num_examples=101)
    assert filled.optimization.steps == 26
    assert filled.runtime.evaluate_every == 11
    assert filled.runtime.checkpoint_every == 11
    # What was given stays.
    again = resolve(filled, num_examples=1)
    assert again == filled


@pytest.mark.parametrize("given,length", [("null", 24), ("16", 16)])
def test_the_longest_text_fits_the_encoder(arguments, given, length):
    argv = arguments("run", "--data.max_length", given)
    settings = sections.parse_settings(
        finetune.build_parser(), FinetuningSettings, argv
    )
    check_ranges(settings)
    assert load_data(settings).kind.max_length == length


def test_the_length_of_an_encoder_that_is_read(single_run):
    known = FinetuningModel(init_from=str(single_run))
    assert with_length(FinetuningData(), known).max_length == 40
    assert with_length(FinetuningData(), FinetuningModel()).max_length == 128
