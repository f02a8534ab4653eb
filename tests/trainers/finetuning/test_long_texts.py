"""Texts that are longer than a row: learnt, measured and served alike."""

import json
import random
import re

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.tasks import ClassificationTask
from tfbert.text.tokenizer import Tokenizer
from trainers.finetuning import finetune
from trainers.finetuning.data import load_data
from trainers.finetuning.evaluation import evaluate
from trainers.finetuning.exporting import served
from trainers.finetuning.kinds.by_name import find_kind
from trainers.finetuning.kinds.text_kind import check_reads_long_texts
from trainers.finetuning.settings import (
    FinetuningData,
    FinetuningModel,
    FinetuningOptimization,
    FinetuningRuntime,
    FinetuningSettings,
)
from trainers.reports.served.exports import ExportOptions

CAUSES = {"good": ["good", "warm", "fun"], "bad": ["bad", "dull", "bored"]}
FILLING = ["the", "film", "was", "very", "it", "is"]
MODEL = {
    "preset": "tiny",
    "num_hidden_layers": 1,
    "hidden_size": 32,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
S = 12


def examples(count, seed, before=12, after=8):
    """Texts whose label words all stand behind the first row's tokens."""
    draw, found = random.Random(seed), []
    for _ in range(count):
        label = draw.choice(sorted(CAUSES))
        words = draw.choices(FILLING, k=before)
        words += draw.choices(CAUSES[label] + FILLING[:3], k=after)
        found.append({"text": " ".join(words), "label": label})
    return found


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, vocabulary):
    path = tmp_path_factory.mktemp("long_texts")
    Tokenizer(vocabulary).save(path / "tokenizer")
    train = examples(160, 0)
    train += [{"text": "fun film", "label": "good"}] * 2
    write(path / "train.jsonl", train)
    for seed, name in enumerate(("validation", "test"), start=1):
        write(path / f"{name}.jsonl", examples(48, seed))
    write(path / "short.jsonl", examples(20, 0, 1, 4))
    return path


@pytest.fixture(scope="module")
def run(folder):
    """By default, since training texts are longer: windows."""
    return finetune(
        "classification",
        train=str(folder / "train.jsonl"),
        validation=str(folder / "validation.jsonl"),
        tokenizer=str(folder / "tokenizer"),
        run_dir=str(folder / "run"),
        max_length=S,
        batch_size=16,
        epochs=4,
        learning_rate=0.01,
        window_pooling="attention",
        **MODEL,
    )


def settings(folder, task="classification", **data):
    named = {
        "train": str(folder / "train.jsonl"),
        "tokenizer": str(folder / "tokenizer"),
        "max_length": S,
    }
    return FinetuningSettings(
        FinetuningModel(**MODEL),
        FinetuningData(**(named | data)),
        FinetuningOptimization(),
        FinetuningRuntime(),
        task=task,
    )


def test_what_stands_behind_the_first_row_is_learnt(run, folder):
    assert run.figures["validation_accuracy"] > 0.95
    found = run.evaluate(str(folder / "test.jsonl"))
    assert found["accuracy"] > 0.95
    about = json.loads((folder / "run" / "run.json").read_text())
    assert about["long_texts"] == "windows"
    assert about["window_overlap"] == S // 8
    assert about["max_windows"] == 128


def test_answers_are_those_of_the_evaluation(run, folder):
    """Of texts in mixed batches, which evaluation has in other ones."""
    run.evaluate(str(folder / "test.jsonl"), "served")
    lines = (folder / "run" / "predictions-served.jsonl").read_text()
    want = [json.loads(line)["probabilities"] for line in lines.splitlines()]
    # A text of one row among long ones, and none at all.
    texts = [row["text"] for row in examples(48, 2)] + ["fun film", ""]
    answers = run.predict(texts)
    found = [list(answer["probabilities"].values()) for answer in answers]
    np.testing.assert_allclose(found[:48], want, atol=1e-5)
    alone = run.predict(["fun film"])[0]["probabilities"]
    np.testing.assert_allclose(found[48], list(alone.values()), atol=1e-6)


