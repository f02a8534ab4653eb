"""Every signature of an export, asked as a server would."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfbert.config import BertConfig
from tfbert.serving.graphs.classification import classifier
from tfbert.serving.graphs.embedding import embedder
from tfbert.serving.graphs.multiple_choice import chooser
from tfbert.serving.package import (
    documents,
    operations,
    server_files,
    signatures,
    versions,
    warmup,
)
from tfbert.tasks.classification import ClassificationTask
from tfbert.tasks.multiple_choice import MultipleChoiceTask
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer, longest_text

MAX_LENGTH = 24
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a bad film fun good is it not
the very was x ##x""".split()
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=MAX_LENGTH,
    initializer_range=0.3,
)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def models(tokenizer, tmp_path_factory):
    """Kind -> (its version folder, loaded, its layer)."""
    pair = ClassificationTask(CONFIG, 3, seed=1)
    choice = MultipleChoiceTask(CONFIG, seed=1)
    pretrained = PretrainingTask(CONFIG, seed=1)
    made = {
        "pair": (
            classifier(pair, tokenizer, ["a", "b", "c"], MAX_LENGTH, True),
            ["text_a", "text_b"],
            pair,
        ),
        "choice": (
            chooser(choice, tokenizer, MAX_LENGTH),
            ["question", "choices"],
            choice,
        ),
        "embedding": (
            embedder(pretrained, tokenizer, MAX_LENGTH),
            ["text"],
            pretrained.encoder,
        ),
    }
    models = {}
    for kind, (servable, inputs, layer) in made.items():
        card = {"kind": kind, "inputs": inputs, "max_length": MAX_LENGTH}
        about = {"Data": {"train": "a.tsv", "share": 0.25}, "Limits": "Many."}
        output = tmp_path_factory.mktemp(kind) / kind
        version = versions.write_version(servable, output, card, about)
        models[kind] = version, tf.saved_model.load(str(version)), layer
    return models


def ask(model, signature, **inputs):
    return {
        name: value.numpy()
        for name, value in model.signatures[signature](
            **{key: tf.constant(value) for key, value in inputs.items()}
        ).items()
    }


def same(got, want, tolerance=0.0):
    assert got.keys() == want.keys()
    for name, value in want.items():
        if value.dtype == object:
            assert got[name].tolist() == value.tolist()
        else:
            np.testing.assert_allclose(got[name], value, atol=tolerance)


def example(**inputs):
    features = {
        key: tf.train.Feature(
            bytes_list=tf.train.BytesList(
                value=[text.encode() for text in np.atleast_1d(value)]
            )
        )
        for key, value in inputs.items()
    }
    example = tf.train.Example(features=tf.train.Features(feature=features))
    return example.SerializeToString()


@pytest.mark.long
def test_examples_are_answered_as_their_texts(models):
    model = models["pair"][1]
    rows = [("a good film", "is it"), ("", "bad bad"), ("x" * 200, "the fun")]
    first, second = map(list, zip(*rows, strict=True))
    want = ask(model, "serving_default", text_a=first, text_b=second)
    asked = [example(text_a=a, text_b=b) for a, b in rows]
    same(ask(model, "examples", examples=asked), want)
    with pytest.raises(tf.errors.InvalidArgumentError, match="text_b"):
        ask(model, "examples", examples=[example(text_a="a")])


@pytest.mark.long
def test_examples_of_choices_may_have_different_numbers(models):
    model = models["choice"][1]
    asked = [
        example(question="is it", choices=["good", "bad", "fun"]),
        example(question="was it", choices=["a film", "x"]),
    ]
    choices = [["good", "bad", "fun"], ["a film", "x", ""]]
    want = ask(
        model, "serving_default", question=["is it", "was it"], choices=choices
    )
    same(ask(model, "examples", examples=asked), want)


@pytest.mark.parametrize("kind", ["pair", "choice", "embedding"])
def test_tokens_run_the_layer(kind, models):
    _, model, layer = models[kind]
    random = np.random.default_rng(0)
    shape = (2, 3, 10) if kind == "choice" else (2, 10)
    batch = {
        "input_ids": random.integers(5, 18, shape, np.int32),
        "input_mask": np.ones(shape, np.int32),
        "segment_ids": random.integers(0, 2, shape, np.int32),
    }
    if kind == "choice":
        batch["choice_mask"] = np.array([[1, 1, 1], [1, 1, 0]], np.int32)
    want = {name: np.array(v) for name, v in layer(batch).items()}
    same(ask(model, "tokens", **batch), want, 1e-6)


