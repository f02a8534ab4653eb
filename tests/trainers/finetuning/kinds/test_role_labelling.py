"""Role labelling from a file to served predicates and arguments."""

import json
import random

import pytest
import tensorflow as tf
import yaml

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from trainers import export, finetune, predict
from trainers.finetuning import evaluation
from trainers.finetuning.kinds.role_labelling import RoleLabelling
from trainers.finetuning.metrics.roles import arguments
from trainers.finetuning.settings import FinetuningData


def clause(draw):
    """Words, place of the verb, BIO roles: the dull film | bored | it."""
    subject = draw.choice([["it"], ["the", "film"], ["a", "dull", "film"]])
    thing = draw.choice([[], ["plot"], ["the", "story"]])
    words = [*subject, draw.choice(["was", "bored"]), *thing]
    tags = ["B-ARG0", "I-ARG0", "I-ARG0"][: len(subject)] + ["B-V"]
    tags += ["B-ARG1", "I-ARG1"][: len(thing)]
    return words, len(subject), tags


def sentence(draw):
    """A row for tfbert's JSON Lines: one or two clauses."""
    tokens, predicates = [], []
    clauses = [clause(draw) for _ in range(draw.randint(1, 2))]
    total = sum(len(words) for words, *_ in clauses) + len(clauses) - 1
    for number, (words, verb, tags) in enumerate(clauses):
        if number:
            tokens.append(",")
        start = len(tokens)
        tokens += words
        after = total - start - len(words)
        predicates.append(
            {
                "index": start + verb,
                "tags": ["O"] * start + tags + ["O"] * after,
            }
        )
    return {"tokens": tokens, "predicates": predicates}


def write(path, count, seed):
    draw = random.Random(seed)
    rows = [sentence(draw) for _ in range(count)]
    rows.append({"tokens": ["good", "!"], "predicates": []})
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, vocabulary):
    path = tmp_path_factory.mktemp("roles")
    Tokenizer(vocabulary).save(path / "tokenizer")
    files = {
        name: str(write(path / f"{name}.jsonl", count, seed))
        for seed, (name, count) in enumerate(
            {"train": 300, "validation": 40, "test": 50}.items()
        )
    }
    settings = {
        "task": "role_labelling",
        "model": {
            "preset": "tiny",
            "num_hidden_layers": 2,
            "hidden_size": 48,
            "num_attention_heads": 4,
            "intermediate_size": 48,
            "max_position_embeddings": 24,
        },
        "data": {
            **files,
            "tokenizer": str(path / "tokenizer"),
            "max_length": 16,
        },
        "optimization": {"epochs": 8, "learning_rate": 0.004},
        "runtime": {"run_dir": str(path / "run")},
    }
    (path / "config.yaml").write_text(yaml.safe_dump(settings))
    finetune.main(["--config", str(path / "config.yaml")])
    return path / "run"


def read_rows(run, name):
    text = evaluation.predictions_path(run, name).read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.long
def test_it_learns(run):
    figures = json.loads((run / "evaluation-test.json").read_text())
    rows = read_rows(run, "test")
    assert figures["examples"] == len(rows) > 60
    # The mark tells the two clauses apart.
    assert figures["f1"] > 0.8
    assert figures["predicate_f1"] > 0.95
    assert "V" not in figures["per_class"]
    assert figures["arguments_of_unseen_roles"] == 0


@pytest.mark.long
def test_the_export_answers_as_the_evaluation(run, capsys):
    output = run.parent / "export"
    export.main([str(run), "--output", str(output)])
    rows = read_rows(run, "test")
    longest = max(len(row["words"]) for row in rows)
    signatures = tf.saved_model.load(str(output / "1")).signatures
    answer = signatures["words_given"](
        words=tf.constant(
            [r["words"] + [""] * (longest - len(r["words"])) for r in rows]
        ),
        predicate=tf.constant([row["predicate"] for row in rows]),
    )
    answer = {name: value.numpy() for name, value in answer.items()}
    for i, row in enumerate(rows):
        spans = [
            (role.decode(), ((start, end),))
            for role, start, end in zip(
                answer["role_labels"][i, 0],
                answer["role_starts"][i, 0],
                answer["role_ends"][i, 0],
                strict=True,
            )
            if role
        ]
        assert spans == arguments(row["predicted"])
    capsys.readouterr()
    # As text, of a sentence whose two predicates are found.
    row, other = next(
        two
        for two in zip(rows, rows[1:], strict=False)
        if two[0]["words"] == two[1]["words"]
    )
    text = " ".join(row["words"])
    predict.main([str(output), text, "--json"])
    found = json.loads(capsys.readouterr().out)["predicates"]
    assert [p["word"] for p in found] == [row["predicate"], other["predicate"]]
    for predicate, wanted in zip(found, (row, other), strict=True):
        assert predicate["text"] == wanted["words"][wanted["predicate"]]
        assert [
            (a["label"], text[a["start"] : a["end"]])
            for a in predicate["arguments"]
        ] == [
            (role, " ".join(row["words"][slice(*pieces[0])]))
            for role, pieces in arguments(wanted["predicted"])
        ]


def test_roles_that_training_did_not_have(tmp_path, vocabulary):
    tokens = ["it", "was", "fun"]
    data = FinetuningData(max_length=16, find_predicates=False)
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    for path, tags in (
        (train, ["B-ARG0", "B-V", "O"]),
        (test, ["B-ARG0", "B-V", "B-ARG2"]),
    ):
        row = {"tokens": tokens, "predicates": [{"index": 1, "tags": tags}]}
        path.write_text(json.dumps(row))
    kind = RoleLabelling.from_training(data, RoleLabelling.read(train, data))
    assert kind.labels == ["O", "B-ARG0", "I-ARG0", "B-V", "I-V"]
    assert kind.describe() == "1 roles"
    examples = RoleLabelling.read(test, data)
    kind.check(examples)
    encoded = kind.encode(examples, Tokenizer(vocabulary))
    assert len(encoded) == 1
    assert encoded.columns["segment_ids"][0].tolist() == [0, 0, 1, *[0] * 5]
    logits = tf.one_hot(encoded.columns["label_ids"], 5).numpy()
    result = kind.evaluate(examples, encoded, {"logits": logits}, 1)
    assert result.unseen == 1 and "1 arguments have roles" in result.summary()
    assert (result.figures["precision"], result.figures["recall"]) == (1, 0.5)
    assert "predicate_f1" not in result.figures
    assert RoleLabelling.from_about(kind.about()) == kind


def test_mistakes(tmp_path):
    path = tmp_path / "train.jsonl"
    path.write_text(
        '{"tokens": ["a"], "predicates": [{"index": 0, "tags": ["B-V"]}]}'
    )
    data = FinetuningData()
    with pytest.raises(UserError, match="no predicate has an argument"):
        RoleLabelling.from_training(data, RoleLabelling.read(path, data))
    with pytest.raises(UserError, match="columns of roles have numbers"):
        RoleLabelling.read(path, FinetuningData(token_column="words"))
