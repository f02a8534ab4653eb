"""`finetune` from Python: what comes in, what comes out."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from few_reviews import ROWS
from keras import ops

from tfbert.errors import UserError
from tfbert.tasks.classification import ClassificationTask
from trainers import evaluate, export, predict
from trainers.finetuning import Stopped, finetune
from trainers.step.training_model import TrainingModel


@pytest.fixture(scope="module")
def run(quick, tmp_path_factory):
    """A run that has learnt."""
    return quick(
        "classification",
        validation=ROWS[:6],
        run_dir=tmp_path_factory.mktemp("api") / "run",
        steps=None,
        epochs=8,
    )


def test_a_run_has_what_a_notebook_wants(run):
    assert isinstance(run.model, keras.Model)
    assert run.figures["validation_accuracy"] == 1.0
    assert len(run.history["loss"]) == len(run.history["val_accuracy"]) == 8
    assert run.history["step"] == list(range(2, 17, 2))
    assert run.history["loss"][-1] < run.history["loss"][0]
    assert "classification" in repr(run)


def test_figures_are_those_of_the_verb(run, tmp_path, capsys):
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[1:]))
    figures = run.evaluate(path)
    evaluate.main([str(run.run_dir), "--data", str(path), "--name", "verb"])
    told = json.loads((run.run_dir / "evaluation-verb.json").read_text())
    assert figures.items() <= told.items()
    assert figures["examples"] == 15
    assert f"accuracy {figures['accuracy']:.4f}" in capsys.readouterr().out
    in_memory = run.evaluate(ROWS[1:])
    assert in_memory == figures
    assert (run.run_dir / "predictions-data.jsonl").is_file()


@pytest.mark.long
def test_answers_are_those_of_the_export(run, tmp_path, capsys):
    texts = ["the film was dull", "fun", ""]
    version = run.export(tmp_path / "out")
    assert version == tmp_path / "out" / "1"
    predict.main([str(tmp_path / "out"), *texts, "--json"])
    lines = capsys.readouterr().out.splitlines()
    for line, text, answer in zip(
        lines, texts, run.predict(texts), strict=True
    ):
        told = json.loads(line)
        assert told.pop("text") == text
        assert told["label"] == answer["label"]
        for label, value in told["probabilities"].items():
            assert answer["probabilities"][label] == pytest.approx(value, 1e-5)
    assert run.predict([]) == []
    assert run.predict("fun")[0]["label"] == run.predict(["fun"])[0]["label"]


@pytest.mark.long
def test_the_model_holds_the_weights_that_are_exported(run):
    answers = run.predict([row["text"] for row in ROWS[:3]])
    tokenizer = run._saved.tokenizer
    batch = tokenizer.encode([row["text"] for row in ROWS[:3]], max_length=12)
    found = run.model(batch)["probabilities"].numpy()
    wanted = [list(a["probabilities"].values()) for a in answers]
    np.testing.assert_allclose(found, wanted, rtol=2e-5)


def columns(rows):
    return {name: [row[name] for row in rows] for name in rows[0]}


class Frame:
    """As much of a pandas frame as is looked at."""

    columns = ("text", "label")

    def to_dict(self, orient):
        assert orient == "records"
        return [dict(row) for row in ROWS]


class Hub:
    """As much of a Hugging Face Dataset."""

    column_names = ("text", "label")
    features = {"label": types.SimpleNamespace(names=["bad", "good"])}

    def __getitem__(self, name):
        values = columns(ROWS)[name]
        return (
            [("bad", "good").index(v) for v in values]
            if (name == "label")
            else values
        )


@pytest.mark.parametrize(
    "data",
    [
        Frame(),
        Hub(),
        columns(ROWS),
        tf.data.Dataset.from_tensor_slices(columns(ROWS)),
        tf.data.Dataset.from_tensor_slices(columns(ROWS)).batch(3),
        tf.data.Dataset.from_tensor_slices(tuple(columns(ROWS).values())),
    ],
    ids=["frame", "hub", "columns", "tf", "batched", "tuples"],
)
def test_the_same_rows_in_any_form(data, quick, tmp_path):
    from trainers.finetuning.in_memory import as_file

    names = ("text", "label")
    path = as_file(data, tmp_path, "train", names)
    assert path == as_file(ROWS, tmp_path, "train")


class Doubled(ClassificationTask):
    """Twice the loss."""

    def loss_sums(self, batch, outputs):
        sums = super().loss_sums(batch, outputs)
        return {name: 2 * value for name, value in sums.items()}


class Counted(TrainingModel):
    """Logs a number more."""

    def train_step(self, data):
        return {**super().train_step(data), "extra": 3.0}


def cross_entropy(labels, logits):
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


@pytest.mark.long
def test_own_losses_tasks_models_and_callbacks(quick, tmp_path):
    seen = []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append(dict(logs))
    )
    losses = {}
    for name, own in {
        "ours": {},
        "function": {"loss": cross_entropy},
        "keras": {
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        },
        "twice": {"task_class": Doubled, "model_class": Counted},
    }.items():
        run = quick(callbacks=[note], run_dir=tmp_path / name, **own)
        losses[name] = run.history["loss"]
        assert run.predict(["fun"])[0]["label"] in ("good", "bad")
    assert losses["function"] == pytest.approx(losses["ours"], 1e-5)
    assert losses["keras"] == pytest.approx(losses["ours"], 1e-5)
    assert losses["twice"][0] > 1.9 * losses["ours"][0]
    assert len(seen) == 8 and seen[-1]["extra"] == 3.0
    with pytest.raises(UserError, match=r"losses of shape \(8,\).*got \(\)"):
        quick(
            loss=lambda gold, logits: ops.sum(cross_entropy(gold, logits)),
            run_dir=tmp_path / "sums",
        )


def test_without_a_folder_one_is_made_and_kept(quick, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    run = quick()
    assert (run.run_dir / "settings.yaml").is_file()
    assert run.figures == {"step": 2}


def test_the_same_call_goes_on_and_other_data_are_refused(run, quick):
    again = quick(
        validation=ROWS[:6], run_dir=run.run_dir, steps=None, epochs=8
    )
    assert again.figures == run.figures and again.history == {}
    with pytest.raises(UserError, match="data.train: the run has"):
        quick(train=ROWS[1:], run_dir=run.run_dir, steps=None, epochs=8)


@pytest.mark.long
def test_a_signal_raises_stopped(quick, tmp_path):
    import os
    import signal

    def stop(batch, logs):
        os.kill(os.getpid(), signal.SIGINT)

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    where = {"run_dir": tmp_path / "run", "steps": 4}
    with pytest.raises(Stopped, match=r"Stopped at step \d of 4") as stopped:
        quick(**where, callbacks=[callback])
    assert stopped.value.status == 130
    assert quick(**where).figures == {"step": 4}


@pytest.mark.parametrize(
    "keywords,message",
    [
        ({"lr": 1}, "no setting lr; the nearest is learning_rate"),
        ({"learnig_rate": 1}, "nearest is learning_rate .optimization"),
        ({"callback": []}, "nearest is callbacks"),
        ({"batch_size": "many"}, "batch_size to be a whole number, got many"),
        ({"batch_size": None}, "batch_size to be a whole number"),
        ({"batch_size": 0}, "wanted optimization.batch_size above 0, got 0"),
        ({"steps": 3, "optimization": {"steps": 4}}, "steps is given twice"),
        ({"optimization": 3}, "optimization to be a dict of settings"),
        ({"hidden_act": print}, "text, numbers or lists of them for model"),
        ({"train": None}, "wanted data.train, a labelled file"),
        ({"train": []}, "examples in train, got none"),
        ({"train": 7}, "wanted train to be a labelled file, .* got int 7"),
        ({"train": ["a text"]}, "a dict for each example of train"),
        ({"train": "nowhere.tsv"}, "nowhere.tsv"),
        ({"train": [{"text": object(), "label": 1}]}, r"train\[0\]\['text'\]"),
        ({"train": [{"text": "a", "label": None}]}, "'label' should be"),
        ({"train": {"text": "a", "label": "b"}}, "a list of cells in column"),
        ({"train": {"text": ["a"], "label": []}}, "columns of one length"),
        ({"validation": {}}, "examples in validation, got none"),
        ({"run_dir": 7}, "path of a folder in run_dir, got 7"),
        ({"run_dir": ""}, "path of a folder in run_dir"),
        ({"callbacks": [7]}, "Keras callbacks in callbacks, got 7"),
        ({"callbacks": 7}, "callbacks to be a list"),
        ({"callbacks": [keras.callbacks.History]}, r"one of it: History\(\)"),
        ({"loss": 7}, "wanted loss to be a function"),
        ({"task_class": 7}, "wanted task_class to be"),
        ({"model_class": dict}, "wanted model_class to be"),
        ({"sweep": "a=[1]"}, "there is no setting a"),
        ({"sweep": {"learning_rat": [1]}}, "nearest is learning_rate"),
        ({"sweep": {"learning_rate": 1e-3}}, "list of values of learning_rate"),
        ({"sweep": {"learning_rate": []}}, "list of values of learning_rate"),
        ({"sweep": {"steps": ["x"]}, "validation": ROWS}, "optimization.steps"),
        ({"sweep": 7}, "wanted a sweep such as"),
        ({"sweep": {"run_dir": ["a"]}}, "cannot be over runtime.run_dir"),
        ({"sweep": {"train": ["a.csv"]}}, "cannot be over data.train"),
        ({"sweep": {"steps": [1]}}, "chooses by validation data"),
        ({"seeds": 0}, "seeds"),
        ({"tokenizer": "nowhere"}, "there is no folder nowhere"),
    ],
)
def test_mistakes_are_told(quick, keywords, message, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(UserError, match=message):
        quick(**keywords)


def test_unknown_kinds_are_told():
    with pytest.raises(UserError, match="nearest is classification"):
        finetune("clasification")


@pytest.mark.parametrize(
    "texts,message",
    [
        (None, "wanted a list of texts, got None"),
        ([7], "got 7 at place 0"),
        ([("a", "b")], "reads single sentences"),
    ],
)
def test_what_is_no_text_is_told(run, texts, message):
    with pytest.raises(UserError, match=message):
        run.predict(texts)


def test_exports_tell_of_unknown_options(run, tmp_path):
    with pytest.raises(UserError, match="nearest is precision"):
        run.export(tmp_path / "out", precison="float32")
    with pytest.raises(UserError, match="wanted dtype of float32"):
        run.export(tmp_path / "out", dtype="int8")
    with pytest.raises(UserError, match="wanted checkpoint best or last"):
        run.evaluate(ROWS, checkpoint="first")
    with pytest.raises(UserError, match="wanted a batch_size above 0"):
        run.evaluate(ROWS, batch_size=0)
    assert export.write_export(run.run_dir, tmp_path / "out").name == "1"


@pytest.mark.long
def test_a_run_answers_questions_in_rows(quick, tmp_path):
    rows = [
        {
            "question": "film",
            "context": f"the film was {word}",
            "answers": [{"text": word, "answer_start": 13}],
        }
        for word in ("good", "fun", "bad", "dull")
    ]
    more = {"max_length": 16, "max_question_length": 2, "window_stride": 4}
    run = quick("question_answering", train=rows * 4, **more)
    asked = [(row["question"], row["context"]) for row in rows]
    answers = run.predict(asked)
    assert [set(one) >= {"answer", "start", "end"} for one in answers] == [
        True
    ] * 4
    assert run.predict(rows) == answers
    assert run.predict(columns(rows)) == answers
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    assert run.predict(path) == answers
