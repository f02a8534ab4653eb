"""Each kind of task from its file to the answers of its export."""

import json
import os
import random
import shutil
import socket
import subprocess
import sys

import numpy as np
import pytest
import yaml

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from trainers import evaluate, export, finetune, predict
from trainers.finetuning.kinds.by_name import KINDS, find_kind

FILLERS = ["the", "film", "was", "very", "it", "is"]
SETTINGS = {
    "model": {
        "preset": "tiny",
        "num_hidden_layers": 1,
        "hidden_size": 32,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 24,
    },
    "data": {"max_length": 16},
    "optimization": {
        "batch_size": 16,
        "epochs": 4,
        "learning_rate": 0.01,
    },
}


def write_lines(path, rows):
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8")


def regression_rows(draw, count):
    """The score is the number of good words less that of bad ones."""
    for _ in range(count):
        good, bad = draw.randrange(4), draw.randrange(4)
        words = ["good"] * good + ["dull"] * bad + ["film"]
        draw.shuffle(words)
        yield {"text": " ".join(words), "label": 10.0 * (good - bad)}


def multi_label_rows(draw, count):
    """A label for each of three words that may be there."""
    names = {"good": "praise", "dull": "blame", "story": "plot"}
    for number in range(count):
        found = draw.sample(sorted(names), draw.randrange(4))
        words = found + draw.choices(FILLERS, k=3)
        draw.shuffle(words)
        labels = [names[word] for word in found]
        # A list, or text with the separator.
        row = {"text": " ".join(words), "label": labels}
        yield row if number % 2 else row | {"label": ",".join(labels)}


def choice_rows(draw, count):
    """The right choice is the one with the word "good"."""
    for number in range(count):
        choices = draw.choices(FILLERS, k=2 + number % 2)
        label = draw.randrange(len(choices))
        choices[label] += " good"
        yield {
            "question": " ".join(draw.choices(FILLERS, k=3)),
            "choices": choices,
            "label": label if number % 3 else "ABC"[label],
        }


ROWS = {
    "regression": (regression_rows, "pearson", 0.9),
    "multi_label": (multi_label_rows, "micro_f1", 0.75),
    "multiple_choice": (choice_rows, "accuracy", 0.9),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, vocabulary):
    """Returns a function: kind -> (its run, test file); trained once."""
    folder = tmp_path_factory.mktemp("kinds")
    Tokenizer(vocabulary).save(folder / "tokenizer")
    done = {}

    def train(kind):
        if kind not in done:
            make = ROWS[kind][0]
            paths = {}
            for seed, (name, count) in enumerate(
                {"train": 203, "validation": 51, "test": 37}.items()
            ):
                paths[name] = folder / f"{kind}-data" / f"{name}.jsonl"
                paths[name].parent.mkdir(exist_ok=True)
                write_lines(paths[name], make(random.Random(seed), count))
            config = folder / f"{kind}.yaml"
            settings = {"task": kind, **SETTINGS}
            settings["data"] = {
                **SETTINGS["data"],
                "tokenizer": str(folder / "tokenizer"),
                **{name: str(path) for name, path in paths.items()},
            }
            config.write_text(yaml.safe_dump(settings))
            run = folder / kind
            run_dir = ["--runtime.run_dir", str(run)]
            finetune.main(["--config", str(config), *run_dir])
            done[kind] = run, paths["test"]
        return done[kind]

    return train


@pytest.fixture(scope="module")
def exported(trained):
    """Returns a function: kind -> the folder of its export."""
    done = {}

    def make(kind):
        if kind not in done:
            run, _ = trained(kind)
            done[kind] = run.parent / f"{kind}-export"
            export.main([str(run), "--output", str(done[kind])])
        return done[kind]

    return make


def read_lines(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("kind", ROWS)
def test_it_learns(trained, kind):
    run, _ = trained(kind)
    figures = json.loads((run / "evaluation-test.json").read_text("utf-8"))
    _, name, least = ROWS[kind]
    assert figures[name] > least
    assert figures["examples"] == 37
    about = json.loads((run / "run.json").read_text("utf-8"))
    assert about["kind"] == kind
    assert find_kind(kind).from_about(about).about().items() <= about.items()


@pytest.mark.parametrize("kind", ROWS)
def test_validation_and_evaluation_agree(trained, kind, capsys):
    # 51 examples in batches of 16: the last batch has 13 rows of padding.
    run, _ = trained(kind)
    data = run.parent / f"{kind}-data" / "validation.jsonl"
    evaluate.main([str(run), "--data", str(data), "--checkpoint", "last"])
    name = ROWS[kind][1]
    assert "step 51" in capsys.readouterr().out
    figures = json.loads((run / "evaluation-validation.json").read_text())
    logged = validations(run)[-1]
    assert logged["step"] == 51
    assert logged[name] == pytest.approx(figures[name], abs=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        "regression",
        "multi_label",
        "multiple_choice",
    ],
)
@pytest.mark.long
def test_the_export_gives_the_evaluators_answers(
    trained, exported, kind, capsys
):
    run, data = trained(kind)
    offline = read_lines(run / "predictions-test.jsonl")
    ask = [str(exported(kind)), "--input", str(data)]
    capsys.readouterr()
    predict.main([*ask, "--json"])
    answers = [json.loads(x) for x in capsys.readouterr().out.splitlines()]
    assert len(answers) == len(offline) == 37
    for answer, row in zip(answers, offline, strict=True):
        if kind == "regression":
            assert answer["score"] == pytest.approx(row["predicted"], abs=1e-4)
            continue
        wanted = row["probabilities"]
        found = answer["probabilities"]
        if kind == "multi_label":
            assert sorted(answer["labels"]) == sorted(row["predicted"])
            found = list(found.values())
        else:
            assert answer["choice"] == row["predicted"]
            assert answer["answer"] == row["choices"][row["predicted"]]
        np.testing.assert_allclose(found, wanted, atol=1e-5)
    predict.main(ask)
    assert "film" in capsys.readouterr().out