@pytest.mark.long
def test_an_export_answers_likewise(run, folder):
    texts = [row["text"] for row in examples(9, 2)] + ["fun film", ""]
    version = run.export(folder / "export")
    model = tf.saved_model.load(str(version))
    found = model.signatures["serving_default"](text=tf.constant(texts))
    for row, answer in zip(
        found["probabilities"].numpy(), run.predict(texts), strict=True
    ):
        want = list(answer["probabilities"].values())
        np.testing.assert_allclose(row, want, atol=1e-6)
    none = model.signatures["serving_default"](text=tf.constant([], tf.string))
    assert none["probabilities"].shape == (0, 2)
    tokens = model.signatures["tokens"].structured_input_signature[1]
    assert tokens["input_ids"].shape.rank == 3
    card = json.loads((version / "assets.extra/model.json").read_text())
    assert card["long_texts"] == "windows"
    assert card["window_pooling"] == "attention"
    about = (version / "MODEL_CARD.md").read_text()
    assert "A longer text is read in windows, the first 128 of them" in about


@pytest.mark.long
def test_longer_requests_are_answered_by_their_first_windows_or_refused(
    run, folder
):
    trained = run._saved.load_task()
    words = "good film " * 300
    answers = []
    for limits in (Limits(max_windows=3), Limits()):
        servable, card = served(
            run._saved, trained, ExportOptions(limits=limits)
        )
        function = servable.functions["serving_default"]
        answers.append(function(tf.constant([words]))["probabilities"])
        first = " ".join(words.split()[:10])
        assert card["max_windows"] == (limits.max_windows or 128)
    assert np.abs(answers[0] - answers[1]).max() > 0
    limits = Limits(max_windows=3, refuse_longer=True)
    servable, _ = served(run._saved, trained, ExportOptions(limits=limits))
    function = servable.functions["serving_default"]
    function(tf.constant([first]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="3 rows of 12"):
        function(tf.constant(["fun", words]))
    spaces = tf.constant([" " * 40000])
    with pytest.raises(tf.errors.InvalidArgumentError, match="32768 bytes"):
        function(spaces)


@pytest.mark.long
def test_a_text_of_thousands_of_windows_takes_bounded_memory(run):
    """No more is computed at once than of a batch of rows."""
    trained = run._saved.load_task()
    sizes, encoder = [], trained.task.encoder
    limits = Limits(max_windows=20000)
    servable, _ = served(run._saved, trained, ExportOptions(limits=limits))
    function = servable.functions["serving_default"].python_function
    call = encoder.call

    def counting(inputs, *args, **more):
        size = tf.size(inputs["input_ids"])
        tf.numpy_function(lambda n: sizes.append(n), [size], [])
        return call(inputs, *args, **more)

    encoder.call = counting
    try:
        answer = tf.function(function)(tf.constant(["the film " * 9000]))
    finally:
        encoder.call = call
    assert answer["probabilities"].shape == (1, 2)
    assert sum(sizes) > 18000 * S / (S - 2)
    assert max(sizes) <= 8192


@pytest.mark.long
def test_a_text_of_5000_tokens_whose_label_words_stand_behind_512(
    folder, vocabulary
):
    def texts(count, tokens, seed):
        """Label words among the last hundred of so many tokens."""
        return examples(count, seed, tokens - 2 - 100, 100)

    model = MODEL | {"max_position_embeddings": 128}
    run = finetune(
        "classification",
        train=texts(96, 900, 10),
        tokenizer=str(folder / "tokenizer"),
        run_dir=str(folder / "behind_512"),
        max_length=128,
        batch_size=8,
        epochs=4,
        learning_rate=0.01,
        window_pooling="max_logits",
        **model,
    )
    asked = texts(16, 5000, 11)
    tokens = Tokenizer(vocabulary)([row["text"] for row in asked])
    assert set(tokens.row_lengths().numpy() + 2) == {5000}
    answers = run.predict([row["text"] for row in asked])
    assert [a["label"] for a in answers] == [row["label"] for row in asked]


@pytest.mark.long
def test_two_devices_measure_the_same(run, folder):
    test = folder / "test.jsonl"
    found = [
        evaluate(folder / "run", test, "devices", devices=devices, batch_size=6)
        for devices in (1, 2)
    ]
    np.testing.assert_allclose(
        found[0].log_probabilities, found[1].log_probabilities, atol=1e-5
    )


@pytest.mark.long
def test_fixed_shapes_learn_the_same(folder):
    """With XLA, where batches have as many windows as the longest text."""
    figures = [
        finetune(
            "classification",
            train=str(folder / "train.jsonl"),
            validation=str(folder / "validation.jsonl"),
            tokenizer=str(folder / "tokenizer"),
            run_dir=str(folder / f"xla_{xla}"),
            max_length=S,
            batch_size=16,
            steps=6,
            learning_rate=0.01,
            xla=xla,
            **MODEL,
        ).figures["validation_loss"]
        for xla in (False, True)
    ]
    np.testing.assert_allclose(*figures, rtol=1e-4)
    with pytest.raises(UserError, match="skip_padding true, or data.long_t"):
        finetune(
            "classification",
            train=str(folder / "train.jsonl"),
            tokenizer=str(folder / "tokenizer"),
            run_dir=str(folder / "never"),
            max_length=S,
            xla=True,
            skip_padding=False,
            **MODEL,
        )


@pytest.mark.parametrize(
    ("data", "how", "said"),
    [
        ({}, "windows", "160 of 162 texts are longer .* has 22; .* windows"),
        ({"long_texts": "head"}, "head", "CUT to their first tokens, 4"),
        ({"long_texts": "head_tail"}, "head_tail", "first and last tokens"),
        ({"max_windows": 2}, "windows", "are CUT: behind data.max_windows = 2"),
    ],
)
def test_what_becomes_of_long_texts_is_said(folder, data, how, said):
    found = load_data(settings(folder, **data))
    assert found.kind.long_texts == how
    assert re.search(said, "\n".join(found.remarks)), found.remarks


def test_where_all_fit_rows_are_as_ever(folder):
    short = str(folder / "short.jsonl")
    found = load_data(settings(folder, train=short))
    head = load_data(settings(folder, train=short, long_texts="head"))
    assert found.kind == head.kind and found.kind.long_texts == "head"
    assert found.hashes() == head.hashes()
    assert not any("longer" in line for line in found.remarks)
    windows = load_data(settings(folder, train=short, long_texts="windows"))
    assert windows.kind.long_texts == "windows"


@pytest.mark.parametrize(
    ("task", "data", "wanted"),
    [
        ("classification", {"window_overlap": 6}, "window_overlap from 0 to 5"),
        (
            "classification",
            {"window_pooling": "median"},
            "data.window_pooling of mean_vectors, .*, got 'median'",
        ),
        (
            "classification",
            {"long_texts": "head", "window_overlap": 2},
            "data.window_overlap: there are no windows .* head .* leave it out",
        ),
        (
            "token_labelling",
            {"long_texts": "windows"},
            "data.long_texts is for tasks .* not for token_labelling",
        ),
        (
            "question_answering",
            {"max_windows": 3},
            "data.max_windows is for tasks .* not for question_answering",
        ),
        ("role_labelling", {"window_pooling": "attention"}, "role_labelling"),
        ("embedding", {"window_pooling": "attention"}, "for embedding, got"),
    ],
)
def test_refusals(folder, task, data, wanted):
    given = settings(folder, task, **data)
    if task in ("token_labelling", "question_answering", "role_labelling"):
        with pytest.raises(UserError, match=wanted):
            check_reads_long_texts(find_kind(task), given.data)
        return
    with pytest.raises(UserError, match=wanted):
        load_data(given)


class OwnCall(ClassificationTask):
    """Knows rows alone, unless it says more."""

    def call(self, batch, training=False, dropout_seed=None):
        return super().call(batch, training, dropout_seed)


def test_a_call_of_ones_own_gets_rows_unless_it_says_more(folder):
    found = load_data(settings(folder), OwnCall)
    assert found.kind.long_texts == "head"
    assert any("CUT to their first" in line for line in found.remarks)
    with pytest.raises(UserError, match="OwnCall has a call .* reads_windows"):
        load_data(settings(folder, long_texts="windows"), OwnCall)
    reads = type("Reads", (OwnCall,), {"reads_windows": True})
    own_loss = type("OwnLoss", (ClassificationTask,), {"loss_sums": None})
    for task_class in (reads, own_loss, ClassificationTask, None):
        found = load_data(settings(folder), task_class)
        assert found.kind.long_texts == "windows"
