"""Token labelling from a file to served labels."""

import json
import random

import pytest
import tensorflow as tf
import yaml

from tfbert.errors import UserError
from tfbert.tag_scheme import bio_tags
from tfbert.text.tokenizer import Tokenizer
from trainers import export, finetune, predict
from trainers.finetuning import evaluation
from trainers.finetuning.kinds.token_labelling import TokenLabelling
from trainers.finetuning.metrics.spans import bio_spans
from trainers.finetuning.saved_run import FinetunedRun
from trainers.finetuning.settings import FinetuningData

MAX_LENGTH = 16
# What a word says of itself and, if a span is under way, of the next.
TAGS = {"warm": "B-X", "fun": "B-X", "bad": "B-Y"}


def sentence(draw, size):
    words = draw.choices(
        ["the", "is", "film", "story", "warm", "fun", "bad", "\x01", "xyz"],
        k=size,
    )
    tags, before = [], "O"
    for word in words:
        tag = TAGS.get(word, "O")
        if before != "O" and word in ("film", "story"):
            tag = f"I-{before[2:]}"
        tags.append(tag)
        before = tag
    return words, tags


def sentences(count, seed):
    draw = random.Random(seed)
    # Every tenth sentence takes several rows.
    return [
        sentence(draw, 40 if i % 10 == 0 else draw.randint(1, 9))
        for i in range(count)
    ]


def write(path, examples):
    text = "\n".join(
        "".join(f"{w} {t}\n" for w, t in zip(*example, strict=True))
        for example in examples
    )
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary):
    """A run on two replicas, and its files."""
    path = tmp_path_factory.mktemp("labels")
    Tokenizer(vocabulary).save(path / "tokenizer")
    for seed, (name, count) in enumerate(
        {"train": 400, "validation": 51, "test": 60}.items()
    ):
        write(path / f"{name}.conll", sentences(count, seed))
    settings = {
        "task": "token_labelling",
        "model": {
            "preset": "tiny",
            "num_hidden_layers": 1,
            "hidden_size": 48,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 24,
        },
        "data": {
            "train": str(path / "train.conll"),
            "validation": str(path / "validation.conll"),
            "test": str(path / "test.conll"),
            "tokenizer": str(path / "tokenizer"),
            "max_length": MAX_LENGTH,
        },
        "optimization": {"epochs": 12, "learning_rate": 0.01, "batch_size": 16},
        "runtime": {
            "run_dir": str(path / "run"),
            "strategy": "mirrored",
            "devices": 2,
        },
    }
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    finetune.main(["--config", str(path / "config.yaml")])
    return path / "run"


@pytest.mark.long
def test_it_learns(run):
    about = json.loads((run / "run.json").read_text())
    assert about["kind"] == "token_labelling"
    assert about["labels"] == bio_tags(["X", "Y"])
    figures = json.loads((run / "evaluation-test.json").read_text())
    assert figures["examples"] == 60
    assert figures["f1"] > 0.8
    assert figures["accuracy"] > figures["majority_baseline"]
    # Every word, in long sentences too, has an answer, and all are legal.
    rows = read_rows(run, "test")
    wanted = sentences(60, 2)
    assert [(row["words"], row["label"]) for row in rows] == wanted
    assert all(len(r["predicted"]) == len(r["words"]) for r in rows)


def read_rows(run, name):
    text = evaluation.predictions_path(run, name).read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.long
def test_validation_on_two_replicas_is_exact(run):
    lines = (run / "metrics.jsonl").read_text().splitlines()
    logged = [r for r in map(json.loads, lines) if r["split"] == "validation"]
    result = evaluation.evaluate(
        run, run.parent / "validation.conll", checkpoint="last"
    )
    for name in ("f1", "precision", "recall", "accuracy"):
        assert logged[-1][name] == pytest.approx(result.figures[name], abs=1e-6)


