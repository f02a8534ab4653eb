"""Vectors from each form of data, to the answers of their export."""

import importlib.util
import json
import random

import numpy as np
import pytest
import tensorflow as tf

from tfbert.converters import sources
from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.portable_model import Pooling
from trainers import convert, evaluate, export, finetune, predict
from trainers.finetuning.run import Run

HAS_PEER = importlib.util.find_spec("sentence_transformers") is not None
CONTENT = (
    "bad bored dull fun funny good never plot story very warm well".split()
)
OPTIONS = """--task embedding --model.preset tiny --model.num_hidden_layers 1
--model.hidden_size 32 --model.num_attention_heads 2
--model.intermediate_size 32 --model.max_position_embeddings 24
--data.max_length 16 --optimization.batch_size 16
--optimization.learning_rate 0.01""".split()


def pairs(seed, count):
    """(a, b) with the same two words, in other words around them."""
    draw = random.Random(seed)
    for _ in range(count):
        one, two = draw.sample(CONTENT, 2)
        yield f"the {one} {two} film", f"{two} {one} it was in this"


def scored(seed, count):
    """A score from 0 to 4: twice the words that both have."""
    draw = random.Random(seed)
    for _ in range(count):
        shared = draw.randrange(3)
        words = draw.sample(CONTENT, 4 - shared)
        a, b = words[:2], [*words[:shared], *words[2:]]
        yield f"the {' '.join(a)} film", f"it was {' '.join(b)}", 2 * shared


def write(path, head, rows):
    lines = ["\t".join(map(str, row)) for row in [head, *rows]]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def data(tmp_path_factory, vocabulary):
    """A folder with a file of each form, and a folder for retrieval."""
    folder = tmp_path_factory.mktemp("vectors")
    Tokenizer(vocabulary).save(folder / "tokenizer")
    two = ("text_a", "text_b")
    write(folder / "pairs.tsv", two, pairs(0, 160))
    write(folder / "pairs_test.tsv", two, pairs(1, 37))
    sts = ("sentence1", "sentence2", "score")
    write(folder / "scored.tsv", sts, scored(2, 160))
    write(folder / "scored_test.tsv", sts, scored(3, 51))
    triples = [
        (a, b, f"{b.split()[0]} well it was in this") for a, b in pairs(4, 40)
    ]
    write(folder / "triples.tsv", ("anchor", "positive", "negative"), triples)
    texts = "".join(f"{a}\n" for a, _ in pairs(5, 40))
    (folder / "texts.txt").write_text(texts, "utf-8")
    beir = folder / "beir"
    (beir / "qrels").mkdir(parents=True)
    rows = dict(pairs(6, 40))
    queries = [{"_id": f"q{i}", "text": a} for i, a in enumerate(rows)]
    corpus = [
        {"_id": f"d{i}", "title": "", "text": b}
        for i, b in enumerate(rows.values())
    ]
    for name, found in (("queries", queries), ("corpus", corpus)):
        text = "".join(json.dumps(row) + "\n" for row in found)
        (beir / f"{name}.jsonl").write_text(text, "utf-8")
    answers = [(f"q{i}", f"d{i}", 1) for i in range(len(rows))]
    head = ("query-id", "corpus-id", "score")
    write(beir / "qrels" / "test.tsv", head, answers)
    return folder


def train(data, run_dir, train, *more):
    finetune.main(
        [
            *OPTIONS,
            f"--data.tokenizer={data / 'tokenizer'}",
            f"--data.train={data / train}",
            f"--runtime.run_dir={run_dir}",
            *more,
        ]
    )
    return run_dir


def validations(run):
    rows = (run / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(row) for row in rows]
    return [row for row in rows if row["split"] == "validation"]


@pytest.fixture(scope="module")
def paired(data, tmp_path_factory):
    """A run on pairs, with 8 dimensions that learn too."""
    return train(
        data,
        tmp_path_factory.mktemp("runs") / "paired",
        "pairs.tsv",
        f"--data.validation={data / 'pairs_test.tsv'}",
        "--data.dimensions=[8]",
        "--optimization.epochs=4",
    )


@pytest.fixture(scope="module")
def exported(paired):
    folder = paired.parent / "export"
    export.main([str(paired), "--output", str(folder)])
    return folder


