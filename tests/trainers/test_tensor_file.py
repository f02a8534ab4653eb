"""The files are those of safetensors."""

import hashlib

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file

from trainers.tensor_file import write_tensors


def test_safetensors_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        "matrix": rng.normal(size=(300, 7000)).astype(np.float32),
        "scalar": np.float32(3.5).reshape(()),
        "nothing": np.zeros((0, 4), np.float32),
        "half": np.arange(5, dtype=np.float16),
        "brain": np.arange(3).astype(ml_dtypes.bfloat16),
        "double": rng.normal(size=3),
        "steps": np.int64(7).reshape(()),
        "flags": np.array([True, False]),
    }
    path = tmp_path / "x.safetensors"
    about = write_tensors(path, tensors)
    content = path.read_bytes()
    assert about["bytes"] == len(content)
    assert about["sha256"] == hashlib.sha256(content).hexdigest()
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert found[name].shape == value.shape
        assert found[name].tobytes() == value.tobytes()


def test_a_dtype_that_there_is_not(tmp_path):
    with pytest.raises(ValueError, match="got complex64 for odd"):
        write_tensors(tmp_path / "x", {"odd": np.zeros(2, np.complex64)})
