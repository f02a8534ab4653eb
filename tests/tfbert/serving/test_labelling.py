"""Graphs of token and role labelling, saved and loaded."""

import numpy as np
import pytest
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.serving.graphs.role_labelling import role_labeller
from tfbert.serving.graphs.token_labelling import token_labeller
from tfbert.tag_scheme import bio_tags
from tfbert.tasks import TokenLabellingTask
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.sentences import SentenceTokenizer

WORDS = "a an and bad film fun good it the was ##ny ##s . , !".split()
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=32,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=40,
    # Large weights, so that words get different answers.
    initializer_range=0.4,
)
TEXTS = [
    "The film was  funny, and good!",
    "",
    b"\xff\xfe",
    "x" * 10_000_000,
    "the film was bad. " * 30,
    "東京 ﬁlm É",
    b"the \xe6\x9d bad \xff\xff film",
]
MAX_LENGTH = 16
TOKENIZER = Tokenizer(VOCABULARY)
SENTENCES = SentenceTokenizer(TOKENIZER)


def load(servable, folder):
    servable.save(folder)
    return tf.saved_model.load(folder).signatures


def ask(function, **inputs):
    answer = function(**{k: tf.constant(v) for k, v in inputs.items()})
    return {name: value.numpy() for name, value in answer.items()}


