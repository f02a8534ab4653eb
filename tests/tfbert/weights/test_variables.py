import subprocess
import sys

import h5py
import keras
import numpy as np
import pytest
import safetensors.numpy

import tfbert
from tfbert.config import BertConfig
from tfbert.encoder import BertEncoder
from tfbert.errors import UserError
from tfbert.tasks import PretrainingTask
from tfbert.weights import variables

CONFIG = BertConfig.preset("tiny", vocab_size=30, num_hidden_layers=1)


def values(layer):
    return {
        name: variable.numpy()
        for name, variable in variables.named_variables(layer).items()
    }


def assert_same(first, second):
    first, second = values(first), values(second)
    assert list(first) == list(second)
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def test_round_trip_is_exact(tmp_path):
    path = tmp_path / "model.safetensors"
    task = PretrainingTask(CONFIG, next_sentence=True, seed=1)
    variables.save_weights(task, path)
    other = PretrainingTask(CONFIG, next_sentence=True, seed=2)
    variables.load_weights(other, path)
    assert_same(task, other)
    again = tmp_path / "again.safetensors"
    variables.save_weights(other, again)
    assert path.read_bytes() == again.read_bytes()


def test_hdf5_holds_the_same(tmp_path):
    path = tmp_path / "model.weights.h5"
    task = PretrainingTask(CONFIG, next_sentence=True, seed=1)
    variables.save_weights(task, path)
    other = PretrainingTask(CONFIG, next_sentence=True, seed=2)
    variables.load_weights(other, path)
    assert_same(task, other)
    encoder = BertEncoder(CONFIG, seed=3)
    variables.load_weights(encoder, path, prefix="encoder/")
    assert_same(task.encoder, encoder)
    again = tmp_path / "again.weights.h5"
    variables.save_weights(other, again)
    assert path.read_bytes() == again.read_bytes()
    with h5py.File(path) as file:
        assert "encoder/block_0/attention/output/kernel" in file
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="cannot read the weights"):
        variables.load_weights(task, path)


def test_an_encoder_out_of_a_task_and_back(tmp_path):
    path = tmp_path / "model.safetensors"
    task = PretrainingTask(CONFIG, seed=1)
    variables.save_weights(task, path)
    encoder = BertEncoder(CONFIG, seed=2)
    variables.load_weights(encoder, path, prefix="encoder/")
    assert_same(task.encoder, encoder)
    variables.save_weights(encoder, path, prefix="encoder/")
    assert all(
        name.startswith("encoder/") for name in variables.read_tensors(path)
    )


def test_every_difference_is_named_and_nothing_is_changed(tmp_path):
    path = tmp_path / "model.safetensors"
    tensors = values(BertEncoder(CONFIG, seed=1))
    del tensors["pooler/bias"]
    tensors["extra"] = np.zeros(3, np.float32)
    tensors["pooler/kernel"] = np.zeros((2, 2), np.float32)
    tensors["embeddings/layer_norm/beta"] = np.zeros(128, np.int32)
    path.write_bytes(safetensors.numpy.save(tensors))
    encoder = BertEncoder(CONFIG, seed=2)
    before = values(encoder)
    with pytest.raises(UserError) as error:
        variables.load_weights(encoder, path)
    message = str(error.value)
    assert "missing: pooler/bias [128]" in message
    assert "not in the model: extra [3]" in message
    assert "pooler/kernel wants [128, 128], the file has [2, 2]" in message
    assert "another kind: embeddings/layer_norm/beta" in message
    for name, value in values(encoder).items():
        np.testing.assert_array_equal(value, before[name])


def test_broken_files(tmp_path):
    path = tmp_path / "model.safetensors"
    with pytest.raises(UserError, match="cannot read the weights"):
        variables.read_tensors(path)
    variables.save_weights(BertEncoder(CONFIG), path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(UserError, match="not a whole safetensors file"):
        variables.read_tensors(path)


def test_two_variables_of_one_name_are_refused():
    class Twins(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.one = keras.layers.Dense(2, name="same")
            self.two = keras.layers.Dense(2, name="same")
            self.one.build((None, 2))
            self.two.build((None, 2))

    with pytest.raises(ValueError, match="two variables with the name"):
        variables.named_variables(Twins())


@pytest.mark.parametrize("kind", ["run", "weights"])
def test_load_encoder(tmp_path, kind):
    task = PretrainingTask(CONFIG, seed=1)
    CONFIG.to_json(tmp_path / "config.json")
    if kind == "run":
        for step, seed in ((9, 5), (100, 1), (20, 6)):
            variables.save_weights(
                PretrainingTask(CONFIG, seed=seed),
                tmp_path / f"checkpoints/step-{step:08d}/model.safetensors",
            )
        (tmp_path / "checkpoints/step-00000999").mkdir()  # Holds nothing.
    else:
        variables.save_weights(task, tmp_path / "model.safetensors")
    encoder = tfbert.load_encoder(tmp_path, dtype="mixed_bfloat16")
    assert encoder.compute_dtype == "bfloat16"
    assert_same(task.encoder, encoder)


def test_folders_without_an_encoder(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        tfbert.load_encoder(tmp_path / "missing")
    with pytest.raises(UserError, match="has no config.json"):
        tfbert.load_encoder(tmp_path)
    CONFIG.to_json(tmp_path / "config.json")
    with pytest.raises(UserError, match="holds no weights"):
        tfbert.load_encoder(tmp_path)


def test_the_package_names_what_it_offers():
    assert set(tfbert.__all__) < set(dir(tfbert))
    assert tfbert.BertEncoder is BertEncoder
    assert tfbert.__version__
    # Rooms are there without an import of their own, in a new process too.
    code = "import tfbert; print(tfbert.tasks.RegressionTask.__name__)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert told.stdout == "RegressionTask\n"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = tfbert.nothing
