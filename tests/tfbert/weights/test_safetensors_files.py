"""Safetensors files that are not what they claim."""

import json
import struct

import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.weights import safetensors_files


def with_header(header, data=b"", length=None):
    text = json.dumps(header).encode()
    length = len(text) if length is None else length
    return struct.pack("<Q", length) + text + data


ONE = {"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}


@pytest.mark.parametrize(
    "data,message",
    [
        (b"", "not a whole safetensors file: it has 0 bytes"),
        (with_header(ONE, bytes(8), 10**9), "claims a header of 1000000000"),
        (with_header(ONE, bytes(7)), "claims 8 bytes of tensors, .* has 7"),
        (with_header(ONE, bytes(9)), "claims 8 bytes of tensors, .* has 9"),
        (struct.pack("<Q", 2) + b"[]", "header is no JSON object"),
        (struct.pack("<Q", 2) + b"{x", "is not JSON"),
        (struct.pack("<Q", 9000) + b"[" * 9000, "nested too deeply"),
        (with_header({"x": {**ONE["x"], "dtype": ["F32"]}}), "'x' is broken"),
        (with_header({"x": {**ONE["x"], "shape": {}}}), "'x' is broken"),
        (with_header({"x": {**ONE["x"], "shape": [1] * 65}}), "is broken"),
        (with_header({"x": {**ONE["x"], "shape": [0, 2**70]}}), "is broken"),
        (with_header({"x": {**ONE["x"], "data_offsets": [0]}}), "is broken"),
        (with_header({"x": 7}), "'x' is broken"),
        (with_header({}), "holds no tensors"),
        (with_header({"x": {"dtype": "F32"}}), "entry 'x' is broken"),
        (
            with_header({"x": {**ONE["x"], "shape": [-2]}}, bytes(8)),
            "entry 'x' is broken",
        ),
        (
            with_header({"x": {**ONE["x"], "dtype": "F8_E4M3"}}, bytes(8)),
            "kind F8_E4M3",
        ),
        (
            with_header({"x": {**ONE["x"], "shape": [10**12]}}, bytes(8)),
            "tampered with",
        ),
        (
            with_header({**ONE, "y": ONE["x"]}, bytes(8)),
            "begins at byte 0 where the one before ends at 8",
        ),
    ],
)
def test_safetensors_that_lie(data, message, tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(UserError, match=message):
        safetensors_files.read_file(path)


def test_missing_weights_and_kinds_of_numbers(tmp_path):
    with pytest.raises(UserError, match="cannot read the weights"):
        safetensors_files.read_file(tmp_path / "none.safetensors")
    path = tmp_path / "model.safetensors"
    half = np.array([1.5, -2.0], np.float32).view(np.uint32) >> 16
    header = {"x": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}
    path.write_bytes(with_header(header, half.astype("<u2").tobytes()))
    values = safetensors_files.read_file(path)["x"]
    assert values.dtype == np.float32 and values.tolist() == [1.5, -2.0]


def test_what_the_writer_noted(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(with_header({"__metadata__": {"a": "b"}, **ONE}, bytes(8)))
    assert safetensors_files.read_metadata(path) == {"a": "b"}
    assert list(safetensors_files.read_file(path)) == ["x"]
    path.write_bytes(with_header(ONE, bytes(8)))
    assert safetensors_files.read_metadata(path) == {}
    path.write_bytes(with_header({"__metadata__": 7, **ONE}, bytes(8)))
    with pytest.raises(UserError, match="__metadata__ is broken"):
        safetensors_files.read_metadata(path)
