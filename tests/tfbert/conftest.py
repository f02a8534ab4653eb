"""The reference tokenizer, and small models with random weights."""

import pathlib

import numpy as np
import pytest
import tokenizers

from tfbert.config import BertConfig
from tfbert.tasks import PretrainingTask
from tfbert.weights.portable_model import PortableModel, Vocabulary
from tfbert.weights.variables import arrays_of, named_variables


def make_reference(tokens: list[str], lowercase: bool):
    """Hugging Face's BERT tokenizer, special tokens in text left alone."""
    model = tokenizers.models.WordPiece(
        {token: index for index, token in enumerate(tokens)},
        unk_token="[UNK]",
        max_input_chars_per_word=100,
    )
    reference = tokenizers.Tokenizer(model)
    reference.normalizer = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase
    )
    reference.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return reference


@pytest.fixture(scope="session")
def reference():
    return make_reference


CONFIG = BertConfig(
    vocab_size=91,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=48,
    max_position_embeddings=24,
    initializer_range=0.3,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
)
OUTPUTS = {
    "classification": 3,
    "multi_label": 4,
    "regression": 1,
    "multiple_choice": 1,
    "token_labelling": 5,
    "question_answering": 2,
}


def make_vocabulary(size):
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [chr(ord("a") + i) for i in range(26)]
    tokens = special + letters + [f"##{x}" for x in letters] + list(".,:!-/_")
    tokens += [f"[unused{i}]" for i in range(size - len(tokens))]
    return Vocabulary(tuple(tokens), True)


def make_portable(task="pretraining", next_sentence=True, config=CONFIG):
    """A PortableModel whose every number counts."""
    network = PretrainingTask(config, next_sentence=next_sentence, seed=3)
    rng = np.random.default_rng(5)
    # Biases, gammas and betas move off 0 and 1.
    tensors = {
        name: (value + rng.normal(0, 0.1, value.shape)).astype(np.float32)
        for name, value in arrays_of(named_variables(network)).items()
    }
    labels = None
    if task != "pretraining":
        tensors = {k: v for k, v in tensors.items() if k.startswith("encoder")}
    if task in OUTPUTS:
        width, outputs = config.hidden_size, OUTPUTS[task]
        kernel = rng.normal(0, 0.5, (width, outputs))
        tensors["classifier/kernel"] = kernel.astype(np.float32)
        bias = rng.normal(0, 0.5, outputs)
        tensors["classifier/bias"] = bias.astype(np.float32)
        if outputs > 2:
            labels = tuple(f"label {i}" for i in range(outputs))
    return PortableModel(
        kind="tfbert",
        source=pathlib.Path("random"),
        config=config,
        tensors=tensors,
        task=task,
        vocabulary=make_vocabulary(config.vocab_size),
        labels=labels,
    )


@pytest.fixture(scope="session")
def portable():
    return make_portable


@pytest.fixture(scope="session")
def small_config():
    return CONFIG
