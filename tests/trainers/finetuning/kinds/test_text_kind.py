"""Every kind that has windows: evaluated and served alike, without training."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.long_texts import LongTexts
from tfbert.weights.variables import save_weights
from trainers.finetuning.evaluation import predict
from trainers.finetuning.exporting import served, write_export
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.kinds.text_kind import check_served
from trainers.finetuning.saved_run import FinetunedRun
from trainers.pretraining import exporting as pretraining
from trainers.reports.served.exports import ExportOptions

LONG = "the film was fun but the story is a bored dull very very bad plot "
TABLE = {
    "text_columns": ["text"],
    "label_column": "label",
    "labels": ["bad", "good", "warm"],
}
PAIRS = {**TABLE, "text_columns": ["first", "second"]}
CASES = {
    "classification": (TABLE, "max_logits"),
    "pairs": (PAIRS, "attention"),
    "multi_label": ({**TABLE, "label_separator": ","}, "mean_logits"),
    "regression": ({**TABLE, "mean": 1.0, "scale": 2.0}, "mean_vectors"),
    "multiple_choice": (
        {
            "question_column": "question",
            "choice_columns": ["choices"],
            "label_column": "label",
        },
        "attention",
    ),
    "embedding": (
        {
            "form": None,
            "text_columns": ["text_a", "text_b"],
            "label_column": "score",
            "learns": "scored",
            "objective": "cosent",
            "temperature": 0.05,
            "dimensions": [],
            "pooling": "mean",
            "lowest": 0.0,
            "highest": 1.0,
            "measures": "scored",
        },
        "mean_vectors",
    ),
}
# Texts of one row, of several, and of more than there are read.
TEXTS = ["fun", LONG + "warm", "", LONG * 2 + "good", "a bad film", LONG * 9]


def rows_of(case):
    if case == "pairs":
        seconds = ["good", "bad plot", LONG * 2, "", LONG, "this"]
        return [
            {"first": a, "second": b or "it", "label": "good"}
            for a, b in zip([t or "is" for t in TEXTS], seconds, strict=True)
        ]
    if case == "multiple_choice":
        choices = [["good", "bad"], ["warm", LONG, "dull"]] * 3
        return [
            {"question": text or "is", "choices": some, "label": 0}
            for text, some in zip(TEXTS, choices, strict=True)
        ]
    if case == "embedding":
        return [
            {"text_a": text or "is", "text_b": "fun", "score": i / 9}
            for i, text in enumerate(TEXTS)
        ]
    label = 1 if case == "regression" else "good"
    return [{"text": text or "is", "label": label} for text in TEXTS]


@pytest.fixture
def make(tmp_path, vocabulary):
    """Makes a run of a case, and writes its data."""

    def run(case, **changes):
        about, pooling = CASES[case]
        name = "classification" if case == "pairs" else case
        about = {
            "kind": name,
            "max_length": 16,
            **about,
            "long_texts": "windows",
            "window_overlap": 3,
            "window_pooling": pooling,
            "max_windows": 7,
            **changes,
        }
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=48,
            max_position_embeddings=20,
            initializer_range=0.3,
        )
        task = find_kind(name).from_about(about).make_task(config, "float32")
        if getattr(task, "window_pooling", None) == "attention":
            query = np.random.default_rng(0).normal(size=32)
            task.window_query.assign(query)
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(about))
        config.to_json(folder / "config.json")
        Tokenizer(vocabulary).save(folder)
        save_weights(task, folder / "model.safetensors")
        lines = [json.dumps(row) + "\n" for row in rows_of(case)]
        (tmp_path / "data.jsonl").write_text("".join(lines))
        return FinetunedRun(folder), tmp_path / "data.jsonl"

    return run


def asked(case, signature):
    """What the signature answers for the rows."""
    rows = rows_of(case)
    if case == "pairs":
        return signature(
            tf.constant([row["first"] for row in rows]),
            tf.constant([row["second"] for row in rows]),
        )
    if case == "multiple_choice":
        choices = [row["choices"] + [""] for row in rows]
        return signature(
            tf.constant([row["question"] for row in rows]),
            tf.constant([some[:3] for some in choices]),
        )
    name = "text_a" if case == "embedding" else "text"
    return signature(tf.constant([row[name] for row in rows]))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=[pytest.mark.long] * (case != "pairs"))
        for case in CASES
    ],
)
def test_served_as_it_is_evaluated(make, case):
    run, data = make(case)
    trained, options = run.load_task(), ExportOptions()
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    assert encoded.columns["input_mask"].counts.max() == 7
    (name,) = run.kind.outputs
    trained.task.encoder.skip_padding = True
    want = predict(trained.task, encoded.columns, [name], 4)[name]
    trained.task.encoder.skip_padding = False
    servable, card = served(run, trained, options)
    assert card["long_texts"] == "windows" and card["max_windows"] == 7
    answer = asked(case, servable.functions["serving_default"])
    if name == "embedding":
        want, found = want[:, 0], answer["embedding"]
    elif name == "scores":
        found = answer["score"]
    else:
        found = answer["probabilities"]
        softmax = tf.sigmoid if case == "multi_label" else tf.nn.softmax
        want = softmax(want).numpy()
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert np.ptp(want, axis=0).max() > 1e-3
    lines = run.kind.length_remarks(examples, encoded)
    assert "are CUT: behind data.max_windows = 7" in lines[1]


@pytest.mark.long
def test_head_and_tail_are_served_and_what_is_longer_refused(make, tmp_path):
    """TF Serving knows the operations of it: an export is checked."""
    windows = dict.fromkeys(("window_overlap", "window_pooling", "max_windows"))
    run, data = make("pairs", long_texts="head_tail", **windows)
    examples = run.read_examples(data)
    encoded = run.encode(examples)
    task = run.load_task().task
    logits = predict(task, encoded.columns, ["logits"], 4)["logits"]
    version = write_export(run, tmp_path / "export", ExportOptions())
    served_model = tf.saved_model.load(str(version))
    columns = {
        f"text_{letter}": tf.constant([row[name] for row in rows_of("pairs")])
        for letter, name in (("a", "first"), ("b", "second"))
    }
    answer = served_model.signatures["serving_default"](**columns)
    np.testing.assert_allclose(
        answer["probabilities"], tf.nn.softmax(logits), atol=1e-5
    )
    options = ExportOptions(limits=Limits(refuse_longer=True))
    version = write_export(run, tmp_path / "export", options)
    served_model = tf.saved_model.load(str(version))
    with pytest.raises(tf.errors.InvalidArgumentError, match="1 rows of 16"):
        served_model.signatures["serving_default"](**columns)


def test_options_of_an_export_that_do_not_fit_are_refused():
    about = {"kind": "regression", "max_length": 16, **CASES["regression"][0]}
    kind = find_kind("regression").from_about(about)
    assert kind.long_texts == "head"
    bounded = ExportOptions(limits=Limits(max_windows=3))
    with pytest.raises(UserError, match="by data.long_texts head, not in"):
        kind.served_long_texts(bounded.limits)
    with pytest.raises(UserError, match="--long_texts is for the vectors"):
        check_served(kind, ExportOptions(long_texts="windows"))
    refusing = ExportOptions(limits=Limits(refuse_longer=True))
    for options in (bounded, refusing):
        with pytest.raises(UserError, match="not for token_labelling"):
            check_served(find_kind("token_labelling"), options)
    assert kind.served_long_texts(refusing.limits) == LongTexts(refuse=True)
    with pytest.raises(UserError, match="--long_texts windows too"):
        pretraining._long_texts(bounded, 128)
    windows = ExportOptions(long_texts="windows", limits=bounded.limits)
    assert pretraining._long_texts(windows, 128) == LongTexts("windows", 16, 3)
    assert pretraining._long_texts(ExportOptions(), 128) == LongTexts("head")
