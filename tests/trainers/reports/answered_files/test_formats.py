import csv
import json

import pytest

from tfbert.errors import UserError
from tfrecords.labelled.files import tables
from trainers.reports.answered_files.formats import RowFormat

ROWS = [
    {"id": "1", "text": 'a "b", c'},
    {"id": "2", "text": "two\nlines\tof"},
    {"id": "3", "text": '"é"\u2028'},
]
ANSWERS = [
    {"label": label, "probabilities": {"bad": low, "good": 1 - low}}
    for label, low in (("bad", 0.75), ("good", 0.25), ("good", 0.5))
]
PLACES = ["f:2", "f:4", "f:5"]


def written(path, rows=ROWS, answers=ANSWERS, plain=False):
    form = RowFormat(path, plain)
    data = form.lines(PLACES[:2], rows[:2], answers[:2])
    again = RowFormat(path, plain, json.loads(json.dumps(form.names)))
    path.write_bytes(data + again.lines(PLACES[2:], rows[2:], answers[2:]))
    return path


def test_json_lines_have_all(tmp_path):
    path = written(tmp_path / "a.jsonl")
    found = [json.loads(x) for x in path.read_text("utf-8").split("\n") if x]
    assert found == [a | b for a, b in zip(ROWS, ANSWERS, strict=True)]
    assert "é" in path.read_text("utf-8")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_cells_come_back(tmp_path, name):
    path = written(tmp_path / name)
    with open(path, encoding="utf-8", newline="") as stream:
        mark = "," if name == "a.csv" else "\t"
        found = list(csv.DictReader(stream, delimiter=mark))
    for row, original, answer in zip(found, ROWS, ANSWERS, strict=True):
        assert {name: row[name] for name in original} == original
        assert row["label"] == answer["label"]
        low = float(row["probabilities.bad"])
        assert low == answer["probabilities"]["bad"]
    table = tables.read_table(path, list(found[0]))
    assert table.columns["text"] == [row["text"] for row in ROWS]


def test_plain_tsv_stays_plain(tmp_path):
    rows = [{"text": f'"{x}, "'} for x in "abc"]
    path = written(tmp_path / "a.tsv", rows, plain=True)
    assert path.read_text().split("\n")[1].startswith('"a, "\tbad\t0.75')
    with pytest.raises(UserError, match="f:4: a tab or line break in 'two"):
        written(tmp_path / "b.tsv", plain=True)


def test_a_name_that_the_input_has(tmp_path):
    rows = [{"text": "x", "label": "mine"}] * 3
    path = written(tmp_path / "a.csv", rows)
    head = path.read_text().split("\n")[0].split(",")
    assert head[:3] == ["text", "label", "predicted_label"]
    form = RowFormat(path, False)
    form.lines(PLACES, rows, ANSWERS)
    assert form.renamed == {"label": "predicted_label"}
    rows = [{"label": "x", "predicted_label": "y"}] * 3
    with pytest.raises(UserError, match="f:2: the input has the columns 'lab"):
        written(tmp_path / "a.jsonl", rows)


def test_rows_of_other_columns(tmp_path):
    rows = [{"text": "x"}, {"text": "y", "more": [1]}, {"text": "z"}]
    written(tmp_path / "a.jsonl", rows)
    with pytest.raises(UserError, match="f:4: the columns text, more, but"):
        written(tmp_path / "a.csv", rows)
    rows[1] = {"text": "y", "label": 1}
    with pytest.raises(UserError, match="f:4: has 'label', a column of the an"):
        written(tmp_path / "a.jsonl", rows)


def test_values_of_json_in_cells(tmp_path):
    rows = [{"n": value} for value in (None, [1, "é"], {"a": True})]
    path = written(tmp_path / "a.csv", rows)
    with open(path, encoding="utf-8", newline="") as stream:
        found = [json.loads(row["n"]) for row in csv.DictReader(stream)]
    assert found == [None, [1, "é"], {"a": True}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_half_of_a_surrogate_pair_is_written_as_an_escape(tmp_path, name):
    rows = [{"text": "x\ud83d"}] * 3
    assert rb"\ud83d" in written(tmp_path / name, rows).read_bytes()


def test_another_ending(tmp_path):
    for name in ("a", "a.txt", "a.jsonl.gz"):
        with pytest.raises(UserError, match="ends in .jsonl, .csv, .tsv"):
            RowFormat(tmp_path / name, False)