def test_pairs_are_learnt(paired, data, capsys):
    rows = validations(paired)
    assert rows[-1]["mrr"] > max(rows[0]["mrr"] + 0.02, 0.9)
    about = json.loads((paired / "run.json").read_text("utf-8"))
    assert (about["learns"], about["objective"]) == ("pairs", "in_batch")
    test = ["--data", str(data / "pairs_test.tsv")]
    evaluate.main([str(paired), *test])
    figures = json.loads((paired / "evaluation-pairs_test.json").read_text())
    assert figures["examples"] == 37
    best = max(row["mrr"] for row in rows)
    assert figures["mrr"] == pytest.approx(best, abs=1e-5)
    assert 0.5 < figures["mrr_first_8"] <= 1
    lines = (paired / "predictions-pairs_test.jsonl").read_text().splitlines()
    ranks = [json.loads(line)["rank"] for line in lines]
    assert figures["accuracy"] == pytest.approx(ranks.count(1) / 37)
    assert "MRR" in capsys.readouterr().out


def test_a_retrieval_folder_is_searched(paired, data):
    evaluate.main([str(paired), "--data", str(data / "beir")])
    figures = json.loads((paired / "evaluation-beir.json").read_text())
    assert figures["mrr"] > 0.8 and figures["recall_at_10"] > 0.9
    assert len(figures["data_sha256"]) == 64
    answers = str(data / "beir" / "qrels" / "test.tsv")
    again = Run(paired).evaluate(answers, name="again")
    assert again["ndcg_at_10"] == figures["ndcg_at_10"]


