"""Tags of any scheme: the same spans in evaluation and in the served graph."""

import random

import numpy as np
import pytest
import tensorflow as tf
from seqeval.metrics import f1_score
from seqeval.metrics.sequence_labeling import get_entities

from tfbert.config import BertConfig
from tfbert.converters import own
from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.weights.portable_model import PortableModel
from trainers.finetuning.kinds.token_labelling import TokenLabelling

WORDS = "the is film story warm fun bad xyz".split()
# As models of others have them, in any order.
LABELS = {
    "IOB2": "B-PER I-PER O B-LOC I-LOC",
    "IOB1": "B-PER I-LOC I-PER O",
    "IO": "I-LOC I-PER O",
    "BILOU": "B-LOC I-LOC L-LOC O U-LOC",
    "bare": "B I O",
}


def usual(tag):
    """The tag as seqeval knows it."""
    return {"L-LOC": "E-LOC", "U-LOC": "S-LOC"}.get(tag, tag)


def kind_of(labels, **changes):
    """What `tfbert convert` writes of a model with these labels."""
    config = BertConfig.preset("tiny")
    model = PortableModel(
        kind="huggingface",
        source="x",
        config=config,
        tensors={},
        task="token_labelling",
        labels=tuple(labels),
    )
    about = {**own._about(model), "max_length": 16, **changes}
    return TokenLabelling.from_about(about)


def sentences(labels, seed=0):
    """Random words, and tags that the labels can say."""
    draw = random.Random(seed)
    kinds = sorted({*kind_of(labels).scheme.types} - {""})
    found = []
    for _ in range(12):
        words, tags = [], []
        while len(words) < 5:
            kind, size = draw.choice(kinds), draw.randint(1, 3)
            tags += [f"B-{kind}", *[f"I-{kind}"] * (size - 1), "O"]
            words += draw.choices(WORDS, k=size + 1)
        found.append((words, tags))
    return found


def write(path, found, scheme):
    lines = [
        "".join(
            f"{word} {tag}\n"
            for word, tag in zip(words, scheme.of_bio(tags), strict=True)
        )
        for words, tags in found
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name == "IOB1" else pytest.mark.long)
        for name in LABELS
    ],
)
def test_evaluation_and_graph_find_the_same_spans(name, tmp_path, vocabulary):
    labels = LABELS[name].split()
    kind = kind_of(labels)
    tokenizer = Tokenizer(vocabulary)
    path = write(tmp_path / "a.txt", sentences(labels), kind.scheme)
    examples = kind.read(path, kind)
    kind.check(examples)
    encoded = kind.encode(examples, tokenizer)
    # The file's own tags are those that the model is asked for.
    assert encoded.sentences.tags == [
        kind.scheme.of_bio(tags) for _, tags in sentences(labels)
    ]
    logits = tf.one_hot(encoded.columns["label_ids"], len(labels)).numpy()
    assert kind.evaluate(examples, encoded, {"logits": logits}, 0).figures == {
        "f1": 1, "precision": 1, "recall": 1, "accuracy": 1, "macro_f1": 1
    }  # fmt: skip
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        initializer_range=0.5,
    )
    task = kind.make_task(config, "float32", seed=3)
    columns = {
        key: tf.constant(value.astype(np.int32))
        for key, value in encoded.columns.items()
    }
    logits = task(columns)["logits"].numpy()
    result = kind.evaluate(examples, encoded, {"logits": logits}, 0)
    answers = result.answers.tags
    gold = encoded.sentences.tags
    wanted = f1_score(
        *([list(map(usual, t)) for t in x] for x in (gold, answers))
    )
    assert result.figures["f1"] == pytest.approx(wanted)
    served = kind.servable(task, tokenizer)[0].functions["words"]
    widest = max(map(len, examples.words))
    words = [w + [""] * (widest - len(w)) for w in examples.words]
    answer = {k: v.numpy() for k, v in served(tf.constant(words)).items()}
    some = 0
    for i, tags in enumerate(answers):
        found = [x.decode() for x in answer["labels"][i] if x]
        assert found == tags
        spans = [
            (kind.decode(), int(start), int(end) - 1)
            for kind, start, end in zip(
                answer["span_labels"][i],
                answer["span_starts"][i],
                answer["span_ends"][i],
                strict=True,
            )
            if kind
        ]
        assert spans == get_entities(list(map(usual, tags)))
        some += len(spans)
    assert some > 5


def test_label_scheme_in_run_json_decides():
    labels = "O B-PER I-PER".split()
    # Trained on IOB1, with a B of every type: the names do not tell.
    kind = kind_of(labels, label_scheme="IOB1")
    assert kind.scheme.follows.tolist() == [[-1, -1], [2, 1], [-1, -1]]
    assert kind_of(["LOC", "O"], label_scheme="IO").scheme.has_spans
    # Runs that were made before there was the setting.
    about = kind_of(labels).about()
    del about["label_scheme"]
    assert TokenLabelling.from_about(about).scheme == kind_of(labels).scheme
    about = {**about, "labels": ["I-X", "NN"], "has_spans": False}
    assert TokenLabelling.from_about(about).scheme.scheme == "plain"


def test_unknown_types(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("the O\nfilm B-ORG\n")
    kind = kind_of("B-PER E-PER S-PER I-PER O".split())
    with pytest.raises(UserError, match=r"a\.txt:2: unknown tag 'B-ORG'"):
        kind.check(kind.read(path, kind))
    # What IO cannot say is no mistake of the file's: it counts as missed.
    path.write_text("the B-PER\nfilm B-PER\n")
    kind = kind_of(["I-PER", "O"])
    kind.check(kind.read(path, kind))
