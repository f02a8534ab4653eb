"""Writes a safetensors file and its SHA-256 in one pass, without a copy.

The format: 8 bytes little-endian length of the header, the header as JSON
(name -> dtype, shape, data_offsets), the tensors' bytes in order
(https://huggingface.co/docs/safetensors). safetensors' own writer copies
every tensor while it holds Python's lock, which would stop the training step
beside it; writes and hashes of large buffers release the lock.
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
      tensors: C-contiguous arrays by name.

    Returns:
      {"bytes": size of the file, "sha256": of its content, hex}.

    Raises:
      OSError: the file cannot be written.
      ValueError: a dtype that the format does not have.
    """
    digest, size = hashlib.sha256(), 0
    with open(Path(path), "wb", buffering=0) as stream:
        for part in _parts(tensors):
            for first in range(0, len(part), _CHUNK):
                chunk = part[first : first + _CHUNK]
                digest.update(chunk)
                _write_all(stream, chunk)
            size += len(part)
    return {"bytes": size, "sha256": digest.hexdigest()}


def _parts(tensors: Mapping[str, np.ndarray]):
    """The bytes of the file: its header, then each tensor."""
    # Wide types first, so that each tensor is aligned, as the format wants.
    ordered = sorted(tensors.items(), key=lambda t: (-t[1].itemsize, t[0]))
    header, end = {}, 0
    for name, array in ordered:
        if str(array.dtype) not in _TYPES:
            raise ValueError(
                f"wanted a dtype of {sorted(_TYPES)}, got {array.dtype} for "
                f"{name}"
            )
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _TYPES[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    yield memoryview(len(text).to_bytes(8, "little") + text)
    for _, array in ordered:
        # reshape: a scalar has no axis to look at as bytes.
        yield memoryview(array.reshape(-1).view(np.uint8))


def _write_all(stream, chunk: memoryview) -> None:
    """An unbuffered write may take only a part."""
    while len(chunk):
        chunk = chunk[stream.write(chunk) :]
