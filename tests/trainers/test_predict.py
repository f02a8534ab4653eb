import json
import subprocess
import sys

import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.serving.package import c_session
from trainers import evaluate, predict
from trainers.finetuning import evaluation, exporting
from trainers.finetuning.saved_run import FinetunedRun
from trainers.reports.answered_files import windows
from trainers.reports.served.exports import ExportOptions
from trainers.reports.served.session import ServedSession


def run(capsys, *argv):
    predict.main([str(word) for word in argv])
    return capsys.readouterr().out


def rows(capsys, *argv):
    return [json.loads(line) for line in run(capsys, *argv).splitlines()]


def test_prints_a_table(single_export, capsys):
    printed = run(capsys, single_export, "[bold]fun", "")
    assert "[bold]fun" in printed
    assert "probability" in printed


def test_json_has_text_label_and_probabilities(single_export, capsys):
    first, second = rows(capsys, single_export, "--json", "fun", "dull film")
    assert first["text"] == "fun"
    assert list(first["probabilities"]) == ["bad", "good", "très bien"]
    assert first["probabilities"][first["label"]] == max(
        first["probabilities"].values()
    )
    assert second["text"] == "dull film"


def test_a_labelled_file_gets_the_evaluators_answers(
    single_run, single_export, single_data, capsys
):
    evaluation.evaluate(single_run, single_data, "x")
    capsys.readouterr()
    lines = (single_run / "predictions-x.jsonl").read_text("utf-8").splitlines()
    offline = [json.loads(line) for line in lines]
    answers = rows(capsys, single_export, "--input", single_data, "--json")
    assert [a["label"] for a in answers] == [r["predicted"] for r in offline]
    np.testing.assert_allclose(
        [list(a["probabilities"].values()) for a in answers],
        [r["probabilities"] for r in offline],
        atol=1e-6,
    )


