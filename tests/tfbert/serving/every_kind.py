"""A small random model of every kind, as exported, and requests for them."""

import numpy as np
import tensorflow as tf

from tfbert.config import BertConfig
from tfbert.serving.graphs.classification import classifier
from tfbert.serving.graphs.embedding import embedder, sentence_embedder
from tfbert.serving.graphs.masked_lm import fill_mask
from tfbert.serving.graphs.masked_lm.score import score_function
from tfbert.serving.graphs.multi_label import multi_labeller
from tfbert.serving.graphs.multiple_choice import chooser
from tfbert.serving.graphs.question_answering import answerer
from tfbert.serving.graphs.regression import regressor
from tfbert.serving.graphs.role_labelling import role_labeller
from tfbert.serving.graphs.servable import Servable
from tfbert.serving.graphs.token_labelling import token_labeller
from tfbert.tasks import (
    EmbeddingTask,
    MultiLabelTask,
    MultipleChoiceTask,
    RegressionTask,
)
from tfbert.tasks.classification import ClassificationTask
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.tasks.question_answering import QuestionAnsweringTask
from tfbert.tasks.token_labelling import TokenLabellingTask
from tfbert.text.tokenizer import Tokenizer

MAX_LENGTH = 24
TEXTS = [b"a good film", b"it was not fun", b"bad", b"the very [MASK] film x"]
LABELS = ["bad", "good", "très bien"]
TAGS = ["O", "B-A", "I-A"]
ROLES = ["O", "B-V", "I-V", "B-ARG0", "I-ARG0"]
VOCABULARY = """[PAD] [UNK] [CLS] [SEP] [MASK] a bad film fun good is it not
the very was x ##x""".split()
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=32,
    max_position_embeddings=MAX_LENGTH,
    # Large, so that answers differ.
    initializer_range=0.3,
)


def servables() -> dict[str, Servable]:
    """Kind -> what is saved of it."""
    tokenizer = Tokenizer(VOCABULARY)
    length = MAX_LENGTH
    label = ClassificationTask(CONFIG, len(LABELS), seed=1)
    several = MultiLabelTask(CONFIG, len(LABELS), seed=1)
    score = RegressionTask(CONFIG, mean=2.0, scale=3.0, seed=1)
    masks = PretrainingTask(CONFIG, seed=1)
    tags = TokenLabellingTask(CONFIG, len(TAGS), seed=1)
    roles = TokenLabellingTask(CONFIG, len(ROLES), seed=1)
    fill = fill_mask.fill_mask_function(
        masks, fill_mask.mask_tokenizer(tokenizer), length
    )
    return {
        "classification": classifier(label, tokenizer, LABELS, length),
        "pairs": classifier(label, tokenizer, LABELS, length, pairs=True),
        "multi_label": multi_labeller(several, tokenizer, LABELS, length),
        "regression": regressor(score, tokenizer, length),
        "embedding": sentence_embedder(
            EmbeddingTask(CONFIG, "max", seed=1), tokenizer, length, "max"
        ),
        "multiple_choice": chooser(
            MultipleChoiceTask(CONFIG, seed=1), tokenizer, length
        ),
        "question_answering": answerer(
            QuestionAnsweringTask(CONFIG, seed=1),
            tokenizer,
            length,
            window_stride=8,
            max_question_length=12,
            max_answer_length=10,
        ),
        "token_labelling": token_labeller(tags, tokenizer, TAGS, length),
        "role_labelling": role_labeller(roles, tokenizer, ROLES, length),
        "pretraining": embedder(
            masks,
            tokenizer,
            length,
            more={
                "fill_mask": fill,
                "score": score_function(masks, tokenizer, length),
            },
        ),
    }


def batch_of(specs, texts) -> dict:
    """Inputs of a signature on strings, a row for each text."""
    batch = {}
    for place, (name, spec) in enumerate(specs.items()):
        rows = texts if place == 0 else texts[::-1]
        if spec.dtype == tf.int32:
            value = np.arange(len(texts), dtype=np.int32) % 3
        elif spec.shape.rank == 2:
            # Words, or choices.
            value = np.empty([len(texts), 3], object)
            for row, text in enumerate(rows):
                value[row] = [text, b"good", b"film"]
        else:
            value = np.empty(len(texts), object)
            value[:] = rows
        batch[name] = value
    return batch


def on_strings(inputs):
    """(kind, signature, inputs) of all but `examples` and `tokens`."""
    return [
        (kind, name, specs)
        for kind, of_kind in inputs.items()
        for name, specs in of_kind.items()
        if name not in ("examples", "tokens")
    ]


def call(kinds, kind, name, batch) -> dict:
    function = kinds[kind].functions[name]
    answer = function(**{key: tf.constant(v) for key, v in batch.items()})
    return {key: value.numpy() for key, value in answer.items()}


def same(got, want, tolerance=1e-6):
    assert got.keys() == want.keys()
    for name, value in want.items():
        assert got[name].shape == value.shape, name
        if value.dtype == object:
            assert got[name].tolist() == value.tolist(), name
        else:
            np.testing.assert_allclose(
                got[name], value, atol=tolerance, rtol=1e-6, err_msg=name
            )


def example(row: dict) -> bytes:
    features = {}
    for key, value in row.items():
        value = np.atleast_1d(value).tolist()
        if isinstance(value[0], bytes):
            feature = tf.train.Feature(bytes_list={"value": value})
        else:
            feature = tf.train.Feature(int64_list={"value": value})
        features[key] = feature
    features = tf.train.Features(feature=features)
    return tf.train.Example(features=features).SerializeToString()
