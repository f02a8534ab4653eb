"""The files are those of safetensors."""

import hashlib

import ml_dtypes
import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file

from tfbert.weights import checkpoint_files, hdf5_files, safetensors_files
from tfbert.weights.safetensors_files import to_bytes, write_tensors


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


KINDS = [ml_dtypes.bfloat16, *"fdehilqBHILQ?", ">f4", ">i8"]
ORDERS = {
    "plain": lambda x: x,
    "transposed": lambda x: x.transpose(2, 0, 1),
    "fortran": np.asfortranarray,
    "every other": lambda x: x[:, ::2],
    "backwards": lambda x: x[::-1, :, ::-1],
    "one of a stack": lambda x: x[..., 1],
    "a scalar of it": lambda x: x[1, 2, 3],
    "repeated": lambda x: np.broadcast_to(x[:1], (4, *x.shape[1:])),
    "nothing of it": lambda x: x[:, :0],
}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_any_order_in_memory(kind, order, tmp_path):
    whole = np.random.default_rng(1).integers(0, 90, (3, 5, 7)).astype(kind)
    value = np.asarray(ORDERS[order](whole))
    write_tensors(tmp_path / "x.safetensors", {"x": value})
    found = load_file(tmp_path / "x.safetensors")["x"]
    assert found.shape == value.shape
    assert found.dtype == value.dtype.newbyteorder("=")
    np.testing.assert_array_equal(found, value)
    assert to_bytes({"x": value}) == ((tmp_path / "x.safetensors").read_bytes())


def test_texts_in_the_header(tmp_path):
    data = to_bytes({"x": np.zeros(3)}, {"format": "pt", "é": "ü"})
    (tmp_path / "x").write_bytes(data)
    with safetensors.safe_open(tmp_path / "x", "np") as file:
        assert file.metadata() == {"format": "pt", "é": "ü"}


@pytest.mark.parametrize("order", ["transposed", "fortran", "backwards"])
def test_every_way_out_keeps_the_numbers(order, tmp_path):
    """Also where the numbers of a variable are a view."""
    value = ORDERS[order](np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    tensors = {"x": value}
    (tmp_path / "a.weights.h5").write_bytes(hdf5_files.to_bytes(tensors))
    checkpoint_files.write(str(tmp_path / "c"), tensors)
    for found in (
        hdf5_files.read(tmp_path / "a.weights.h5"),
        checkpoint_files.read(str(tmp_path / "c")),
    ):
        np.testing.assert_array_equal(found["x"], value)


@pytest.mark.parametrize(
    "dtype", ["uint16", "uint32", "uint64", "int8", "bool"]
)
def test_every_kind_of_whole_number_comes_back(dtype, tmp_path):
    tensors = {"a": np.array([[0, 1], [1, 0]], dtype), "b": np.array(1, dtype)}
    path = tmp_path / "w.safetensors"
    write_tensors(path, tensors)
    for name, value in safetensors_files.read_file(path).items():
        assert value.dtype == dtype
        np.testing.assert_array_equal(value, tensors[name])