@pytest.fixture(scope="module")
def labeller(tmp_path_factory):
    labels = bio_tags(["PER", "LOC"])
    task = TokenLabellingTask(CONFIG, len(labels), seed=3)
    servable = token_labeller(task, TOKENIZER, labels, MAX_LENGTH)
    return load(servable, tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def roles(tmp_path_factory):
    labels = bio_tags(["V", "ARG0", "C-ARG0"])
    task = TokenLabellingTask(CONFIG, len(labels), seed=5)
    servable = role_labeller(task, TOKENIZER, labels, MAX_LENGTH)
    return load(servable, tmp_path_factory.mktemp("roles"))


def cut(values, size):
    """The values without the rows' filling."""
    return values[tuple(slice(0, n) for n in size)]


def check_independent(function, inputs):
    """Answers do not depend on the other rows of a batch."""
    whole = ask(function, **inputs)
    for i in range(len(next(iter(inputs.values())))):
        alone = ask(function, **{k: v[i : i + 1] for k, v in inputs.items()})
        for name, value in alone.items():
            same = cut(whole[name][i], value[0].shape)
            if value.dtype == np.float32:
                np.testing.assert_allclose(value[0], same, atol=1e-6)
            else:
                np.testing.assert_array_equal(value[0], same, name)
            filling = whole[name][i].size - same.size
            empty = {"O": b"", "i": -1, "f": 0}[value.dtype.kind]
            assert (whole[name][i] == empty).sum() >= filling
    return whole


def test_labels_of_texts(labeller):
    answer = check_independent(labeller["serving_default"], {"text": TEXTS})
    text = TEXTS[0]
    for name in ("words", "span_texts"):
        assert all(w.decode() or True for w in answer[name].flat), name
    words = [w.decode() for w in answer["words"][0] if w]
    assert words == ["The", "film", "was", "funny", ",", "and", "good", "!"]
    # A word of megabytes is a word; each of many has its own answer.
    assert answer["words"][3][0] == b"x" * 32768 and not answer["words"][3][1]
    assert all(answer["labels"][4]) and answer["labels"].shape[1] == 150
    for i, text in enumerate(TEXTS):
        text = (
            text if isinstance(text, str) else text.decode("utf-8", "replace")
        )
        count = int((answer["words"][i] != b"").sum())
        labels = [x.decode() for x in answer["labels"][i, :count]]
        assert all(labels) and not any(answer["labels"][i, count:])
        check_spans(text, answer, i, labels)
    # The model is not of one mind.
    assert len({x for x in answer["labels"].flat if x}) > 1
    for value in ask(
        labeller["serving_default"], text=np.zeros([0], "S1")
    ).values():
        assert len(value) == 0
    vectors = ask(labeller["embed"], text=TEXTS[:2])["embedding"]
    assert vectors.shape == (2, 32)


def check_spans(text, answer, i, labels):
    """Spans say in characters what legal labels say."""
    starts, ends = answer["starts"][i], answer["ends"][i]
    wanted = []
    for place, label in enumerate(labels):
        if label[0] == "B":
            wanted.append([label[2:], starts[place], ends[place]])
        elif label[0] == "I":
            # Legal: a span of this type is under way.
            assert labels[place - 1][2:] == label[2:]
            wanted[-1][2] = ends[place]
    kinds = [k.decode() for k in answer["span_labels"][i] if k]
    assert kinds == [kind for kind, *_ in wanted]
    for place, (_, start, end) in enumerate(wanted):
        assert answer["span_starts"][i, place] == start
        assert answer["span_ends"][i, place] == end
        got = answer["span_texts"][i, place].decode()
        assert got == text[start:end]


def test_labels_of_words(labeller):
    words = [
        ["The", "film", "was", "funny", ",", "and", "good", "!"],
        ["it", "", "\x01", "bad", "", "", "", ""],
        [""] * 8,
    ]
    answer = check_independent(labeller["words"], {"words": words})
    # Words of a text that are apart have the same labels.
    text = ask(labeller["serving_default"], text=TEXTS[:1])
    np.testing.assert_array_equal(text["labels"][0], answer["labels"][0])
    np.testing.assert_allclose(
        text["scores"][0], answer["scores"][0], atol=1e-6
    )
    # An empty word is a word if another follows.
    assert [bool(x) for x in answer["labels"][1]] == [True] * 4 + [False] * 4
    assert not any(answer["labels"][2])
    for shape in ((0, 0), (0, 3), (2, 0)):
        empty = ask(labeller["words"], words=np.zeros(shape, "S1"))
        assert empty["labels"].size == 0


def test_plain_tags_have_no_spans(tmp_path):
    task = TokenLabellingTask(CONFIG, 2, seed=3)
    servable = token_labeller(task, TOKENIZER, ["N", "V"], 16, scheme="plain")
    answer = ask(servable.functions["serving_default"], text=["the film"])
    assert set(answer) == {"words", "starts", "ends", "labels", "scores"}
    assert set(answer["labels"][0]) <= {b"N", b"V"}


@pytest.mark.long
def test_roles_of_texts(roles):
    answer = check_independent(roles["serving_default"], {"text": TEXTS})
    found = (answer["predicates"] >= 0).sum(axis=1)
    assert found.max() > 1 and found[1] == found[2] == 0
    assert not {b"V"} & set(answer["role_labels"].flat)
    # Each predicate that is found has the roles that it has when given.
    for row, text in enumerate(TEXTS):
        for place in range(min(found[row], 5)):
            given = ask(
                roles["given"],
                text=[text],
                predicate=answer["predicates"][row, place : place + 1],
            )
            for name in given:
                if name.startswith("role_"):
                    got = given[name][0, 0]
                    wanted = cut(answer[name][row, place], got.shape)
                    if got.dtype == np.float32:
                        np.testing.assert_allclose(got, wanted, atol=1e-6)
                    else:
                        np.testing.assert_array_equal(got, wanted, name)
    text = TEXTS[0]
    starts, ends = answer["role_starts"][0], answer["role_ends"][0]
    for at in zip(*np.nonzero(starts >= 0), strict=True):
        span = text[starts[at] : ends[at]]
        assert answer["role_texts"][0][at].decode() == span
    empty = ask(roles["serving_default"], text=np.zeros([0], "S1"))
    assert empty["role_labels"].shape == (0, 0, 0)


@pytest.mark.long
def test_given_predicates(roles):
    inputs = {
        "text": TEXTS,
        "predicate": np.array([1, 0, 0, 9, 100, -1, 2], np.int32),
    }
    answer = check_independent(roles["given"], inputs)
    predicates = answer["predicates"][:, 0].tolist()
    # Numbers that are no word's are answered by no predicate.
    assert predicates == [1, -1, -1, -1, 100, -1, 2]
    assert (answer["role_starts"][1:4] == -1).all()
    none = ask(roles["given"], text=["a"], predicate=np.array([4], np.int32))
    assert none["predicates"].tolist() == [[-1]]
    assert none["role_labels"].shape == (1, 1, 0)


def test_roles_of_words(roles):
    words = [["the", "film", "was", "bad"], ["good", "film", "", ""]]
    found = check_independent(roles["words"], {"words": words})
    given = ask(
        roles["words_given"], words=words, predicate=np.array([2, 1], np.int32)
    )
    text = ask(
        roles["given"],
        text=[" ".join(row).strip() for row in words],
        predicate=np.array([2, 1], np.int32),
    )
    np.testing.assert_array_equal(given["role_labels"], text["role_labels"])
    # Counted in words here, in characters there.
    for row, line in enumerate(words):
        for start, end, said in zip(
            given["role_starts"][row, 0],
            given["role_ends"][row, 0],
            text["role_texts"][row, 0],
            strict=True,
        ):
            if start >= 0:
                assert " ".join(line[start:end]).encode() == said
    assert set(found) == set(given)


def test_a_predicate_is_read_with_what_is_around_it(roles):
    words = "the film was funny , and it was good !".split() * 8
    found = ask(roles["words"], words=[words])
    places = found["predicates"][0]
    assert len(places) > 2
    for number, place in enumerate(places):
        given = ask(
            roles["words_given"],
            words=[words],
            predicate=np.array([place], np.int32),
        )
        # Nothing is answered for words that no row with the mark holds.
        starts = given["role_starts"][0, 0]
        assert (np.abs(starts[starts >= 0] - place) < MAX_LENGTH).all()
        count = given["role_starts"].shape[2]
        np.testing.assert_array_equal(
            given["role_starts"][0, 0], found["role_starts"][0, number, :count]
        )


@pytest.mark.long
def test_limits_of_a_text():
    labels = bio_tags(["V", "ARG0"])
    task = TokenLabellingTask(CONFIG, len(labels), seed=5)
    # Every word is a predicate.
    task.classifier.bias.assign([0, 0, 0, 50, 0])
    most = Limits(max_text_bytes=19, max_predicates=3)
    functions = role_labeller(
        task, TOKENIZER, labels, MAX_LENGTH, most=most
    ).functions
    texts = ["the film was bad. it was", "a good film", "", "good"]
    answer = ask(functions["serving_default"], text=texts)
    assert answer["words"].shape[1] == 6
    assert answer["predicates"].tolist() == [
        [0, 1, 2],
        [0, 1, 2],
        [-1, -1, -1],
        [0, -1, -1],
    ]
    with pytest.raises(UserError, match="max_predicates of 1 or more, got 0"):
        Limits(max_predicates=0)


def test_a_model_that_finds_no_predicates():
    labels = bio_tags(["V", "ARG0"])
    task = TokenLabellingTask(CONFIG, len(labels), seed=5)
    functions = role_labeller(
        task, TOKENIZER, labels, MAX_LENGTH, finds_predicates=False
    ).functions
    for name in ("serving_default", "given"):
        text, predicate = functions[name].input_signature
        assert (text.dtype, predicate.dtype) == (tf.string, tf.int32)