@pytest.mark.parametrize("kind", ["pair", "choice", "embedding"])
def test_warm_up_asks_every_signature_at_every_length(kind, models):
    version, model, _ = models[kind]
    asked = []
    lengths = []
    for record in tf.data.TFRecordDataset(str(version / warmup.FILE)):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
        assert ask(model, request.model_spec.signature_name, **inputs)
        asked.append(request.model_spec.signature_name)
        if "input_ids" in inputs:
            lengths.append(inputs["input_ids"].shape[-1])
    assert set(asked) == set(model.signatures)
    assert lengths == warmup.length_buckets(MAX_LENGTH) == [16, MAX_LENGTH]


def test_requests_have_about_the_length_asked_for(models, tokenizer):
    found = signatures.read_signatures(models["embedding"][0])
    for length in (4, 9, 20):
        request = signatures.request(found, "serving_default", length)
        tokens = tokenizer(request["text"])
        assert len(tokens[0]) + 2 == length


def test_length_buckets_end_at_the_longest():
    assert warmup.length_buckets(128) == [16, 32, 64, 128]
    assert warmup.length_buckets(100) == [16, 32, 64, 100]
    assert warmup.length_buckets(8) == [8]


def test_any_server_since_it_has_the_tokenizer_loads_it(models):
    for version, _, _ in models.values():
        assert operations.lowest_server(version) == "2.14"
        assert versions.read_card(version)["lowest_tf_serving"] == "2.14"


def test_the_server_files_are_the_users_to_change(models):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    export_folder = models["pair"][0].parent
    text = (export_folder / server_files.MODELS_FILE).read_text()
    config = text_format.Parse(
        text, model_server_config_pb2.ModelServerConfig()
    )
    [model] = config.model_config_list.config
    assert (model.name, model.base_path) == ("pair", "/models/pair")
    batching = export_folder / server_files.BATCHING_FILE
    assert "max_batch_size { value: 32 }" in batching.read_text()
    batching.write_text("max_batch_size { value: 8 }\n")
    server_files.write_server_files(export_folder)
    assert batching.read_text() == "max_batch_size { value: 8 }\n"
    # They do not make the folder one that is in use.
    versions.check_output(export_folder)


def test_documents_are_filled_in(models):
    version = models["choice"][0]
    text = (version / versions.README).read_text("utf-8")
    rows, columns = (part.split("'")[0] for part in text.split("curl -d '")[1:])
    row = {"question": "some question", "choices": ["one choice", "another"]}
    assert json.loads(rows) == {"instances": [row]}
    assert json.loads(columns) == {
        "inputs": {"question": [row["question"]], "choices": [row["choices"]]}
    }
    assert "'some question' --choice 'one choice' --choice 'another'" in text
    assert "TF Serving 2.14 or newer" in text
    assert "| `serving_default` | `choices` string [B, ?]" in text
    assert "| `answer` string [B], `choice` int32 [B], `prob" in text
    code = text.split("tensorflow-serving-api`:\n\n")[1].split("\n##")[0]
    compile("\n".join(line[4:] for line in code.splitlines()), "", "exec")
    card = (version / versions.MODEL_CARD).read_text("utf-8")
    assert "# choice" in card and "- train: a.tsv" in card
    assert "- share: 0.25" in card and "## Limits\n\nMany." in card


def test_a_number_is_asked_for_as_one(tmp_path):
    inputs = {
        "predicate": tf.TensorSpec([None], tf.int32),
        "text": tf.TensorSpec([None], tf.string),
    }
    card = {"inputs": ["text", "predicate"], "lowest_tf_serving": "2.14"}
    outputs = {"score": tf.TensorSpec([None, 2]), "any": tf.TensorSpec(None)}
    text = documents.readme(
        tmp_path / "1",
        card,
        {"serving_default": inputs},
        {"serving_default": outputs},
    )
    assert "| `score` float32 [B, 2], `any` float32 |" in text
    row = {"text": "some text", "predicate": 0}
    assert json.dumps({"instances": [row]}) in text


def test_a_long_text_is_cut_before_it_is_tokenized(models, tokenizer):
    limit = longest_text(MAX_LENGTH)
    assert limit == 32768 and longest_text(1024) == 65536
    # White space up to the limit: the words behind it are not read.
    hidden = " " * limit + "good film"
    seen = " " * (limit - 9) + "good film"
    batch = tokenizer.encode([hidden, seen], max_length=MAX_LENGTH)
    assert batch["input_mask"].numpy().sum(axis=1).tolist() == [2, 4]
    # A character that is cut in two is no token.
    cut = "a" + " " * (limit - 3) + "é é"
    batch = tokenizer.encode([cut], max_length=MAX_LENGTH)
    assert batch["input_mask"].numpy().sum() == 3 + 1
    cut = "a" + " " * (limit - 2) + "é é"
    batch = tokenizer.encode([cut], max_length=MAX_LENGTH)
    assert batch["input_mask"].numpy().sum() == 3
    answer = ask(models["embedding"][1], "embed", text=["x" * 10_000_000])
    assert np.isfinite(answer["embedding"]).all()
