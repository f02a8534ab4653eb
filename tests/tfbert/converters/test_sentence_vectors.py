"""Folders of sentence-transformers, as versions before and from 5.4 write."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest

import tfbert
from tfbert.converters import sentence_vectors, sources
from tfbert.errors import UserError
from tfbert.weights.portable_model import Pooling

POOLING = "1_Pooling/config.json"
LENGTH = "sentence_bert_config.json"
PROMPTS = "config_sentence_transformers.json"
NEW = {
    POOLING: {
        "embedding_dimension": 32,
        "pooling_mode": "mean",
        "include_prompt": True,
    },
    LENGTH: {
        "transformer_task": "feature-extraction",
        "modality_config": {
            "text": {
                "method": "forward",
                "method_output_name": "last_hidden_state",
            }
        },
        "module_output_name": "token_embeddings",
    },
    PROMPTS: {
        "__version__": {"sentence_transformers": "6.2.0"},
        "default_prompt_name": None,
        "prompts": {"query": "", "document": ""},
        "similarity_fn_name": "cosine",
    },
}


@pytest.fixture
def folder(portable, tmp_path):
    """A folder as sentence-transformers 6.2 writes it."""
    model = portable("encoder")
    short = dataclasses.replace(model.vocabulary, max_length=12)
    model = dataclasses.replace(model, vocabulary=short)
    sources.write(model, "huggingface", tmp_path / "st")
    base = "sentence_transformers.base.modules"
    pooling = "sentence_transformers.sentence_transformer.modules.pooling"
    modules = [
        {"path": "", "type": f"{base}.transformer.Transformer"},
        {"path": "1_Pooling", "type": f"{pooling}.Pooling"},
        {"path": "2_Normalize", "type": f"{base}.normalize.Normalize"},
    ]
    for number, module in enumerate(modules):
        module |= {"idx": number, "name": str(number)}
    (tmp_path / "st/modules.json").write_text(json.dumps(modules))
    for file, content in NEW.items():
        (tmp_path / "st" / file).parent.mkdir(exist_ok=True)
        (tmp_path / "st" / file).write_text(json.dumps(content))
    return tmp_path / "st"


def change(path, **changes):
    content = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(content))


def test_what_version_6_writes_is_read(folder, tmp_path):
    model = sources.read(folder)
    assert model.pooling == Pooling("mean", True, 12)
    assert not any("prompt" in note for note in model.notes)
    sources.write(model, "tfbert", tmp_path / "run")
    again = sources.read(tmp_path / "run")
    assert again.pooling == model.pooling
    assert again.vocabulary.max_length == 12
    # The module's own limit comes before the tokenizer's.
    change(folder / LENGTH, max_seq_length=9)
    assert sources.read(folder).pooling.max_length == 9


@pytest.mark.parametrize("mode", ["cls", "max", ["mean"]])
def test_one_mode_as_a_string(mode, folder):
    change(folder / POOLING, pooling_mode=mode)
    model = sources.read(folder)
    assert model.pooling.mode == (mode if isinstance(mode, str) else mode[0])


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (POOLING, {"pooling_mode": ["cls", "mean"]}, "pooling by cls, mean"),
        (POOLING, {"pooling_mode": "weightedmean"}, "by weightedmean; we can"),
        (POOLING, {"pooling_mode": 7}, "pooling by 7"),
        (LENGTH, {"max_seq_length": "12"}, "max_seq_length is '12'"),
        (LENGTH, {"do_lower_case": "yes"}, "do_lower_case is 'yes'"),
        (LENGTH, {"transformer_task": "fill-mask"}, "transformer_task is"),
        (PROMPTS, {"prompts": [1]}, "wanted an object"),
        (
            PROMPTS,
            {"prompts": {"q": "query: "}, "default_prompt_name": "q"},
            "default_prompt_name 'q' puts 'query: ' before every text",
        ),
        (PROMPTS, {"default_prompt_name": "none"}, "'none' puts None"),
    ],
)
def test_what_we_cannot_do_is_refused(file, changes, message, folder):
    change(folder / file, **changes)
    with pytest.raises(UserError, match=message) as error:
        sources.read(folder)
    assert str(folder / file) in str(error.value)


def test_prompts_that_the_caller_puts(folder):
    change(folder / PROMPTS, prompts={"q": "query: "})
    assert any("{'q': 'query: '}" in x for x in sources.read(folder).notes)
    change(folder / POOLING, include_prompt=False)
    with pytest.raises(UserError, match="prompts that the pooling leaves out"):
        sources.read(folder)
    change(folder / PROMPTS, prompts={"q": ""}, default_prompt_name="q")
    assert sources.read(folder).pooling.mode == "mean"


def test_lower_case_before_the_tokenizer(folder):
    change(folder / LENGTH, do_lower_case=True)
    vocabulary = sources.read(folder).vocabulary
    assert vocabulary.lowercase
    cased = dataclasses.replace(vocabulary, lowercase=False)
    with pytest.raises(UserError, match="before a cased tokenizer"):
        sentence_vectors.read(folder, cased)


def test_a_transformer_in_a_folder_of_its_own(folder):
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(UserError, match="the transformer is in 0_Transformer"):
        sources.read(folder)


def test_what_has_a_head_makes_no_vectors(portable, tmp_path):
    model = portable("classification")
    with pytest.raises(UserError, match="no place for the head of classific"):
        sources.write(model, "sentence_transformers", tmp_path / "a")
    # Without a pooling of its own a model gets the usual one.
    words = portable("pretraining")
    sources.write(words, "sentence_transformers", tmp_path / "b")
    again = sources.read(tmp_path / "b")
    assert again.pooling == Pooling() and again.task == "encoder"


def test_a_run_says_how_it_pools(portable, tmp_path):
    sources.write(portable("encoder"), "tfbert", tmp_path / "run")
    about = {"kind": "embedding", "pooling": "max", "max_length": 9}
    (tmp_path / "run" / "run.json").write_text(json.dumps(about))
    model = sources.read(tmp_path / "run")
    assert (model.task, model.pooling) == ("embedding", Pooling("max", True, 9))
    change(tmp_path / "run" / "run.json", pooling="sum")
    with pytest.raises(UserError, match="pooling is 'sum', wanted mean, cls"):
        sources.read(tmp_path / "run")


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None,
    reason="sentence-transformers is not installed",
)
@pytest.mark.parametrize("mode", ["mean", "cls"])
def test_sentence_transformers_makes_the_same_vectors(mode, folder, tmp_path):
    """Of what we write, and of what it writes itself."""
    from sentence_transformers import SentenceTransformer

    change(folder / POOLING, pooling_mode=mode)
    texts = ["a b-c", "the quick brown fox jumped over the lazy dog, twice"]

    def ours(path):
        model = sources.read(path)
        encoder = tfbert.load_encoder(path)
        batch = sources.read_tokenizer(path).encode(
            texts, max_length=model.pooling.max_length
        )
        x = np.asarray(encoder(batch)["sequence_output"])
        mask = np.asarray(batch["input_mask"])[..., None]
        means = (x * mask).sum(1) / mask.sum(1)
        x = x[:, 0] if model.pooling.mode == "cls" else means
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    network = SentenceTransformer(str(folder), device="cpu")
    assert network.max_seq_length == 12
    np.testing.assert_allclose(ours(folder), network.encode(texts), atol=1e-5)
    network.save(str(tmp_path / "theirs"))
    np.testing.assert_allclose(
        ours(tmp_path / "theirs"), network.encode(texts), atol=1e-5
    )
    sources.write(sources.read(folder), "huggingface", tmp_path / "ours")
    again = SentenceTransformer(str(tmp_path / "ours"), device="cpu")
    assert again.max_seq_length == 12
    np.testing.assert_allclose(ours(folder), again.encode(texts), atol=1e-5)
