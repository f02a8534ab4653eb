import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfbert import files
from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.serving.graphs.classification import classifier
from tfbert.serving.graphs.embedding import embedder
from tfbert.serving.package import versions
from tfbert.tasks.classification import ClassificationTask
from tfbert.text.tokenizer import Tokenizer

LABELS = ["bad", "good", "très bien"]
CARD = {"inputs": ["text"], "labels": LABELS, "max_length": 12}
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a bad film fun good is it not
the very was x ##x""".split()


@pytest.fixture(scope="module")
def task():
    config = BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
        initializer_range=0.3,
    )
    return ClassificationTask(config, len(LABELS), seed=1)


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def single(task, tokenizer, tmp_path_factory):
    """The loaded export of a classifier of sentences."""
    folder = tmp_path_factory.mktemp("single") / "reviews"
    servable = classifier(task, tokenizer, LABELS, 12)
    return tf.saved_model.load(
        str(versions.write_version(servable, folder, CARD))
    )


@pytest.fixture(scope="module")
def pairs(task, tokenizer, tmp_path_factory):
    """The loaded export of a classifier of pairs."""
    folder = tmp_path_factory.mktemp("pairs") / "reviews"
    servable = classifier(task, tokenizer, LABELS, 12, pairs=True)
    card = CARD | {"inputs": ["text_a", "text_b"]}
    return tf.saved_model.load(
        str(versions.write_version(servable, folder, card))
    )


def ask(model, *columns, signature="serving_default"):
    names = ["text_a", "text_b"] if len(columns) == 2 else ["text"]
    inputs = {
        name: tf.constant(list(column), tf.string)
        for name, column in zip(names, columns, strict=True)
    }
    answer = model.signatures[signature](**inputs)
    return {name: value.numpy() for name, value in answer.items()}


@pytest.mark.long
def test_signature_names_and_shapes(single, pairs):
    for model, names in ((single, ["text"]), (pairs, ["text_a", "text_b"])):
        signature = model.signatures["serving_default"]
        inputs = signature.structured_input_signature[1]
        assert sorted(inputs) == names
        for spec in inputs.values():
            assert (spec.shape.as_list(), spec.dtype) == ([None], tf.string)
        outputs = signature.structured_outputs
        assert sorted(outputs) == ["label", "probabilities"]
        assert outputs["label"].dtype == tf.string
        assert outputs["label"].shape.as_list() == [None]
        assert outputs["probabilities"].dtype == tf.float32
        assert outputs["probabilities"].shape.as_list() == [None, 3]


def test_answers_are_the_tasks_own(single, pairs, task, tokenizer):
    texts = ["a good film", "it was not fun", "bad", "x xx y"]
    others = ["bad", "the film was very, very good", "", "a"]
    for model, columns in ((single, [texts]), (pairs, [texts, others])):
        batch = tokenizer.encode(*columns, max_length=12)
        want = task(batch)["probabilities"]
        answer = ask(model, *columns)
        np.testing.assert_allclose(answer["probabilities"], want, atol=1e-6)
        labels = [LABELS[i].encode() for i in np.argmax(want, axis=1)]
        assert answer["label"].tolist() == labels


