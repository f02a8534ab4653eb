import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from tfbert.errors import UserError
from trainers import evaluate
from trainers.files.console import Console
from trainers.finetuning import evaluation
from trainers.finetuning.kinds.classification import ClassificationEvaluation
from trainers.finetuning.saved_run import FinetunedRun

# Predicted: a, b, a, b, c.
PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1, 0.0],
        [0.1, 0.8, 0.1, 0.0],
        [0.5, 0.4, 0.1, 0.0],
        [0.2, 0.6, 0.2, 0.0],
        [0.2, 0.3, 0.5, 0.0],
    ]
)


@pytest.fixture
def result():
    with np.errstate(divide="ignore"):
        logs = np.log(PROBABILITIES)
    return ClassificationEvaluation.of(
        ["a", "b", "c", "unseen"], ["a", "b", "b", "b", "a"], logs, step=3
    )


def test_figures_are_those_of_the_definitions(result):
    assert result.accuracy == 3 / 5
    right = [0.7, 0.8, 0.4, 0.6, 0.2]
    assert result.loss == pytest.approx(-np.mean(np.log(right)))
    assert result.majority_label == "b"
    assert result.majority_baseline == 3 / 5
    assert result.per_class["a"] == {
        "precision": 0.5,
        "recall": 0.5,
        "f1": 0.5,
        "support": 2,
    }
    assert result.per_class["b"]["precision"] == 1
    assert result.per_class["b"]["recall"] == pytest.approx(2 / 3)
    assert result.per_class["c"]["f1"] == 0
    # "unseen" is neither in the data nor predicted, and does not count.
    assert result.macro_f1 == pytest.approx((0.5 + 0.8 + 0) / 3)


def test_figures_for_json(result):
    figures = result.to_dict()
    assert json.loads(json.dumps(figures)) == figures
    assert figures["confusion"] == [
        [1, 0, 1, 0],
        [1, 2, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]
    assert figures["examples"] == 5
    assert figures["step"] == 3


def test_the_table_shows_the_lowest_of_many_classes(result):
    table = result.table("data.tsv", most=2)
    assert table.row_count == 2
    assert "2 lowest of 4" in str(table.title)
    assert result.table("data.tsv").row_count == 4


def test_the_verb_writes_figures_and_predictions(
    single_run, single_data, capsys
):
    evaluate.main([str(single_run), "--data", str(single_data)])
    printed = capsys.readouterr().out
    assert "accuracy" in printed and "très bien" in printed
    figures = json.loads(
        (single_run / "evaluation-reviews.json").read_text("utf-8")
    )
    assert figures["examples"] == 7
    assert figures["labels"] == ["bad", "good", "très bien"]
    assert len(figures["data_sha256"]) == 64
    lines = (single_run / "predictions-reviews.jsonl").read_text("utf-8")
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["line"] for row in rows] == list(range(2, 9))
    right = [row["label"] == row["predicted"] for row in rows]
    assert figures["accuracy"] == np.mean(right)
    for row in rows:
        assert sum(row["probabilities"]) == pytest.approx(1)
        best = np.argmax(row["probabilities"])
        assert row["predicted"] == figures["labels"][best]


@pytest.mark.long
def test_batches_do_not_change_the_figures(single_run, single_data):
    results = [
        evaluation.evaluate(single_run, single_data, "x", batch_size=size)
        for size in (1, 4, 7, 100)
    ]
    for result in results[1:]:
        assert result.accuracy == results[0].accuracy
        np.testing.assert_allclose(
            result.log_probabilities, results[0].log_probabilities, atol=1e-5
        )


def test_an_unknown_label_names_file_line_and_known_ones(single_run, tmp_path):
    data = tmp_path / "new.tsv"
    data.write_text("text\tlabel\nfun\tgood\nfun\tgodo\n", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"new\.tsv:3: unknown label 'godo'"
    ) as e:
        evaluation.evaluate(single_run, data)
    assert "nearest first: good, bad, très bien" in str(e.value)
    assert not (single_run / "evaluation-new.json").exists()


