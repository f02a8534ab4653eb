"""Against keras-hub's own code: folders both ways, the same numbers."""

import dataclasses
import math
import sys

import numpy as np
import pytest

import tfbert
from tfbert.converters import building, peers, sources
from tfbert.errors import UserError

keras_hub = pytest.importorskip(
    "keras_hub", reason="keras-nlp is not installed"
)


@pytest.fixture(scope="module")
def models(portable):
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    return {
        task: portable(task, False, config)
        for task in ("pretraining", "classification")
    }


def inputs(batch):
    return {
        "token_ids": batch["input_ids"],
        "padding_mask": batch["input_mask"],
        "segment_ids": batch["segment_ids"],
    }


@pytest.mark.parametrize("task", ["pretraining", "classification"])
def test_written_presets_load_and_agree(models, task, tmp_path):
    model = models[task]
    written = sources.write(model, "keras_hub", tmp_path / "preset")
    batch = peers.example_batch(model)
    ours = peers.our_outputs(written, batch)
    folder = tmp_path / "preset"
    theirs = peers.peer_outputs("keras_hub", folder, written, batch)
    found = peers.compare(("ours", ours), ("theirs", theirs), batch)
    assert found.relative < 1e-5
    wanted = {"sequence_output", "pooled_output"}
    wanted |= {"logits"} if task == "classification" else set()
    assert set(found.differences) == wanted
    assert peers.version("keras_hub").startswith("keras_hub 0.")
    # Its tokenizer gives our ids, accents included.
    tokenizer = keras_hub.models.BertTokenizer.from_preset(str(folder))
    texts = ["abc, dé-f xyz", "Ab c!"]
    got = [list(map(int, tokenizer(text))) for text in texts]
    assert got == sources.read_tokenizer(folder)(texts).to_list()


def test_the_masked_lm_head_arrives_whole(models, tmp_path):
    model = models["pretraining"]
    sources.write(model, "keras_hub", tmp_path / "preset")
    masked_lm = keras_hub.models.MaskedLM.from_preset(
        str(tmp_path / "preset"), preprocessor=None
    )
    batch = peers.example_batch(model)
    batch["masked_lm_positions"] %= 5
    theirs = masked_lm(
        {**inputs(batch), "mask_positions": batch["masked_lm_positions"]}
    )
    # keras-hub's head has erf gelu and epsilon 1e-5 built in, whatever the
    # backbone has.
    task = building.make_pretraining_task(model)
    hidden = task.encoder(batch)["sequence_output"].numpy()
    hidden = np.take_along_axis(
        hidden, batch["masked_lm_positions"][..., None], axis=1
    )
    head = {
        name.removeprefix("masked_lm/"): value
        for name, value in model.tensors.items()
    }
    x = hidden @ head["transform/kernel"] + head["transform/bias"]
    x = 0.5 * x * (1 + np.vectorize(math.erf)(x / np.sqrt(2)))
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5)
    x = x * head["layer_norm/gamma"] + head["layer_norm/beta"]
    table = model.tensors["encoder/embeddings/token_embeddings"]
    logits = x @ table.T + head["output_bias"]
    np.testing.assert_allclose(theirs, logits, atol=2e-5)


def test_presets_of_keras_hub_are_read(tmp_path):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=33,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=20,
        max_sequence_length=12,
        num_segments=3,
    )
    rng = np.random.default_rng(0)
    for weight in backbone.weights:
        weight.assign(weight + rng.normal(0, 0.3, weight.shape))
    letters = [chr(ord("a") + i) for i in range(26)]
    tokenizer = keras_hub.models.BertTokenizer(
        ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, ".", ","],
        lowercase=True,
    )
    preprocessor = keras_hub.models.BertTextClassifierPreprocessor(
        tokenizer, sequence_length=12
    )
    classifier = keras_hub.models.BertTextClassifier(
        backbone, num_classes=3, preprocessor=preprocessor
    )
    classifier.save_to_preset(str(tmp_path / "preset"))
    backbone.save_to_preset(str(tmp_path / "backbone"))
    model = sources.read(tmp_path / "preset")
    assert model.kind == "keras_hub" and model.task == "classification"
    assert any("strip" in note for note in model.notes)
    batch = peers.example_batch(model)
    ours = peers.our_outputs(model, batch)
    real = batch["input_mask"] == 1
    theirs = backbone(inputs(batch))
    np.testing.assert_allclose(
        ours["sequence_output"][real],
        np.asarray(theirs["sequence_output"])[real],
        atol=1e-5,
    )
    np.testing.assert_allclose(
        ours["logits"], classifier(inputs(batch)), atol=1e-5
    )
    encoder = tfbert.load_encoder(tmp_path / "backbone")
    np.testing.assert_allclose(
        encoder(batch)["pooled_output"], theirs["pooled_output"], atol=1e-5
    )
    with pytest.raises(UserError, match="weights and no tokenizer"):
        sources.read_tokenizer(tmp_path / "backbone")


def test_preset_names(monkeypatch):
    assert sources.detect("bert_tiny_en_uncased") == "keras_hub"
    with pytest.raises(UserError, match="no folder bert_tini"):
        sources.detect("bert_tini_en_uncased")
    # As where there is no network: the download fails.
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(UserError, match="cannot be fetched"):
        sources.read("bert_tiny_en_uncased")
