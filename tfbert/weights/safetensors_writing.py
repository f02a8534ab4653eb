"""Writes safetensors: the one writer of checkpoints, runs and conversions.

A file and its SHA-256 are written in one pass, without a copy. The format: 8
bytes little-endian length of the header, the header as JSON (name -> dtype,
shape, data_offsets), the tensors' bytes in order
(https://huggingface.co/docs/safetensors). safetensors' own writer copies
every tensor while it holds Python's lock, which would stop the training step
beside it; writes and hashes of large buffers release the lock. It also writes
an array that is transposed, sliced or in Fortran's order as it lies in memory,
under the view's shape: other numbers. Here any array will do.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

_TYPES = {
    "float32": "F32",
    "float64": "F64",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
# Large enough that hashing and writing run without Python's lock.
_CHUNK = 4 << 20


def write_tensors(
    path: str | os.PathLike, tensors: Mapping[str, np.ndarray]
) -> dict[str, int | str]:
    """Writes `tensors` to a new file at `path`.

    Args:
      path: of the file; not synced, not renamed: write it in a temporary
        folder.
      tensors: arrays by name, of any order in memory.

    Returns:
      {"bytes": size of the file, "sha256": of its content, hex}.

    Raises:
      OSError: the file cannot be written.
      ValueError: a dtype that the format does not have.
    """
    digest, size = hashlib.sha256(), 0
    with open(Path(path), "wb", buffering=0) as stream:
        for part in _parts(tensors, None):
            for first in range(0, len(part), _CHUNK):
                chunk = part[first : first + _CHUNK]
                digest.update(chunk)
                _write_all(stream, chunk)
            size += len(part)
    return {"bytes": size, "sha256": digest.hexdigest()}


def to_bytes(
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The content of a file.

    Args:
      tensors: arrays by name, of any order in memory.
      metadata: texts for the header.

    Raises:
      ValueError: a dtype that the format does not have.
    """
    return b"".join(_parts(tensors, metadata))


def _parts(tensors: Mapping[str, np.ndarray], metadata):
    """The bytes of the file: its header, then each tensor."""
    # Wide types first, so that each tensor is aligned, as the format wants.
    ordered = sorted(tensors.items(), key=lambda t: (-t[1].itemsize, t[0]))
    header, end = {}, 0
    if metadata is not None:
        header["__metadata__"] = dict(metadata)
    for name, array in ordered:
        # Of the bytes' order nothing is said here: they are turned below.
        kind = array.dtype.newbyteorder("=").name
        if kind not in _TYPES:
            raise ValueError(
                f"wanted a dtype of {sorted(_TYPES)}, got {array.dtype} for "
                f"{name}"
            )
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _TYPES[kind],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for _, array in ordered:
        yield memoryview(_little_endian(array).reshape(-1).view(np.uint8))


def _little_endian(array: np.ndarray) -> np.ndarray:
    """The array in C order, which costs a copy only where it is not."""
    array = np.asarray(array, order="C")
    if array.dtype.byteorder == ">":
        return array.astype(array.dtype.newbyteorder("<"))
    return array


def _write_all(stream, chunk: memoryview) -> None:
    """An unbuffered write may take only a part."""
    while len(chunk):
        chunk = chunk[stream.write(chunk) :]