def test_a_missing_column_is_named(pair_run, single_data):
    with pytest.raises(UserError, match="no column 'first'.*: text, label"):
        evaluation.evaluate(pair_run, single_data)


def test_settings_are_checked(single_run, single_data):
    argv = [str(single_run), "--data", str(single_data), "--batch_size", "0"]
    with pytest.raises(UserError, match="batch_size above 0, got 0"):
        evaluate.main(argv)


def broken_run(single_run, tmp_path, **changes):
    run = tmp_path / "run"
    shutil.copytree(single_run, run)
    about = json.loads((run / "run.json").read_text("utf-8"))
    about.update(changes)
    about = {k: v for k, v in about.items() if v is not None}
    (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
    return run


def test_other_runs_are_refused(single_run, tmp_path):
    run = broken_run(single_run, tmp_path, kind="pretraining")
    with pytest.raises(UserError, match="wanted a run of `tfbert finetune`"):
        FinetunedRun(run)


def test_a_broken_run_file_is_named(single_run, tmp_path):
    run = broken_run(single_run, tmp_path, labels=None)
    with pytest.raises(UserError, match="no usable 'labels'"):
        FinetunedRun(run)


def test_weights_of_another_number_of_classes_are_refused(single_run, tmp_path):
    run = broken_run(single_run, tmp_path, labels=["a", "b"])
    with pytest.raises(UserError, match="classifier/kernel"):
        FinetunedRun(run).load_task()


@pytest.mark.parametrize("name", ["a/b/../../../zz", "/tmp/zz", "..", "b/c"])
def test_results_stay_in_the_folder_of_the_run(name, single_run, single_data):
    argv = [str(single_run), "--data", str(single_data), "--name", name]
    with pytest.raises(UserError, match="--name, such as .* which is a path"):
        evaluate.main(argv)


@pytest.mark.long
def test_devices_share_the_rows(single_run, single_data):
    """In a process of its own: logical devices are made before all else."""
    for devices, name in ((1, "one"), (2, "two")):
        argv = [str(single_run), "--data", str(single_data), "--name", name]
        argv += ["--devices", str(devices), "--batch_size", "3"]
        command = [sys.executable, "-m", "trainers.cli", "evaluate", *argv]
        subprocess.run(command, check=True, capture_output=True)
    one, two = (
        [
            json.loads(line)
            for line in (single_run / f"predictions-{name}.jsonl").open()
        ]
        for name in ("one", "two")
    )
    assert len(one) == 7
    for a, b in zip(one, two, strict=True):
        np.testing.assert_allclose(
            a.pop("probabilities"), b.pop("probabilities"), atol=1e-6
        )
        assert a == b


def test_devices_are_counted_from_one(single_run, single_data):
    argv = [str(single_run), "--data", str(single_data), "--devices", "0"]
    with pytest.raises(UserError, match="wanted devices from 1, got 0"):
        evaluate.main(argv)


@pytest.mark.parametrize("width", [40, 80])
def test_a_table_fits_the_terminal_and_cuts_nothing(width):
    labels = ["a" * 30 + "b" * 30, "c"]
    with np.errstate(divide="ignore"):
        logs = np.log(np.array([[0.9, 0.1], [0.2, 0.8]]))
    result = ClassificationEvaluation.of(labels, labels, logs, step=3)
    stream = io.StringIO()
    Console(file=stream, width=width).show(result.table("some.tsv"))
    printed = stream.getvalue()
    assert max(map(len, printed.splitlines())) <= width
    for letter, times in (("a", 30), ("b", 30)):
        rows = [line for line in printed.splitlines() if "\u2502" in line]
        assert (
            sum(row.split("\u2502")[1].count(letter) for row in rows) == times
        )
    # Five columns of figures need more than 40.
    assert width == 40 or "1.0000" in printed
    assert "\u2026" not in printed
