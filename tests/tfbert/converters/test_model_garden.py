"""Against Model Garden's own networks: its checkpoints, the same numbers."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfbert.converters import building, peers, sources

networks = pytest.importorskip(
    "official.nlp.modeling.networks",
    reason="tf-models-official is not installed",
)

SIZES = {
    "vocab_size": 30,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "type_vocab_size": 3,
}
CONFIG = {
    **SIZES,
    "num_hidden_layers": 2,
    "intermediate_size": 20,
    "max_position_embeddings": 12,
    "hidden_act": "gelu",
}


def gelu(x):
    return tf.nn.gelu(x, approximate=True)


def save(folder, **objects):
    folder.mkdir()
    checkpoint = tf.train.Checkpoint(**objects)
    checkpoint.write(str(folder / "bert_model.ckpt"))
    (folder / "bert_config.json").write_text(json.dumps(CONFIG))
    return sources.read(folder)


@pytest.fixture(autouse=True)
def same_weights_each_time():
    """Some of those that Model Garden draws differ by more than 1e-5."""
    tf.random.set_seed(3)


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(0)
    mask = np.ones((3, 9), np.int32)
    mask[1, 5:] = mask[2, 2:] = 0
    return {
        "input_ids": rng.integers(0, 30, (3, 9), np.int32),
        "input_mask": mask,
        "segment_ids": rng.integers(0, 3, (3, 9), np.int32),
        "masked_lm_positions": np.array([[1, 2], [0, 3], [1, 0]], np.int32),
    }


def inputs(batch):
    return {
        "input_word_ids": batch["input_ids"],
        "input_mask": batch["input_mask"],
        "input_type_ids": batch["segment_ids"],
    }


def scatter(model):
    rng = np.random.default_rng(1)
    for variable in model.variables:
        if variable.dtype.is_floating:
            variable.assign(variable + rng.normal(0, 0.3, variable.shape))


def make_encoder(functional, batch):
    sizes = {**SIZES, "num_layers": 2, "max_sequence_length": 12}
    sizes |= {"inner_dim": 20, "inner_activation": gelu}
    kind = networks.BertEncoder if functional else networks.BertEncoderV2
    encoder = kind(**sizes)
    encoder(inputs(batch))
    scatter(encoder)
    return encoder


def assert_close(ours, theirs, batch, name="sequence_output"):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    if name == "sequence_output":
        real = batch["input_mask"] == 1
        ours, theirs = ours[real], theirs[real]
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("functional", [False, True])
@pytest.mark.parametrize("key", ["encoder", "model"])
def test_encoders(functional, key, batch, tmp_path):
    encoder = make_encoder(functional, batch)
    model = save(tmp_path / "mg", **{key: encoder})
    assert model.kind == "model_garden" and model.task == "encoder"
    theirs = encoder(inputs(batch))
    if functional:
        theirs = {"sequence_output": theirs[0], "pooled_output": theirs[1]}
    ours = peers.our_outputs(model, batch)
    for name in ("sequence_output", "pooled_output"):
        assert_close(ours[name], theirs[name], batch, name)


def test_pretraining(batch, tmp_path):
    from official.nlp.modeling import layers, models

    pretrainer = models.BertPretrainerV2(
        encoder_network=make_encoder(False, batch),
        mlm_activation=gelu,
        classification_heads=[
            layers.ClassificationHead(16, 2, name="next_sentence")
        ],
    )
    positions = {"masked_lm_positions": batch["masked_lm_positions"]}
    pretrainer({**inputs(batch), **positions})
    scatter(pretrainer)
    theirs = pretrainer({**inputs(batch), **positions})
    optimizer = tf.keras.optimizers.Adam()
    items = pretrainer.checkpoint_items
    for name, objects in {
        "all": {"model": pretrainer, **items, "optimizer": optimizer},
        "model": {"model": pretrainer, "global_step": tf.Variable(7)},
    }.items():
        model = save(tmp_path / name, **objects)
        task = building.make_pretraining_task(model)
        ours = task(batch)
        assert_close(ours["masked_lm_logits"], theirs["mlm_logits"], batch, "")
        assert_close(
            ours["next_sentence_logits"], theirs["next_sentence"], batch, ""
        )


@pytest.mark.parametrize("functional", [False, True])
def test_classifiers(functional, batch, tmp_path):
    from official.nlp.modeling import models

    classifier = models.BertClassifier(
        make_encoder(functional, batch), num_classes=3
    )
    scatter(classifier)
    model = save(tmp_path / "mg", model=classifier)
    assert model.task == "classification"
    ours = peers.our_outputs(model, batch)
    assert_close(ours["logits"], classifier(inputs(batch)), batch, "")