def test_answers_do_not_depend_on_batch_mates(single):
    texts = ["fun", "", "very " * 30, "it is a film", "\x00", "[SEP]"]
    together = ask(single, texts)["probabilities"]
    alone = [ask(single, [text])["probabilities"][0] for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_odd_input_is_answered(single, pairs):
    odd = [
        b"",
        b"\xff\xfe\x80",
        b" \t\n",
        b"x" * 1_000_000,
        "\U0010ffff".encode(),
    ]
    for model, columns in ((single, [odd]), (pairs, [odd, odd[::-1]])):
        answer = ask(model, *columns)
        np.testing.assert_allclose(
            answer["probabilities"].sum(axis=1), 1, atol=1e-5
        )


def test_a_batch_of_none_is_answered(single, pairs):
    for model, columns in ((single, [[]]), (pairs, [[], []])):
        answer = ask(model, *columns)
        assert answer["label"].shape == (0,)
        assert answer["probabilities"].shape == (0, 3)
    assert ask(single, [], signature="embed")["embedding"].shape == (0, 32)


def test_embeddings_are_means_over_tokens(single, task, tokenizer, tmp_path):
    texts = ["a good film", "bad"]
    batch = tokenizer.encode(texts, max_length=12)
    vectors = np.array(task.encoder(batch)["sequence_output"])
    mask = np.array(batch["input_mask"])[..., None]
    want = (vectors * mask).sum(1) / mask.sum(1)
    want /= np.linalg.norm(want, axis=1, keepdims=True)
    got = ask(single, texts, signature="embed")["embedding"]
    np.testing.assert_allclose(got, want, atol=1e-6)
    servable = embedder(task.encoder, tokenizer, 12)
    card = {"inputs": ["text"], "max_length": 12}
    path = versions.write_version(servable, tmp_path / "embed", card)
    got = ask(tf.saved_model.load(str(path)), texts)["embedding"]
    np.testing.assert_allclose(got, want, atol=1e-6)


class FakeServable:
    def save(self, folder):
        model = saved_model_pb2.SavedModel()
        model.meta_graphs.add()
        (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def test_versions_count_up_from_the_highest(tmp_path):
    output = tmp_path / "a" / "name"
    for number in (1, 2):
        path = versions.write_version(FakeServable(), output, CARD)
        assert path == output / str(number)
    (output / "7").mkdir()
    (output / "7" / "saved_model.pb").write_bytes(b"")
    assert versions.write_version(FakeServable(), output, CARD).name == "8"
    assert versions.versions(output) == [1, 2, 7, 8]
    assert versions.newest_version(output) == output / "8"
    assert versions.newest_version(output / "2") == output / "2"
    card = versions.read_card(output / "8")
    assert card == CARD | {"lowest_tf_serving": "2.7"}
    assert versions.read_card(output / "7") == {}


def test_a_number_that_is_taken_is_not_given_again(task, tokenizer, tmp_path):
    output = tmp_path / "reviews"
    for name in ("1", "03", "x2"[1:]):
        (output / name).mkdir(parents=True, exist_ok=True)
    servable = classifier(task, tokenizer, LABELS, 12)
    assert versions.write_version(servable, output, CARD).name == "4"
    assert versions.versions(output) == [4]
    (output / "²").mkdir()
    with pytest.raises(UserError, match="holds ²"):
        versions.check_output(output)


@pytest.mark.parametrize("text", ["{", "[1]", "\xff", "[" * 100_000])
def test_a_damaged_card_is_named(tmp_path, text):
    assert versions.read_card(tmp_path) == {}
    card = tmp_path / versions.CARD
    card.parent.mkdir()
    card.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match="model.json is damaged"):
        versions.read_card(tmp_path)


def test_a_version_that_fails_leaves_nothing(tmp_path):
    class Failing(FakeServable):
        def save(self, folder):
            super().save(folder)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        versions.write_version(Failing(), tmp_path / "name", CARD)
    assert list((tmp_path / "name").iterdir()) == []


def test_what_a_killed_export_left_is_removed(tmp_path):
    left = tmp_path / "name" / f"{files.TEMPORARY_PREFIX}x"
    left.mkdir(parents=True)
    versions.write_version(FakeServable(), tmp_path / "name", CARD)
    assert not left.exists()


def test_a_version_is_not_there_before_it_is_complete(tmp_path):
    class Watching(FakeServable):
        def save(self, folder):
            super().save(folder)
            assert versions.versions(tmp_path / "name") == []
            assert not (tmp_path / "name" / "1").exists()

    versions.write_version(Watching(), tmp_path / "name", CARD)


def test_folders_in_use_are_refused(tmp_path):
    path = versions.write_version(FakeServable(), tmp_path / "name", CARD)
    with pytest.raises(UserError, match="is one version of an export"):
        versions.write_version(FakeServable(), path, CARD)
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="is a file"):
        versions.write_version(FakeServable(), tmp_path / "file", CARD)
    with pytest.raises(UserError, match="in use: it holds file, name"):
        versions.write_version(FakeServable(), tmp_path, CARD)


def test_an_export_that_is_none_is_named(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        versions.newest_version(tmp_path / "none")
    with pytest.raises(UserError, match="holds no version"):
        versions.newest_version(tmp_path)
    (tmp_path / "settings.yaml").write_text("")
    with pytest.raises(UserError, match="is a run, .* `tfbert export"):
        versions.newest_version(tmp_path)


def test_the_readme_can_be_followed(tmp_path):
    card = CARD | {"inputs": ["text_a", "text_b"]}
    path = versions.write_version(FakeServable(), tmp_path / "name", card)
    text = (path / versions.README).read_text("utf-8")
    request = text.split("curl -d '")[1].split("'")[0]
    assert json.loads(request) == {
        "instances": [{"text_a": "some text_a", "text_b": "some text_b"}]
    }
    assert "'some text_a' --text_b 'some text_b'" in text
    assert "très bien" in text
    lines = text.split("or in Python:\n\n")[1].splitlines()
    compile("\n".join(line[4:] for line in lines), "README.md", "exec")
