"""From SQuAD's files to served answers."""

import json
import random

import numpy as np
import pytest
import yaml

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfrecords.labelled.question_answering import Answer, Examples
from trainers import export, finetune, predict
from trainers.finetuning import evaluation
from trainers.finetuning.kinds.question_answering import (
    AnswerEvaluation,
    QuestionAnswering,
)
from trainers.finetuning.metrics.answer_spans import Candidates, Span
from trainers.finetuning.settings import FinetuningData
from trainers.reports.served.asking import load_model

COLOURS = ["red", "green", "blue"]
ANIMALS = ["cat", "dog", "cow"]
FILLERS = "the was é in 東 of , .".split()
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *("which", "animal", "?", "e", "x"),
    *(*COLOURS, *ANIMALS, *FILLERS),
]


def squad_file(path, count, seed):
    """Asks for the animal of a text, which may not be there."""
    draw = random.Random(seed)
    paragraphs = []
    for number in range(count):
        words = draw.choices(FILLERS, k=draw.randrange(4, 22))
        words.append("\U0001f600")
        answers = []
        words.append(draw.choice(COLOURS).upper())
        draw.shuffle(words)
        if draw.random() < 0.7:
            answer = draw.choice(ANIMALS)
            words.insert(draw.randrange(len(words) + 1), answer)
            start = len(" ".join([*words, ""]).split(answer)[0])
            answers = [{"text": answer, "answer_start": start}]
        asked = {
            "id": f"{seed}-{number}",
            "question": "which animal ?",
            "answers": answers,
            "is_impossible": not answers,
        }
        paragraphs.append({"context": " ".join(words), "qas": [asked]})
    data = {"version": "v2.0", "data": [{"paragraphs": paragraphs}]}
    path.write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files, a tokenizer and settings for a run."""
    path = tmp_path_factory.mktemp("answers")
    Tokenizer(VOCABULARY).save(path / "tokenizer")
    for seed, (name, count) in enumerate(
        {"train": 300, "validation": 41, "test": 53}.items()
    ):
        squad_file(path / f"{name}.json", count, seed)
    settings = {
        "task": "question_answering",
        "model": {
            "preset": "tiny",
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 32,
            "max_position_embeddings": 24,
        },
        "data": {
            "train": str(path / "train.json"),
            "validation": str(path / "validation.json"),
            "tokenizer": str(path / "tokenizer"),
            "max_length": 18,
            "max_question_length": 4,
            "max_answer_length": 3,
        },
        "optimization": {
            "batch_size": 32,
            "epochs": 3,
            "learning_rate": 0.01,
        },
    }
    config = path / "config.yaml"
    config.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture(scope="module")
def folder(files):
    """The same with a finished run."""
    config, run = files / "config.yaml", files / "run"
    finetune.main(["--config", str(config), "--runtime.run_dir", str(run)])
    return files


@pytest.mark.long
def test_it_learns_and_serves_what_it_evaluates(folder, capsys):
    run = folder / "run"
    about = json.loads((run / "run.json").read_text())
    assert about["kind"] == "question_answering"
    assert about["no_answer"] is True
    assert about["window_stride"] == 6
    result = evaluation.evaluate(run, folder / "test.json")
    # Most questions; a guess of a word of the text is right one time in ten.
    assert result.figures["f1"] > 0.8
    assert result.figures["no_answer_exact_match"] > 0.6
    figures = json.loads((run / "evaluation-test.json").read_text())
    assert figures["f1"] == pytest.approx(result.figures["f1"])
    capsys.readouterr()
    # Validation during training was judged with the threshold that it chose.
    again = evaluation.evaluate(run, folder / "validation.json")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [r for r in map(json.loads, lines) if r["split"] == "validation"]
    logged = next(r for r in rows if r["step"] == again.step)
    for name, value in again.figures.items():
        assert logged[name] == pytest.approx(value, rel=1e-4), name
    export.main([str(run), "--output", str(folder / "export")])
    model = load_model(folder / "export" / "1")
    assert model.inputs == ["question", "context"]
    for measured, name in ((result, "test"), (again, "validation")):
        path = run / f"predictions-{name}.jsonl"
        wanted = [json.loads(line) for line in path.read_text().splitlines()]
        served = list(model.answer(measured.examples.inputs()))
        assert len(wanted) == len(served) == len(measured.examples)
        for want, got in zip(wanted, served, strict=True):
            assert got["answer"] == want["answer"]
            assert (got["start"], got["end"]) == (want["start"], want["end"])
            assert got["score"] == pytest.approx(
                want["best"][0]["score"], rel=1e-5, abs=1e-5
            )
    capsys.readouterr()
    arguments = [str(folder / "export"), "which animal ?", "--json"]
    predict.main([*arguments, "--context", "the é dog was red"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["answer"], answer["start"], answer["end"]) == ("dog", 6, 9)
    predict.main([*arguments[:2], "--context", "the é dog was red"])
    assert "dog" in capsys.readouterr().out
    rows = [
        {"question": "which animal ?", "context": f"a {animal}"}
        for animal in ("cow", "cat")
    ]
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    predict.main([arguments[0], "--input", str(path), "--json"])
    printed = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["answer"] for line in printed] == ["cow", "cat"]


@pytest.mark.long
def test_validation_on_two_replicas_is_that_of_the_evaluator(files):
    # 83 windows of 41 questions in batches of 32: the windows of a question
    # are on different replicas and in different batches.
    run = files / "replicas"
    finetune.main(
        [
            *("--config", str(files / "config.yaml")),
            *("--runtime.run_dir", str(run), "--optimization.steps", "10"),
            *("--runtime.strategy", "mirrored", "--runtime.devices", "2"),
        ]
    )
    result = evaluation.evaluate(run, files / "validation.json")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    rows = [r for r in map(json.loads, lines) if r["split"] == "validation"]
    [logged] = [r for r in rows if r["step"] == result.step]
    assert len({row["f1"] for row in rows}) > 1
    for name, value in result.figures.items():
        assert logged[name] == pytest.approx(value, rel=1e-4), name


def test_a_file_with_unanswerable_questions_needs_a_model_that_knows(tmp_path):
    data = FinetuningData(max_length=24, max_question_length=8)
    answers = [[Answer("a", 0)], []]
    examples = Examples(
        tmp_path, [1, 2], ["x", "y"], ["q", "q"], ["a b", "a c"], answers
    )
    sure = Examples(tmp_path, [1], ["x"], ["q"], ["a b"], answers[:1])
    kind = QuestionAnswering.from_training(data, sure)
    assert kind.window_stride == 8
    with pytest.raises(UserError, match="question y .* has no answer"):
        kind.check(examples)
    kind = QuestionAnswering.from_training(data, examples)
    kind.check(examples)
    assert kind.with_validation({}).no_answer_threshold == 0
    chosen = kind.with_validation({"no_answer_threshold": 2.5})
    assert chosen.no_answer_threshold == 2.5
    assert QuestionAnswering.from_about(chosen.about()) == chosen
    with pytest.raises(UserError, match="max_answer_length above 0"):
        QuestionAnswering.from_training(
            FinetuningData(max_length=128, max_answer_length=0), sure
        )


def test_what_is_counted_is_said(tmp_path):
    data = FinetuningData(max_length=24, max_question_length=8)
    examples = Examples(
        tmp_path,
        [1],
        ["x"],
        ["q"],
        ["a b"],
        [[Answer("a", 0)]],
        misplaced=3,
        dropped=2,
    )
    kind = QuestionAnswering.from_training(data, examples)
    remarks = kind.remarks(
        examples, kind.encode(examples, Tokenizer(VOCABULARY))
    )
    assert "1 questions, 0 without an answer, 1 windows" in remarks[0]
    assert "3 answers left out" in remarks[1]
    assert "2 questions that had no other" in remarks[1]


def test_figures_of_a_file_that_can_be_worked_out(tmp_path):
    """Two answerable questions, two that are not."""
    contexts = ["red dog", "blue cat", "green cow", "x"]
    answers = [[Answer("dog", 4)], [Answer("blue cat", 0)], [], []]
    examples = Examples(
        tmp_path, [1, 2, 3, 4], list("abcd"), ["q"] * 4, contexts, answers
    )
    found = [
        Candidates([Span(9.0, 4, 7)], 1.0),
        Candidates([Span(5.0, 0, 4)], 2.0),
        Candidates([Span(4.0, 0, 5)], 3.0),
        Candidates([], 0.0),
    ]
    data = FinetuningData(max_length=24, max_question_length=8)
    kind = QuestionAnswering.from_training(data, examples)
    result = AnswerEvaluation.of(kind, examples, found, 0.5, 7)
    # Between the margins -3, of a half right answer, and -1, of a wrong one.
    assert result.threshold == -2
    assert result.answers == ["dog", "blue", "", ""]
    assert result.figures == pytest.approx(
        {
            "f1": (1 + 2 / 3 + 1 + 1) / 4,
            "exact_match": 3 / 4,
            "loss": 0.5,
            "has_answer_f1": 5 / 6,
            "has_answer_exact_match": 1 / 2,
            "no_answer_f1": 1,
            "no_answer_exact_match": 1,
            "no_answer_threshold": -2,
        }
    )
    rows = list(result.rows())
    assert [row["start"] for row in rows] == [4, 0, -1, -1]
    assert json.loads(json.dumps(rows))[1]["best"][0]["answer"] == "blue"
    assert "threshold -2.000" in result.summary()
    assert result.table("t").row_count == 3
    wrong = AnswerEvaluation.of(
        kind.with_validation({"no_answer_threshold": 9.0}),
        examples,
        found,
        0.5,
        7,
    )
    assert wrong.answers == ["dog", "blue", "green", ""]
    assert np.isclose(wrong.figures["f1"], (1 + 2 / 3 + 0 + 1) / 4)
