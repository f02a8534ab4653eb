"""F55: requests that would take a server's memory, or end it."""

import c_api
import numpy as np
import pytest

from tfbert.config import BertConfig
from tfbert.serving.graphs.embedding import embedder
from tfbert.serving.graphs.masked_lm.fill_mask import (
    fill_mask_function,
    mask_tokenizer,
)
from tfbert.serving.graphs.question_answering import answerer
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.serving.graphs.role_labelling import role_labeller
from tfbert.serving.graphs.token_labelling import token_labeller
from tfbert.tag_scheme import bio_tags
from tfbert.tasks import QuestionAnsweringTask, TokenLabellingTask
from tfbert.tasks.pretraining import PretrainingTask
from tfbert.text.tokenizer import Tokenizer

pytestmark = pytest.mark.faults
LENGTH = 512
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
VOCABULARY = [*SPECIAL, *(chr(97 + i) for i in range(26))]
VOCABULARY += [f"w{i}" for i in range(30522 - len(VOCABULARY))]
CONFIG = BertConfig(
    vocab_size=len(VOCABULARY),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    max_position_embeddings=LENGTH,
)
TAGS = bio_tags(["V", *(f"ARG{i}" for i in range(20))])
# What a small request takes beside is some megabytes.
MORE = 500_000_000
ENDLESS = b"a b " * 2_500_000


def servables():
    tokenizer = Tokenizer(VOCABULARY)
    roles = TokenLabellingTask(CONFIG, len(TAGS))
    bias = np.zeros(len(TAGS), np.float32)
    bias[TAGS.index("B-V")] = 50
    roles.classifier.bias.assign(bias)
    masks = PretrainingTask(CONFIG)
    fill = fill_mask_function(masks, mask_tokenizer(tokenizer), LENGTH)
    return {
        "roles": role_labeller(roles, tokenizer, TAGS, LENGTH),
        "labels": token_labeller(roles, tokenizer, TAGS, LENGTH),
        "answers": answerer(
            QuestionAnsweringTask(CONFIG),
            tokenizer,
            max_length=LENGTH,
            window_stride=128,
            max_question_length=64,
            max_answer_length=30,
        ),
        "masks": embedder(masks, tokenizer, LENGTH, more={"fill_mask": fill}),
    }


def strings(*texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


def requests_of(kind):
    """Key -> (signature, inputs): a small one, bad ones, a small one."""
    signature = "fill_mask" if kind == "masks" else "serving_default"
    if kind == "answers":
        small = {"question": strings(b"a b"), "context": strings(b"a b c")}
        bad = {
            "a text without end": {
                "question": strings(ENDLESS),
                "context": strings(ENDLESS),
            }
        }
    else:
        small = {"text": strings(b"a [MASK] b")}
        bad = {
            "a text without end": {"text": strings(ENDLESS)},
            "a word without end": {"text": strings(b"a" * 10_000_000)},
            "a thousand masks": {"text": strings(*[b"[MASK] " * 1000] * 8)},
            "nothing but words": {"text": strings(*[b"a " * 3000] * 2)},
        }
    bad["another rank"] = {
        name: np.reshape(value, [1, 1]) for name, value in small.items()
    }
    asked = {"before": small, **bad, "after": small}
    return {f"{kind}: {key}": (signature, v) for key, v in asked.items()}


def test_memory_is_bounded_and_the_server_goes_on(tmp_path):
    folders = {}
    for kind, servable in servables().items():
        folders[kind] = tmp_path / kind
        servable.save(folders[kind])
    requests = {folder: requests_of(kind) for kind, folder in folders.items()}
    answers, peaks = c_api.ask_with_peaks(requests, tmp_path)
    for kind, folder in folders.items():
        first = peaks[f"{kind}: before"]
        for key, answer in answers[folder].items():
            print(key, (peaks[key] - first) // 1_000_000, "MB")
            if "another rank" in key:
                assert "wanted" in answer
            else:
                assert not isinstance(answer, str), (key, answer)
        before, after = (
            answers[folder][f"{kind}: {key}"] for key in ("before", "after")
        )
        for name, value in before.items():
            np.testing.assert_array_equal(after[name], value)
        assert peaks[f"{kind}: after"] - first < MORE, kind
    most = Limits()
    roles = answers[folders["roles"]]["roles: nothing but words"]
    assert roles["predicates"].shape == (2, most.max_predicates)
    masks = answers[folders["masks"]]["masks: a thousand masks"]
    assert masks["masks"].tolist() == [most.max_masks] * 8
