"""A small fine-tuned run that took no training, for those who read runs."""

import json
import pathlib

import pytest

WORDS = """a an and bad bored but but dull film for fun funny good in is it
never not of plot story the this too un very warm was well with ##ny ##ed ##s
. , !""".split()
TEXTS = [
    "a warm and funny film",
    "this story was dull, and very, very bad!",
    "FUN",
    "good plots. bad films",
    "it is not funny",
    "ünwell xylophone 東京",
    "the film was too " + "very " * 40 + "bad",
]


@pytest.fixture(scope="session")
def vocabulary():
    """Special tokens and a few words."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return special + sorted(set(WORDS))


@pytest.fixture(scope="session")
def small_corpus(tmp_path_factory, vocabulary):
    """A folder with vocab.txt and records/ of 16 tokens, some held out."""
    from trainers import records

    folder = tmp_path_factory.mktemp("corpus")
    words = [word for word in WORDS if word.isalpha()]
    documents = [
        " ".join(words[(7 * i + j * j) % len(words)] for j in range(5 + i % 20))
        for i in range(120)
    ]
    text = "\n\n".join(documents)
    (folder / "text.txt").write_text(text, encoding="utf-8")
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    build = "--max_length 16 --held_out 0.1 --processes 1".split()
    records.main(
        ["--input", str(folder / "text.txt")]
        + ["--vocab", str(folder / "vocab.txt")]
        + ["--output", str(folder / "records"), *build]
    )
    return folder


@pytest.fixture(scope="session")
def make_run(vocabulary):
    """Returns a function that makes the folder of a run."""

    def make(path, pairs=False, labels=("bad", "good", "très bien")):
        from tfbert.config import BertConfig
        from tfbert.tasks.classification import ClassificationTask
        from tfbert.text.tokenizer import Tokenizer
        from trainers.checkpoints.best import write_best

        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            max_position_embeddings=40,
            # Large weights, so that texts get different answers.
            initializer_range=0.3,
        )
        path.mkdir()
        config.to_json(path / "config.json")
        Tokenizer(vocabulary).save(path)
        about = {
            "kind": "classification",
            "labels": list(labels),
            "text_columns": ["first", "second"] if pairs else ["text"],
            "label_column": "label",
            "max_length": 24,
        }
        (path / "run.json").write_text(json.dumps(about), encoding="utf-8")
        task = ClassificationTask(config, len(labels), seed=6)
        values = {"accuracy": 0.5, "loss": 1.0}
        write_best(path / "best.safetensors", task, 7, values)
        return path

    return make


@pytest.fixture(scope="session")
def single_run(make_run, tmp_path_factory):
    """The folder of a run on single sentences."""
    return make_run(tmp_path_factory.mktemp("single") / "run")


@pytest.fixture(scope="session")
def pair_run(make_run, tmp_path_factory):
    """The folder of a run on pairs of sentences."""
    return make_run(tmp_path_factory.mktemp("pairs") / "run", pairs=True)


@pytest.fixture(scope="session")
def single_export(single_run, tmp_path_factory):
    """An export of `single_run`."""
    from trainers import export

    output = tmp_path_factory.mktemp("exports") / "single"
    return export.write_export(single_run, output).parent


@pytest.fixture(scope="session")
def pair_export(pair_run, tmp_path_factory):
    """An export of `pair_run`."""
    from trainers import export

    output = tmp_path_factory.mktemp("exports") / "pair"
    return export.write_export(pair_run, output).parent


@pytest.fixture(scope="session")
def single_data(tmp_path_factory):
    """A labelled file for `single_run`."""
    labels = ["good", "bad", "très bien"]
    rows = [f"{text}\t{labels[i % 3]}\n" for i, text in enumerate(TEXTS)]
    path = tmp_path_factory.mktemp("data") / "reviews.tsv"
    path.write_text("text\tlabel\n" + "".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pair_data(tmp_path_factory):
    """A labelled file for `pair_run`."""
    rows = [
        {"first": text, "second": other, "label": "good"}
        for text, other in zip(TEXTS, TEXTS[::-1], strict=True)
    ]
    path = tmp_path_factory.mktemp("data") / "pairs.jsonl"
    text = "\n".join(map(json.dumps, rows))
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that are read whole, once for each time."""
    names, read = [], pathlib.Path.read_bytes

    def counting(path):
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", counting)
    return names
