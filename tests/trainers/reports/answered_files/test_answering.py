import gzip
import json
import os
import random
import shutil

import numpy as np
import pytest

from tfbert.errors import UserError
from trainers import predict
from trainers.reports.answered_files import part_file, windows
from trainers.reports.served import asking, model_files

WORDS = "a warm funny film this story was dull very bad good plots".split()


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """Windows of two batches of four rows; what is made is soon certain."""
    monkeypatch.setattr(windows, "BATCHES", 2)
    monkeypatch.setattr(part_file, "SECONDS", 0.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """37 rows of all lengths, the last of which is bad."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("data") / "rows.csv"
    rows = [
        f'{row},"{" ".join(draw.choices(WORDS, k=1 + row * 7 % 19))}"\n'
        for row in range(37)
    ]
    path.write_text("id,text\n" + "".join(rows) + "37,\n")
    return path


def ask(export, data, output, *options):
    predict.main(
        [str(export), "--input", str(data), "--output", str(output)]
        + ["--batch_size", "4", "--bad_rows", "skip", *map(str, options)]
    )
    return output.read_bytes()


@pytest.fixture(scope="module")
def whole(single_export, data, tmp_path_factory):
    """The bytes of an output that was never interrupted."""
    output = tmp_path_factory.mktemp("whole") / "out.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BATCHES", 2)
        return ask(single_export, data, output)


def test_rows_come_in_order_with_their_answers(
    single_export, data, whole, capsys
):
    rows = [json.loads(line) for line in whole.splitlines()]
    assert [row["id"] for row in rows] == [str(i) for i in range(37)]
    model = asking.load_model(single_export / "1")
    alone = list(model.answer([(row["text"],) for row in rows]))
    assert [r["label"] for r in rows] == [a["label"] for a in alone]
    np.testing.assert_allclose(
        [list(r["probabilities"].values()) for r in rows],
        [list(a["probabilities"].values()) for a in alone],
        atol=1e-5,
    )


def test_batches_are_of_like_length(single_export, data, monkeypatch):
    asked = []
    answer = asking.Asked.answer_batch

    def noted(self, inputs):
        asked.append([len(text) for (text,) in inputs])
        return answer(self, inputs)

    monkeypatch.setattr(asking.Asked, "answer_batch", noted)
    ask(single_export, data, data.with_name("like.csv"))
    assert max(map(len, asked)) == 4
    for first, second in zip(asked[::2], asked[1::2], strict=False):
        assert max(first) <= min(second)


def test_what_is_said(single_export, data, tmp_path, capsys):
    ask(single_export, data, tmp_path / "out.tsv")
    said = capsys.readouterr().out
    assert "left out, bad rows: 1" in said
    assert f"All 37 are in {tmp_path / 'out.tsv'}." in said
    assert os.listdir(tmp_path) == ["out.tsv"]
    ask(single_export, tmp_path / "out.tsv", tmp_path / "again.csv")
    said = capsys.readouterr().out
    assert "The input has a column label: the answers' is predicted_la" in said


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(0, marks=pytest.mark.long),
        8,
        pytest.param(32, marks=pytest.mark.long),
    ],
)
def test_goes_on_after_a_kill(
    single_export, data, whole, tmp_path, monkeypatch, capsys, rows
):
    output = tmp_path / "out.jsonl"
    stop_after(monkeypatch, rows // 8)
    with pytest.raises(KeyboardInterrupt):
        ask(single_export, data, output)
    monkeypatch.undo()
    monkeypatch.setattr(windows, "BATCHES", 2)
    assert not output.exists()
    part = tmp_path / "out.jsonl.part"
    part.write_bytes(part.read_bytes() + b'{"half')
    # Packed, it is the same input.
    packed = tmp_path / "rows.csv.gz"
    packed.write_bytes(gzip.compress(data.read_bytes()))
    assert ask(single_export, packed, output) == whole
    said = capsys.readouterr().out
    assert rows == 0 or f"holds the answers to {rows:,} rows" in said
    assert f"Answered {37 - rows} rows" in said


def stop_after(monkeypatch, count):
    """Ends an answering when so many windows are written."""
    add = part_file.PartFile.add

    def counted(self, *what):
        nonlocal count
        if not count:
            raise KeyboardInterrupt
        count -= 1
        add(self, *what)

    monkeypatch.setattr(part_file.PartFile, "add", counted)


@pytest.fixture
def begun(single_export, data, tmp_path):
    """An output of which 16 rows are made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "BATCHES", 2)
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            ask(single_export, data, tmp_path / "out.jsonl")
    return tmp_path / "out.jsonl"


