import csv
import json
import pathlib
import re

import numpy as np
import pytest

from tfbert.config import BertConfig
from tfbert.converters import own
from tfbert.errors import UserError
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.weights.portable_model import PortableModel, Vocabulary
from tfbert.weights.variables import arrays_of, named_variables
from trainers import evaluate
from trainers.files.run_folder import RunFolder
from trainers.pretraining import minimal_pairs
from trainers.reports import errors, tables

SAMPLE = pathlib.Path("trainers/sample/minimal_pairs.csv")
CONFIG = BertConfig(
    vocab_size=64,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=12,
    initializer_range=0.5,
)
PAIRS = [
    ("the film was good", "the film good was", "order"),
    ("it is not bad", "it not is bad", "order"),
    ("a very long story", "an very long story", "article"),
    ("fun " * 40, "fun " * 39 + "good", "too long"),
]


def write_folder(path, vocabulary, task):
    tensors = arrays_of(named_variables(PretrainingTask(CONFIG, seed=3)))
    if task == "encoder":
        tensors = {k: v for k, v in tensors.items() if k.startswith("encoder")}
    unused = [f"[unused{i}]" for i in range(64 - len(vocabulary))]
    model = PortableModel(
        kind="tfbert",
        source=path,
        config=CONFIG,
        tensors=tensors,
        task=task,
        vocabulary=Vocabulary((*vocabulary, *unused), True),
    )
    path.mkdir()
    own.write(model, path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vocabulary):
    """A converted model, of random weights."""
    path = tmp_path_factory.mktemp("pairs") / "model"
    return write_folder(path, vocabulary, "pretraining")


def write(path, rows, names=(minimal_pairs.GOOD, minimal_pairs.BAD)):
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return path


def test_the_verb_judges_and_the_report_shows(folder, tmp_path, capsys):
    names = (minimal_pairs.GOOD, minimal_pairs.BAD, "phenomenon")
    data = write(tmp_path / "pairs.csv", PAIRS, names)
    asked = [str(folder), "--task", "minimal_pairs", "--data", str(data)]
    evaluate.main([*asked, "--batch_size", "3"])
    said = capsys.readouterr().out
    result = json.loads((folder / "evaluation-pairs.json").read_text())
    assert f"likelier one in {result['accuracy']:.1%}, 1 of them equal" in said
    lines = (folder / "predictions-pairs.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["line"] for row in rows] == [2, 3, 4, 5]
    for row in rows:
        good, bad = row["log_likelihood_good"], row["log_likelihood_bad"]
        assert row["right"] == (good > bad) and max(good, bad) < 0
    right = [row["right"] for row in rows]
    # Cut to the rows of the model both are one text.
    assert not right[3] and result["ties"] == 1
    assert result["accuracy"] == np.mean(right)
    assert result["per_phenomenon"] == {
        "order": np.mean(right[:2]),
        "article": right[2],
        "too long": 0,
    }
    assert "Next:" not in said  # A converted model has nothing to report.
    run = RunFolder(folder)
    page = tables.evaluations(run) + errors.section(folder, run.evaluations)
    assert re.search(r"article</td><td[^>]*>(0|100)\.0%", page)
    assert "too long, likelier by 0.00 nats" in page


def test_the_other_way_round_the_other_half_is_right(folder, tmp_path):
    data = write(tmp_path / "a.csv", [pair[:2] for pair in PAIRS])
    turned = write(tmp_path / "b.csv", [pair[1::-1] for pair in PAIRS])
    one, other = (
        minimal_pairs.measure(folder, file, "x") for file in (data, turned)
    )
    assert one["accuracy"] + other["accuracy"] == 1 - one["ties"] / 4
    assert "per_phenomenon" not in one


def test_mistakes_are_named(folder, tmp_path, vocabulary):
    same = write(tmp_path / "same.csv", [("a b", "c d"), ("a b", "a b")])
    with pytest.raises(UserError, match=r"same.csv:3: wanted two sentences"):
        minimal_pairs.measure(folder, same, "x")
    other = write(tmp_path / "other.csv", [("a", "b")], ("good", "bad"))
    with pytest.raises(UserError, match="no column 'sentence_good'"):
        minimal_pairs.measure(folder, other, "x")
    data = write(tmp_path / "pairs.csv", [("a b", "c d")])
    encoder = write_folder(tmp_path / "encoder", vocabulary, "encoder")
    with pytest.raises(UserError, match="by a masked-LM head, and .*encoder"):
        minimal_pairs.measure(encoder, data, "x")
    with pytest.raises(UserError, match="wanted the folder of a run.*nowhere"):
        minimal_pairs.measure(tmp_path / "nowhere", data, "x")
    asked = [str(folder), "--task", "minimal_pairs", "--data", str(data)]
    with pytest.raises(UserError, match="on one device, got --devices 2"):
        evaluate.main([*asked, "--devices", "2"])


def test_the_sample_is_two_hundred_pairs_of_ten_kinds():
    pairs = minimal_pairs.read_pairs(SAMPLE)
    kinds, counts = np.unique(pairs.phenomena, return_counts=True)
    assert len(kinds) == 10 and set(counts) == {20}
    assert len({*pairs.good, *pairs.bad}) == 400
    # No rule on length alone tells them apart.
    words = [
        len(good.split()) - len(bad.split())
        for good, bad in zip(pairs.good, pairs.bad, strict=True)
    ]
    assert not any(words)