@pytest.mark.long
def test_the_export_answers_as_the_evaluation(run, capsys):
    output = run.parent / "export"
    export.main([str(run), "--output", str(output)])
    rows = read_rows(run, "test")
    longest = max(len(row["words"]) for row in rows)
    ask = tf.saved_model.load(str(output / "1")).signatures["words"]
    answer = ask(
        words=tf.constant(
            [r["words"] + [""] * (longest - len(r["words"])) for r in rows]
        )
    )
    answer = {name: value.numpy() for name, value in answer.items()}
    for i, row in enumerate(rows):
        count = len(row["words"])
        labels = [x.decode() for x in answer["labels"][i]]
        assert labels == row["predicted"] + [""] * (longest - count)
        assert answer["scores"][i, :count] == pytest.approx(
            row["scores"], abs=1e-5
        )
        spans = [
            (kind.decode(), start, end)
            for kind, start, end in zip(
                answer["span_labels"][i],
                answer["span_starts"][i],
                answer["span_ends"][i],
                strict=True,
            )
            if kind
        ]
        assert spans == bio_spans(row["predicted"])
    capsys.readouterr()
    # As text, of a sentence that the words can be told from.
    row = next(r for r in rows if {"\x01", "film"} & {*r["words"]} == {"film"})
    text = "  ".join(row["words"])
    predict.main([str(output), text, "--json"])
    shown = json.loads(capsys.readouterr().out)
    assert [w["word"] for w in shown["words"]] == row["words"]
    assert [w["label"] for w in shown["words"]] == row["predicted"]
    assert [
        (s["label"], text[s["start"] : s["end"]]) for s in shown["spans"]
    ] == [
        (span.type, "  ".join(row["words"][span.start : span.end]))
        for span in bio_spans(row["predicted"])
    ]


def test_mistakes(run, tmp_path):
    def refused(text, message):
        path = tmp_path / "a.conll"
        path.write_text(text)
        with pytest.raises(UserError, match=message):
            FinetunedRun(run).read_examples(path)

    refused("the O\nfilm B-Z\n", "a.conll:2: unknown tag 'B-Z'.*knows 5 tags")
    # Tags without spans in a model of spans.
    refused("the DET\n", "a.conll:1: unknown tag 'DET'")
    refused("the O\nfilm I-X\nis B-Y\n", "a.conll:2: illegal tag")


def kind_of(tmp_path, text, **options):
    path = tmp_path / "train.conll"
    path.write_text(text)
    data = FinetuningData(max_length=16, **options)
    examples = TokenLabelling.read(path, data)
    return TokenLabelling.from_training(data, examples), examples


def test_plain_tags(tmp_path, vocabulary):
    kind, examples = kind_of(tmp_path, "the DET\nfilm NOUN\n\nis VERB\n")
    assert kind.labels == ["DET", "NOUN", "VERB"]
    assert kind.best_metric == "accuracy" and kind.describe() == "3 tags"
    encoded = kind.encode(examples, Tokenizer(vocabulary))
    logits = tf.one_hot(encoded.columns["label_ids"], 3).numpy()
    result = kind.evaluate(examples, encoded, {"logits": logits}, 3)
    assert result.figures == {"accuracy": 1, "macro_f1": 1}
    assert result.majority_baseline == pytest.approx(1 / 3)
    assert "accuracy 1.0000" in result.summary()
    assert list(result.by_type) == kind.labels
    again = TokenLabelling.from_about({**kind.about(), "kind": "x"})
    assert again == kind


def test_words_split_as_when_served(tmp_path, vocabulary):
    kind, examples = kind_of(tmp_path, "film-plot I-X\n! O\n", split_words=True)
    encoded = kind.encode(examples, Tokenizer(vocabulary))
    assert encoded.sentences.words == [["film", "-", "plot", "!"]]
    assert encoded.sentences.tags == [["B-X", "I-X", "I-X", "O"]]


def test_no_spans_to_learn(tmp_path):
    with pytest.raises(UserError, match="every tag is O"):
        kind_of(tmp_path, "the O\n")
