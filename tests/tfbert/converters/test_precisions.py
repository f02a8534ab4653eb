"""Weights in bfloat16 and float16, in every form that can hold them."""

import dataclasses

import keras
import ml_dtypes
import numpy as np
import pytest

import tfbert
from tfbert.converters import sources
from tfbert.weights import checkpoint_files, hdf5_files
from tfbert.weights.variables import load_weights, save_weights


def test_a_checkpoint_in_bfloat16(portable, tmp_path):
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    sources.write(portable("encoder", config=config), "google", tmp_path / "1")
    prefix = str(tmp_path / "1/bert_model.ckpt")
    half = {
        name: value.astype(ml_dtypes.bfloat16)
        for name, value in checkpoint_files.read(prefix).items()
    }
    checkpoint_files.write(prefix, half)
    name = "encoder/pooler/kernel"
    np.testing.assert_array_equal(
        sources.read(tmp_path / "1").tensors[name],
        half["bert/pooler/dense/kernel"].astype(np.float32),
    )


@pytest.mark.parametrize("kind", ["safetensors", "weights.h5"])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "mixed_bfloat16"])
def test_weights_of_any_precision_are_read_again(kind, dtype, tmp_path):
    config = tfbert.BertConfig.preset(
        "tiny", vocab_size=9, num_hidden_layers=1, initializer_range=0.3
    )
    encoder = tfbert.BertEncoder(config, dtype=dtype, seed=1)
    save_weights(encoder, tmp_path / f"x.{kind}")
    for policy in (dtype, "float32"):
        other = tfbert.BertEncoder(config, dtype=policy, seed=2)
        load_weights(other, tmp_path / f"x.{kind}")
        for one, two in zip(encoder.weights, other.weights, strict=True):
            np.testing.assert_array_equal(
                np.asarray(one, np.float32), np.asarray(two, np.float32)
            )


def test_bfloat16_as_keras_writes_it(tmp_path):
    """Presets on hubs are so: two bytes that HDF5 has no number for."""
    layer = keras.layers.Dense(3, dtype="bfloat16")
    model = keras.Sequential([layer])
    model.build((None, 5))
    model.save_weights(tmp_path / "x.weights.h5")
    found = hdf5_files.read(tmp_path / "x.weights.h5")
    value = found["layers/dense/vars/0"]
    assert value.dtype == np.float32
    wanted = np.asarray(keras.ops.cast(layer.kernel, "float32"))
    np.testing.assert_array_equal(value, wanted)
    assert np.abs(wanted).max() > 0