def test_another_input_is_refused(single_export, data, begun, tmp_path):
    other = tmp_path / "other.csv"
    other.write_text(data.read_text().replace("\n3,", "\n4,"))
    with pytest.raises(UserError, match="another input: its first 16 rows dif"):
        ask(single_export, other, begun)
    other.write_text("\n".join(data.read_text().split("\n")[:9]) + "\n")
    with pytest.raises(UserError, match="another input: it has 8 rows, not 16"):
        ask(single_export, other, begun)
    other.write_text("\n".join(data.read_text().split("\n")[:12]) + "\n")
    with pytest.raises(UserError, match="another input: it has 11 rows, not 1"):
        ask(single_export, other, begun)


@pytest.mark.long
def test_another_export_is_refused(pair_export, single_export, data, begun):
    with pytest.raises(UserError, match="begun with another export: .*; or re"):
        argv = ["--text_column", "text", "--text_column", "id"]
        ask(pair_export, data, begun, *argv)
    with pytest.raises(UserError, match="another signature: serving_default"):
        ask(single_export, data, begun, "--signature", "embed")


def test_a_row_that_the_model_refuses_is_named(
    single_export, data, tmp_path, monkeypatch
):
    answer = asking.Asked.answer_batch

    def picky(self, inputs):
        if any(text.endswith("bad") for (text,) in inputs):
            raise UserError("too bad")
        return answer(self, inputs)

    monkeypatch.setattr(asking.Asked, "answer_batch", picky)
    lines = data.read_text().split("\n")
    wanted = next(i for i, x in enumerate(lines, 1) if x.endswith('bad"'))
    with pytest.raises(UserError, match=rf"rows.csv:{wanted}: too bad"):
        ask(single_export, data, tmp_path / "out.csv")


def test_workers_give_the_same(single_export, data, whole, tmp_path):
    found = ask(single_export, data, tmp_path / "o.jsonl", "--workers", 2)
    same_but_for_rounding(found, whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batch_size", "0"], "batch_size of 1 or more, got 0"),
        (["--workers", "-1"], "workers of 1 or more, got -1"),
        (["--text_column", "txet"], "no column 'txet'. The columns are: text"),
        (["--signature", "x"], "there is no signature 'x'"),
        (["some text"], "no texts beside it"),
    ],
)
def test_mistakes_are_named(single_export, data, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        ask(single_export, data, tmp_path / "out.csv", *options)


def test_files_that_cannot_be(single_export, data, tmp_path):
    with pytest.raises(UserError, match="is the input; name another --outpu"):
        ask(single_export, data, data)
    with pytest.raises(UserError, match="ends in .jsonl, .csv, .tsv"):
        ask(single_export, data, tmp_path / "out.txt")
    (tmp_path / "out.csv").write_text("mine")
    with pytest.raises(UserError, match="out.csv exists already"):
        ask(single_export, data, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == "mine"


def test_the_fingerprint_is_of_what_answers(single_export, tmp_path):
    copy = shutil.copytree(single_export / "1", tmp_path / "copy")

    def fingerprint(version):
        return model_files.of_export(version, "x").fingerprint()

    same = fingerprint(single_export / "1")
    assert fingerprint(copy) == same
    (copy / "README.md").write_text("other words")
    assert fingerprint(copy) == same
    [weights] = (copy / "variables").glob("*.data*")
    data = bytearray(weights.read_bytes())
    data[-9] ^= 1
    weights.write_bytes(data)
    assert fingerprint(copy) != same


def test_a_run_answers_as_its_export(single_run, data, whole, tmp_path, capsys):
    found = ask(single_run, data, tmp_path / "out.jsonl")
    same_but_for_rounding(found, whole)


def same_but_for_rounding(found, wanted):
    found, wanted = (data.splitlines() for data in (found, wanted))
    for row, one in zip(map(json.loads, found), wanted, strict=True):
        one = json.loads(one)
        assert row.pop("probabilities") == pytest.approx(
            one.pop("probabilities"), abs=1e-5
        )
        assert row == one


@pytest.mark.long
def test_a_run_answers_in_processes(single_run, data, whole, tmp_path):
    output = tmp_path / "out.jsonl"
    found = ask(single_run, data, output, "--workers", 2)
    same_but_for_rounding(found, whole)


@pytest.mark.long
def test_a_run_goes_on_unless_it_has_changed(
    single_run, data, tmp_path, monkeypatch, capsys
):
    run = shutil.copytree(single_run, tmp_path / "run")
    wanted = ask(run, data, tmp_path / "whole.jsonl")
    output = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            ask(run, data, output)
    # What a run writes beside its model matters not.
    (run / "evaluation-x.json").write_text("{}")
    labels = (run / "run.json").read_text()
    (run / "run.json").write_text(labels.replace("bad", "worse"))
    with pytest.raises(UserError, match="begun with another run"):
        ask(run, data, output)
    (run / "run.json").write_text(labels)
    assert ask(run, data, output) == wanted
    assert "holds the answers to 16 rows" in capsys.readouterr().out
