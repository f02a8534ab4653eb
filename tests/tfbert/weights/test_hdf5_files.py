"""HDF5 files that are damaged or lead astray end in one message."""

import h5py
import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.weights import hdf5_files


def refused(path, message):
    with pytest.raises(UserError, match=message) as error:
        hdf5_files.read(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 600


@pytest.fixture
def path(tmp_path):
    tensors = {f"layers/{i}/vars/0": np.full((5, i), i + 0.5) for i in (1, 3)}
    tensors["steps"] = np.arange(3)
    path = tmp_path / "x.weights.h5"
    path.write_bytes(hdf5_files.to_bytes(tensors, {"layers/1": "one"}))
    found = hdf5_files.read(path)
    assert set(found) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(found[name], value)
    return path


def test_a_group_that_holds_itself(path):
    with h5py.File(path, "a") as file:
        file["layers/1/again"] = file["layers"]
    refused(path, "layers/1/again is another name")


def test_one_tensor_under_two_names(path):
    with h5py.File(path, "a") as file:
        file["other"] = file["layers/3/vars/0"]
    refused(path, "is another name of what was there")


def test_a_tensor_larger_than_the_file(path):
    """Chunks that were never written take no room, and any number of bytes."""
    with h5py.File(path, "a") as file:
        file.create_dataset("large", (10**6, 10**6), np.float32, chunks=(9, 9))
    assert path.stat().st_size < 20_000
    refused(path, r"claims 4,000,000,000,\d+ bytes of tensors")


def test_many_groups_inside_of_each_other(path):
    with h5py.File(path, "a") as file:
        group = file
        for _ in range(1500):
            group = group.create_group("x")
        group["vars"] = np.ones(2)
    assert len(hdf5_files.read(path)) == 4


def test_what_is_no_tensor_is_left_out(path):
    with h5py.File(path, "a") as file:
        file["kind"] = np.dtype("f8")
        file["text"] = "words"
        file["opaque"] = np.zeros(3, "V2")
    assert len(hdf5_files.read(path)) == 3


def test_no_file_and_no_hdf5(tmp_path):
    refused(tmp_path / "none.weights.h5", "cannot read the weights")
    (tmp_path / "x.weights.h5").write_bytes(b"words")
    refused(tmp_path / "x.weights.h5", "wanted a whole HDF5 file")
