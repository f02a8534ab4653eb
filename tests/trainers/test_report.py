import html.parser
import json
import math
import re

import numpy as np
import pytest
from safetensors.numpy import save_file

from tfbert.errors import UserError
from trainers import command, report
from trainers.files import exit_status
from trainers.files.run_folder import RunFolder
from trainers.reports import curves, page, tables
from trainers.reports.pages import one_run

VOID = {"meta", "br"}


class Checker(html.parser.HTMLParser):
    """Fails on tags that are not closed, ids given twice, foreign files."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.words = [], set(), [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        assert tag not in ("script", "link", "img", "iframe")
        if "id" in attributes:
            assert attributes["id"] not in self.ids
            self.ids.add(attributes["id"])
        for name in ("href", "src", "xlink:href"):
            if name in attributes:
                self.links.append(attributes[name])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @classmethod
    def check(cls, text):
        checker = cls()
        checker.feed(text)
        assert not checker.open
        for link in checker.links:
            assert link.startswith("#") and link[1:] in checker.ids
        for target in re.findall(r"url\(#([^)]+)\)", text):
            assert target in checker.ids
        assert "url(http" not in text and "@import" not in text
        return " ".join(checker.words)


def train_row(step, **more):
    return {
        "step": step,
        "time": 1.7e9 + step,
        "split": "train",
        "steps": 10,
        "loss": 5 + 4 / step,
        "masked_lm_loss": 5 + 4 / step,
        "masked_lm_accuracy": 0.1,
        "learning_rate": 1e-4,
        "gradient_norm": 1.5,
        "tokens": 1000,
        "skipped": 0,
        "seconds": 2.0,
        "tokens_per_second": 500.0,
        **more,
    }


MANIFEST = {
    "documents": 1234,
    "tokens": 9000,
    "special_tokens": 1000,
    "unknown_tokens": 8,
    "rows": 100,
    "sequence_length": 100,
    "text_bytes": 32000,
    "vocabulary": {"size": 8192},
    "document_lengths": {"3": 5, "4": 10},
    "rejected": {"duplicate": 17},
    "sources": [{"file": "a<b>.txt", "documents": 3, "lines": 9, "bytes": 10}],
}


@pytest.fixture
def pretraining(tmp_path):
    run, records = tmp_path / "run", tmp_path / "records"
    checkpoint = run / "checkpoints" / "step-00000030"
    checkpoint.mkdir(parents=True)
    (records / "held_out").mkdir(parents=True)
    rows = [train_row(step) for step in (10, 20, 30)]
    rows[1] |= {"loss": None, "skipped": 1}
    rows += [
        {"step": s, "split": "validation", "loss": x, "masked_lm_accuracy": 0.2}
        for s, x in ((15, 4.5), (30, 4.75))
    ]
    write(run / "metrics.jsonl", *rows)
    write(records / "manifest.json", MANIFEST)
    write(records / "held_out" / "manifest.json", {"documents": 55})
    write(run / "run.json", {"kind": "pretraining", "records": str(records)})
    write(run / "config.json", {"hidden_size": 77})
    write(
        run / "environment.json",
        {
            "host": "node7",
            "cpu": {"model": "Some CPU", "usable_cores": 2},
            "devices": [{"name": "/physical_device:CPU:0"}],
            "versions": {"keras": "3.15.1"},
            "git": {"commit": "abcdef0123456789", "changed": True},
            "starts": [{"time": "t", "host": "node7", "command": "a <b>"}],
        },
    )
    (run / "settings.yaml").write_text(
        "optimization: {steps: 40, clip_norm: 1.0, nothing: null}\n"
        "data: {masking: {rate: 0.15}}\nseed: 3\n"
    )
    save_file(
        {"a": np.zeros(1500, "float32")}, checkpoint / "model.safetensors"
    )
    return run


def write(path, *objects):
    path.write_text("".join(json.dumps(item) + "\n" for item in objects))


def test_the_page_of_a_pretraining_run(pretraining, capsys):
    report.main([str(pretraining)])
    text = (pretraining / "report.html").read_text()
    words = Checker.check(text)
    for word in (
        "Loss on held-out data",
        "4.7500",
        "best 4.5000 at 15",
        "Masked-LM accuracy on held-out data",
        "of 40 planned",
        "Skipped steps",
        "1,234",
        "8 (0.100% of tokens)",
        "90.00%",
        "0.33",  # epochs: 3000 of 9000 tokens
        "duplicate",
        "a<b>.txt",
        "8 to 15",
        "masking.rate",
        "77",
        "Some CPU",
        "abcdef012345 (with changes)",
        "a <b>",
        " kB",
        "nats per prediction",
        "tokens per second",
    ):
        assert word in words, word
    assert "nothing" not in words
    # The first is drawn again for phones.
    assert text.count("<svg") == 6
    assert "#0a0b0" not in text  # every stand-in colour was replaced
    printed = capsys.readouterr().out
    assert "Tokens per second: 500 (median)" in printed
    assert printed.splitlines()[-1] == f"Report: {pretraining}/report.html"


def test_the_page_of_a_classification_run(tmp_path):
    labels = ["good", "<bad>"]
    rows = [
        {"step": s, "split": split, "loss": 1.0 / s, "accuracy": 0.5}
        for s, split in ((1, "train"), (2, "train"), (2, "validation"))
    ]
    write(tmp_path / "metrics.jsonl", *rows)
    write(tmp_path / "run.json", {"kind": "classification", "labels": labels})
    (tmp_path / "settings.yaml").write_text("data: {train: a/train.tsv}\n")
    write(
        tmp_path / "evaluation-test.json",
        {
            "accuracy": 0.75,
            "majority_baseline": 0.5,
            "data_sha256": "0123abcd",
            "per_class": {"good": {"precision": 0.5, "f1": 1, "support": 4}},
            "labels": labels,
            "confusion": [[3, 1], [0, 0]],
        },
    )
    words = Checker.check(one_run.render(RunFolder(tmp_path)))
    for word in (
        "Accuracy on test",
        "always the commonest: 50.0%",
        "Accuracy on validation data",
        "evaluation-test.json",
        "0.500",
        "<bad>",
        "Confusion matrix",
        "a/train.tsv",
        "good, <bad>",
    ):
        assert word in words, word
    assert "0123abcd" not in words


def test_a_young_run_without_anything_but_one_row(tmp_path):
    write(tmp_path / "metrics.jsonl", {"step": 1, "split": "train", "loss": 2})
    text = one_run.render(RunFolder(tmp_path))
    words = Checker.check(text)
    assert "Training loss" in words
    assert text.count("<svg") == 2


def test_a_run_of_nothing_but_nan_has_a_page(tmp_path):
    row = train_row(1, loss=None, masked_lm_loss=None, gradient_norm=None)
    write(tmp_path / "metrics.jsonl", row)
    Checker.check(one_run.render(RunFolder(tmp_path)))


def test_records_that_are_gone(tmp_path):
    write(tmp_path / "metrics.jsonl", train_row(1))
    write(tmp_path / "run.json", {"records": str(tmp_path / "gone")})
    words = Checker.check(one_run.render(RunFolder(tmp_path)))
    assert "the records are not there any more" in words


def test_nothing_logged_yet(tmp_path):
    write(tmp_path / "run.json", {})
    with pytest.raises(UserError, match="no metrics.jsonl with a row yet"):
        report.write_report([tmp_path])
    assert not (tmp_path / "report.html").exists()


def test_not_a_run_folder_exits_with_one_message(tmp_path, capsys):
    status = command.run(report.main, [str(tmp_path)])
    assert status == exit_status.USER_ERROR
    assert capsys.readouterr().err.startswith("error: wanted a run folder")


def test_a_folder_of_runs_names_them(pretraining):
    with pytest.raises(UserError, match=f"wrote, such as {pretraining}$"):
        report.write_report([pretraining.parent])


def test_what_happened_is_told(pretraining):
    assert "Events" not in one_run.render(RunFolder(pretraining))
    write(
        pretraining / "events.jsonl",
        {"time": 1.7e9, "event": "restored", "step": 10},
        *[
            {"event": "skipped", "step": s, "message": "<nan>"}
            for s in [20] * 30
        ],
        {"time": 1.7e9, "event": "save_failed", "step": 30, "message": "full"},
    )
    words = Checker.check(one_run.render(RunFolder(pretraining)))
    for word in ("save failed", "full", "<nan>", "the last 30 of 32"):
        assert word in words, word
    assert words.index("save failed") < words.index("<nan>")
    assert "restored" not in words


def test_a_page_that_cannot_be_written(pretraining, tmp_path):
    (tmp_path / "file").write_text("")
    output = tmp_path / "file" / "page.html"
    with pytest.raises(UserError, match="could not write the report"):
        report.write_report([pretraining], output)


def test_another_place_for_the_page(pretraining, tmp_path):
    output = tmp_path / "page.html"
    assert report.write_report([pretraining], output) == output
    assert not (pretraining / "report.html").exists()


def test_a_long_run_has_a_small_page(tmp_path):
    rows = [train_row(step) for step in range(1, 20001)]
    write(tmp_path / "metrics.jsonl", *rows)
    text = one_run.render(RunFolder(tmp_path))
    assert len(text) < 400_000


def test_many_classes_and_many_sources_are_cut(tmp_path):
    classes = {f"c{i:03}": {"f1": i, "support": 1} for i in range(50)}
    labels = list(classes)
    matrix = [[0] * 50 for _ in labels]
    write(tmp_path / "run.json", {})
    write(
        tmp_path / "evaluation-a.json",
        {"per_class": classes, "labels": labels, "confusion": matrix},
    )
    words = Checker.check(tables.evaluations(RunFolder(tmp_path)))
    assert "the 30 lowest of 50 classes" in words
    sources = [{"file": f"s{i}"} for i in range(40)]
    words = Checker.check(tables._sources({"sources": sources}))
    assert "40 source files" in words and "the first 30" in words


@pytest.mark.parametrize("matrix", [None, 3, [[1]], [[1, 2], [3]]])
def test_a_matrix_of_another_shape_is_left_out(matrix):
    assert not tables._is_square(matrix, ["a", "b"])


def test_numbers_for_people():
    assert page.text(None) == '<span class="muted">none</span>'
    assert page.text(True) == "yes" and page.text(1234) == "1,234"


def test_two_objectives_have_a_curve_each(tmp_path):
    rows = [
        {"step": s, "split": "train", "loss": 3, "masked_lm_loss": 2}
        | {"next_sentence_loss": 1, "next_sentence_accuracy": math.pi / 4}
        for s in (1, 2)
    ]
    write(tmp_path / "metrics.jsonl", *rows)
    names = [plot.name for plot in curves.plots_of(RunFolder(tmp_path))]
    assert names == [
        "loss",
        "masked-lm-loss",
        "next-sentence-loss",
        "next-sentence-accuracy",
    ]