@pytest.mark.long
def test_choices_on_the_command_line(exported, capsys):
    out = exported("multiple_choice")
    ask = [str(out), "it was"]
    capsys.readouterr()
    predict.main([*ask, "--choice", "film", "--choice", "very good", "--json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["choices"] == ["film", "very good"]
    assert answer["answer"] == answer["choices"][answer["choice"]]
    assert sum(answer["probabilities"]) == pytest.approx(1)
    with pytest.raises(UserError, match="two or more choices with --choice"):
        predict.main(ask)
    with pytest.raises(UserError, match="--text_b or --choice, not both"):
        predict.main([*ask, "--choice", "a", "--text_b", "b"])
    with pytest.raises(UserError, match="a question and choices; name their"):
        predict.main([*ask, "--input", "a.tsv", "--text_column", "q"])
    import tensorflow as tf

    model = tf.saved_model.load(str(out / "1"))
    choose = model.signatures["serving_default"]
    for shape in ((0, 2), (0, 0), (2, 0)):
        answer = choose(
            question=tf.zeros(shape[:1], tf.string),
            choices=tf.zeros(shape, tf.string),
        )
        assert answer["answer"].shape == shape[:1]


def validations(run):
    rows = read_lines(run / "metrics.jsonl")
    return [row for row in rows if row["split"] == "validation"]


def two_steps(run):
    """The options of two steps of the same run."""
    config = ["--config", str(run.parent / "regression.yaml")]
    return [*config, "--optimization.steps", "2", "--data.test", "null"]


def assert_same_figures(other, run):
    """51 rows in batches of 16 for two: the last one is not full.

    A correlation shows any example that is lost, doubled or out of order. Of
    answers that hardly differ, before the first step, it shows their last
    digits too: two that change places are 8e-5.
    """
    wanted, rows = validations(run)[0], validations(other)
    assert [row["step"] for row in rows] == [0, 2]
    for figure in ("mse", "loss"):
        assert rows[0][figure] == pytest.approx(wanted[figure], rel=1e-5)
    for figure in ("pearson", "spearman"):
        assert rows[0][figure] == pytest.approx(wanted[figure], abs=5e-4)


@pytest.mark.long
def test_replicas_give_the_same_figures(trained, tmp_path):
    run, _ = trained("regression")
    two = ["--runtime.strategy", "mirrored", "--runtime.devices", "2"]
    run_dir = ["--runtime.run_dir", str(tmp_path / "two")]
    finetune.main([*two_steps(run), *two, *run_dir])
    assert_same_figures(tmp_path / "two", run)


@pytest.mark.long
def test_workers_give_the_same_figures(trained, tmp_path):
    run, _ = trained("regression")
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.bind(("localhost", 0))
        ports = [sock.getsockname()[1] for sock in (first, second)]
    workers = []
    for index in range(2):
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        task = {"type": "worker", "index": index}
        command = [sys.executable, "-m", "trainers.finetune", *two_steps(run)]
        command += ["--runtime.run_dir", str(tmp_path / "workers")]
        workers.append(
            subprocess.Popen(
                command,
                env=os.environ
                | {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task})},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
    said = [worker.communicate(timeout=300)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert_same_figures(tmp_path / "workers", run)


def test_mistakes_are_named(trained, tmp_path):
    run, _ = trained("multi_label")
    config = ["--config", str(run.parent / "multi_label.yaml")]
    config += ["--runtime.run_dir", str(tmp_path / "run")]
    with pytest.raises(UserError, match="no task 'multi'.*nearest is multi_la"):
        finetune.main([*config, "--task", "multi"])
    with pytest.raises(UserError, match="data.metric of micro_f1, .*'f2'"):
        finetune.main([*config, "--data.metric", "f2"])
    with pytest.raises(UserError, match="wanted data.label_separator"):
        finetune.main([*config, "--data.label_separator", ""])
    words = tmp_path / "words.tsv"
    words.write_text("text\tlabel\nfun\t1.5\nfun\tnan\n", encoding="utf-8")
    train = [f"--data.{n}={words}" for n in ("train", "validation", "test")]
    with pytest.raises(UserError, match="tsv:3: 'nan' is no number; scores"):
        finetune.main([*config, *train, "--task", "regression"])
    with pytest.raises(UserError, match="tsv:1: there is no column 'question"):
        finetune.main([*config, *train, "--task", "multiple_choice"])
    assert not (tmp_path / "run").exists()


def test_weights_of_another_tasks_head_are_named(trained, tmp_path):
    run, data = trained("regression")
    other, _ = trained("multiple_choice")
    mixed = tmp_path / "mixed"
    shutil.copytree(run, mixed)
    shutil.copy(other / "best.safetensors", mixed)
    message = r"holds the weights of another task: .* heads scorer, and reg"
    with pytest.raises(UserError, match=message):
        export.main([str(mixed), "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=message):
        evaluate.main([str(mixed), "--data", str(data)])


def test_all_kinds_are_there():
    for name in KINDS:
        kind = find_kind(name)
        assert kind.name == name
        assert kind.metrics and kind.outputs