def test_tensorflow_is_not_imported(single_export, single_data, tmp_path):
    output = tmp_path / "answers.csv"
    files = ["--input", str(single_data), "--output", str(output)]
    program = (
        "import sys\n"
        "from trainers import predict\n"
        f"predict.main([{str(single_export)!r}, 'fun'])\n"
        f"predict.main([{str(single_export)!r}, *{files!r}])\n"
        "print(sorted({'tensorflow', 'keras'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.stdout.endswith("[]\n"), done.stderr


@pytest.mark.long
def test_pairs_from_words_and_files(pair_export, pair_data, tmp_path, capsys):
    argv = ["fun", "bad", "--text_b", "good", "--text_b", "dull"]
    answers = rows(capsys, pair_export, "--json", *argv)
    assert [(a["text_a"], a["text_b"]) for a in answers] == [
        ("fun", "good"),
        ("bad", "dull"),
    ]
    lines = tmp_path / "pairs.txt"
    lines.write_text("fun\tgood\nbad\tdull\n", encoding="utf-8")
    assert rows(capsys, pair_export, "--json", "--input", lines) == answers
    assert len(rows(capsys, pair_export, "--input", pair_data, "--json")) == 7


def test_more_texts_than_a_batch(single_export, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(windows, "BATCHES", 2)
    path = tmp_path / "a.txt"
    path.write_text("fun\n\nbad\nfilm\n", encoding="utf-8")
    argv = ["--input", path, "--json", "--batch_size", "1"]
    answers = rows(capsys, single_export, *argv)
    assert [a["text"] for a in answers] == ["fun", "bad", "film"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ([], "no text was given"),
        (["fun", "--text_b", "x"], "single sentences: leave --text_b out"),
        (["fun", "bad", "--text_b", "x"], "2 texts but 1 for --text_b"),
        (["fun", "--input", "none.tsv"], "no such file"),
        (["fun", "--jsom"], "nearest setting to 'jsom' is 'json'"),
    ],
)
def test_mistakes_are_named(single_export, argv, message):
    with pytest.raises(UserError, match=message):
        predict.main([str(single_export), *argv])


def test_a_pair_model_wants_pairs(pair_export, tmp_path):
    with pytest.raises(UserError, match="give the second one with --text_b"):
        predict.main([str(pair_export), "fun"])
    with pytest.raises(UserError, match="reads 2 columns of text"):
        predict.main(
            [str(pair_export), "--input", "a.tsv", "--text_column", "first"]
        )


def test_folders_that_are_no_export(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        predict.main([str(tmp_path / "none"), "fun"])
    with pytest.raises(UserError, match="holds no version"):
        predict.main([str(tmp_path), "fun"])
    version = tmp_path / "1"
    version.mkdir()
    (version / "saved_model.pb").write_bytes(b"cake")
    with pytest.raises(UserError, match="cannot be loaded as a SavedModel"):
        predict.main([str(tmp_path), "fun"])


def test_a_foreign_model_is_refused(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.double = tf.function(
        lambda x: {"y": 2 * x}, [tf.TensorSpec([], name="x")]
    )
    tf.saved_model.save(module, str(tmp_path / "1"), module.double)
    with pytest.raises(UserError, match="not with x"):
        predict.main([str(tmp_path), "fun"])


def test_a_graph_that_reads_files_is_not_loaded(tmp_path, monkeypatch):
    import tensorflow as tf

    module = tf.Module()
    module.read = tf.function(
        lambda text: {"score": tf.io.read_file(text[0])},
        [tf.TensorSpec([None], tf.string, "text")],
    )
    tf.saved_model.save(module, str(tmp_path / "1"), module.read)
    monkeypatch.setattr(c_session, "Session", None)
    with pytest.raises(UserError, match="export of tfbert has: ReadFile"):
        predict.main([str(tmp_path), "fun"])


def test_a_damaged_card_is_named(tmp_path):
    card = tmp_path / "1" / "assets.extra" / "model.json"
    card.parent.mkdir(parents=True)
    card.write_text("{")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(UserError, match="model.json is damaged"):
        predict.main([str(tmp_path), "fun"])


def test_after_two_dashes_all_is_text():
    order = predict._options_last
    assert order(["e", "--json", "a", "--", "--json", "-b"]) == [
        *["--json", "--", "e", "a", "--json", "-b"]
    ]
    assert order(["e", "--file=x", "a", "--text_b", "b"]) == [
        *["--file=x", "--text_b", "b", "--", "e", "a"]
    ]
    assert order(["-h"]) == ["-h", "--"]


def same_answers(found, wanted):
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        a, b = a.pop("probabilities"), b.pop("probabilities")
        assert list(a) == list(b)
        np.testing.assert_allclose(
            list(a.values()), list(b.values()), rtol=1e-5
        )
    assert found == wanted


def test_a_run_answers_as_its_export(
    single_run, single_export, single_data, capsys
):
    asked = ["--json", "fun", "dull film", "--input", single_data]
    found = rows(capsys, single_run, *asked)
    same_answers(found, rows(capsys, single_export, *asked))
    argv = [single_run, "fun", "--signature", "embed", "--json"]
    [vector] = rows(capsys, *argv)
    [other] = rows(capsys, single_export, *argv[1:])
    np.testing.assert_allclose(
        vector["embedding"], other["embedding"], atol=1e-5
    )
    with pytest.raises(UserError, match="no signature 'x'; wanted one of em"):
        predict.main([str(single_run), "fun", "--signature", "x"])


@pytest.mark.long
def test_a_run_of_pairs_answers_as_its_export(pair_run, pair_export, capsys):
    asked = ["--json", "fun", "bad", "--text_b", "good", "--text_b", "dull"]
    found = rows(capsys, pair_run, *asked)
    same_answers(found, rows(capsys, pair_export, *asked))


def test_what_a_runs_model_refuses_is_told(single_run):
    run, options = FinetunedRun(single_run), ExportOptions()
    servable, _ = exporting.served(run, run.load_task(), options)
    session = ServedSession(servable, "examples")
    junk = np.array([b"junk"], object)
    with pytest.raises(UserError, match="the model refuses it: Name.*required"):
        session.run("examples", {"examples": junk})


def test_a_files_form_can_be_told(single_run, single_export, tmp_path, capsys):
    path = tmp_path / "x.data"
    path.write_text("good:fun\nbad:dull film\nbad\n")
    told = ["--separator", ":", "--header", "false", "--bad_rows", "skip"]
    argv = ["--input", path, "--text_column", "1", "--json", *told]
    found = rows(capsys, single_export, *argv)
    assert [row["text"] for row in found] == ["fun", "dull film"]
    path.write_text("label:text\ngood:fun\nbad:dull\n")
    argv = [single_run, "--data", path, "--separator", ":"]
    evaluate.main(list(map(str, argv)))
    assert "on 2 examples" in capsys.readouterr().out
