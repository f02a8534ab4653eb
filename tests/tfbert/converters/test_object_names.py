"""Checkpoints with Model Garden's paths, written without Model Garden."""

import dataclasses

import numpy as np
import pytest

from tfbert.converters import model_garden, sources
from tfbert.errors import UserError
from tfbert.weights import checkpoint_files
from tfbert.weights.names import pack

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
TABLE = "encoder/embeddings/token_embeddings"


@pytest.fixture(scope="module")
def model(portable):
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    return portable("pretraining", True, config)


@pytest.fixture
def save(model, tmp_path):
    """Returns a function that writes a checkpoint and reads it."""
    sources.write(model, "google", tmp_path / "google")

    def write_and_read(functional=False, **more):
        folder = tmp_path / f"mg{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        table = model_garden.table(model.config, functional)
        theirs, _ = pack(table, model.tensors, model.config)
        # What training leaves beside the weights.
        theirs |= {"save_counter": np.int64(3), "optimizer/iter": np.int64(7)}
        theirs |= more
        checkpoint_files.write(
            str(folder / "ckpt-7"),
            {name + VALUE: value for name, value in theirs.items()},
        )
        for file in ("bert_config.json", "vocab.txt"):
            (folder / file).symlink_to(tmp_path / "google" / file)
        assert sources.detect(folder) == "model_garden"
        return sources.read(folder)

    return write_and_read


@pytest.mark.parametrize("functional", [False, True])
def test_the_tensors_come_back(model, save, functional):
    table = {"masked_lm/embedding_table": model.tensors[TABLE]}
    again = save(functional, **table)
    assert again.task == "pretraining" and again.config == model.config
    assert again.vocabulary == model.vocabulary
    assert set(again.tensors) == set(model.tensors)
    for name, value in model.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value)


def test_the_trained_pooler_is_taken(model, save):
    kernel = np.ones((32, 32), np.float32)
    again = save(
        **{
            "next_sentence..pooler_dense/kernel": kernel,
            "next_sentence..pooler_dense/bias": kernel[0],
        }
    )
    np.testing.assert_array_equal(
        again.tensors["encoder/pooler/kernel"], kernel
    )


def test_contradictions_are_refused(model, save):
    with pytest.raises(UserError, match="embedding_table differs"):
        save(**{"masked_lm/embedding_table": model.tensors[TABLE] + 1})
    bias = model.tensors["encoder/pooler/bias"]
    with pytest.raises(UserError, match="pooler_layer/bias twice"):
        save(**{"model/_pooler_layer/bias": bias})
    with pytest.raises(UserError, match="not part of a BERT: other/kernel"):
        save(**{"other/kernel": bias})