@pytest.mark.long
def test_the_export_answers_the_trained_vectors(paired, exported, data, capsys):
    model = tf.saved_model.load(str(exported / "1"))
    texts = ["the warm plot film", "plot warm it was in this", "very dull"]
    found = model.signatures["embed"](text=tf.constant(texts))["embedding"]
    np.testing.assert_allclose(tf.norm(found, axis=-1), 1, rtol=1e-5)
    task = Run(paired)._saved.load_task().task
    ids = Run(paired)._saved.tokenizer.encode(texts, None, max_length=16)
    wanted = task({k: tf.cast(v, tf.int32) for k, v in ids.items()})
    np.testing.assert_allclose(found, wanted["embedding"], atol=1e-5)
    tokens = model.signatures["tokens"](
        **{k: tf.cast(v, tf.int32) for k, v in ids.items()}
    )
    np.testing.assert_allclose(tokens["embedding"], found, atol=1e-5)
    cosine = model.signatures["similarity"](
        text_a=tf.constant(texts[:1]), text_b=tf.constant(texts[1:2])
    )["similarity"]
    found = found.numpy()
    np.testing.assert_allclose(cosine[0], found[0] @ found[1], atol=1e-6)
    card = json.loads(
        (exported / "1" / "assets.extra" / "model.json").read_text("utf-8")
    )
    assert card["kind"] == "embedding" and card["dimensions"] == [8]
    capsys.readouterr()
    ask = [str(exported), texts[0], "--text_b", texts[1], "--json"]
    predict.main([*ask, "--signature", "similarity"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["similarity"] == pytest.approx(float(cosine[0]), abs=1e-5)
    assert len(Run(paired).predict(texts)[0]["embedding"]) == 32


def test_a_run_goes_to_other_formats(paired, data, tmp_path, capsys):
    test = str(data / "pairs_test.tsv")
    wanted = Run(paired).evaluate(test)
    convert.main([str(paired), "--output", str(tmp_path / "ours")])
    again = Run(tmp_path / "ours").evaluate(test)
    assert again["mrr"] == pytest.approx(wanted["mrr"], abs=1e-6)
    theirs = tmp_path / "st"
    to = ["--output", str(theirs), "--to", "sentence_transformers"]
    convert.main([str(paired), *to])
    assert "(embedding" in capsys.readouterr().out or not HAS_PEER
    model = sources.read(theirs)
    assert model.pooling == Pooling("mean", True, 16)
    assert model.task == "encoder" and model.vocabulary is not None
    config = json.loads((theirs / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertModel"]
    google = [str(paired), "--output", str(tmp_path / "g"), "--to", "google"]
    convert.main(google)
    assert "no place for how a vector is made" in capsys.readouterr().out


@pytest.mark.skipif(
    not HAS_PEER, reason="sentence-transformers is not installed"
)
def test_sentence_transformers_makes_the_exports_vectors(paired, tmp_path):
    """Of a run that pools by mean, with texts that are cut."""
    from sentence_transformers import SentenceTransformer

    to = ["--output", str(tmp_path / "st"), "--to", "sentence_transformers"]
    convert.main([str(paired), *to])
    texts = ["the warm plot film", "so DULL!", "good story " * 20]
    network = SentenceTransformer(str(tmp_path / "st"), device="cpu")
    wanted = [row["embedding"] for row in Run(paired).predict(texts)]
    np.testing.assert_allclose(network.encode(texts), wanted, atol=1e-5)


@pytest.mark.long
def test_scored_pairs_are_learnt(data, tmp_path):
    run = train(
        data,
        tmp_path / "run",
        "scored.tsv",
        f"--data.validation={data / 'scored_test.tsv'}",
        "--optimization.epochs=3",
    )
    rows = validations(run)
    assert rows[-1]["spearman"] > max(rows[0]["spearman"] + 0.05, 0.7)
    evaluate.main([str(run), "--data", str(data / "scored_test.tsv")])
    lines = (run / "predictions-scored_test.jsonl").read_text().splitlines()
    first = json.loads(lines[0])
    assert first["label"] == first["score"] / 4
    evaluate.main([str(run), "--data", str(data / "beir")])


@pytest.mark.parametrize(
    ("file", "more"),
    [
        pytest.param("triples.tsv", [], marks=pytest.mark.long),
        ("texts.txt", ["--model.hidden_dropout_prob=0.1"]),
        pytest.param(
            "scored.tsv",
            ["--data.objective=cosine", "--data.pooling=max"],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "scored.tsv",
            ["--data.form=pairs", "--data.pooling=cls"],
            marks=pytest.mark.long,
        ),
    ],
)
def test_the_other_forms_train(data, tmp_path, file, more):
    steps = ["--optimization.steps=2", "--optimization.accumulation_steps=2"]
    run = train(
        data,
        tmp_path / "run",
        file,
        f"--data.validation={data / 'beir'}",
        *steps,
        *more,
    )
    rows = validations(run)
    assert [row["step"] for row in rows] == [0, 2]
    assert (
        rows[0]["mrr"] != rows[1]["mrr"] or rows[0]["loss"] != rows[1]["loss"]
    )


def test_mistakes_are_named(data, tmp_path):
    run = tmp_path / "run"

    def wrong(message, file, *more):
        with pytest.raises(UserError, match=message):
            train(data, run, file, *more)

    bad = tmp_path / "bad.tsv"
    two = ("text_a", "text_b")
    write(bad, two, [("a", "b"), ("a", "")])
    wrong("bad.tsv:3: the cell of column 'text_b' is empty", bad)
    write(bad, two, [("a", "film"), ("fun", "film")])
    wrong("every example has the same text 'film' in the column text_b", bad)
    write(bad, two, [("a", "film")])
    wrong("one example alone cannot be compared", bad)
    write(bad, (*two, "score"), [("a", "b", 1), ("c", "d", 1)])
    wrong("every score is 1; there is nothing to learn", bad)
    write(bad, (*two, "score"), [("a", "b", 1), ("c", "d", "high")])
    wrong("bad.tsv:3: 'high' is no number", bad)
    wrong(
        "data.temperature above 0, got 0", "pairs.tsv", "--data.temperature=0"
    )
    wrong(
        "dimensions from 1 to 32 .*got 64",
        "pairs.tsv",
        "--data.dimensions=[64]",
    )
    wrong(
        "freeze encoder leaves nothing", "pairs.tsv", "--model.freeze=encoder"
    )
    wrong(
        "batch_size from 2, got 1", "pairs.tsv", "--optimization.batch_size=1"
    )
    wrong(
        "objective cosine does not learn from pairs; wanted one of in_batch",
        "pairs.tsv",
        "--data.objective=cosine",
    )
    wrong("retrieval can be measured on, not learnt from", "beir")
    wrong(
        "texts alone have nothing to measure",
        "pairs.tsv",
        f"--data.validation={data / 'texts.txt'}",
    )
    assert not run.exists()
