"""Safetensors: the one reader and writer of checkpoints, runs and conversions.

The format (https://github.com/huggingface/safetensors#format): 8 bytes
little-endian length of the header, the header as JSON (name -> dtype, shape,
data_offsets), the tensors' bytes in order.

Files come from anybody, as one or as shards with an index. The header is read
and checked by ourselves before a tensor is: its length, every range of bytes,
and that ranges neither overlap nor end behind the file.

A file and its SHA-256 are written in one pass, without a copy. safetensors' own
writer copies every tensor while it holds Python's lock, which would stop the
training step beside it; writes and hashes of large buffers release the lock. It
also writes an array that is transposed, sliced or in Fortran's order as it lies
in memory, under the view's shape: other numbers. Here any array will do.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.json_files import parse, read_value

INDEX_SUFFIX = ".index.json"
# What the format itself allows.
_MAX_HEADER = 100_000_000
_METADATA = "__metadata__"
# BERT's tensors have four axes at most; sizes beyond NumPy's are no sizes.
_MAX_AXES = 8
_LARGEST = (1 << 62) - 1
_DTYPES = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    # NumPy has no such type; see _values.
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
# Their names by NumPy's. "<u2" stands twice: what is bfloat16 says so.
_NAMES = {
    dtype.name: name for name, dtype in _DTYPES.items() if name != "BF16"
} | {"bfloat16": "BF16"}
# Large enough that hashing and writing run without Python's lock.
_CHUNK = 4 << 20


def read_header(path: Path) -> tuple[dict, int]:
    """The header of a safetensors file, and where its data begin.

    Raises:
      UserError: the file is cut short, or its header claims what is not so.
    """
    header, start, size = _parse_header(path)
    header.pop(_METADATA, None)
    _check_header(path, header, size - start)
    return header, start


def read_metadata(path: Path) -> dict[str, str]:
    """What the writer of a safetensors file has noted in its header.

    Raises:
      UserError: as `read_header`.
    """
    notes = _parse_header(path)[0].get(_METADATA, {})
    if not isinstance(notes, dict):
        raise UserError(f"{path}: the header's {_METADATA} is broken")
    return notes


def _parse_header(path: Path) -> tuple[dict, int, int]:
    """The header as it is, where the data begin, and the file's size."""
    try:
        size = path.stat().st_size
        with open(path, "rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(_MAX_HEADER, size - 8):
                raise UserError(
                    f"{path} is not a whole safetensors file: it has {size} "
                    f"bytes and claims a header of {length}"
                )
            text = stream.read(length)
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path}: {error.strerror}"
        ) from error
    header = parse(text, f"the header of the safetensors file {path}")
    if not isinstance(header, dict):
        raise UserError(f"{path}: the header is no JSON object")
    return header, 8 + length, size


def _is_sound(about: object) -> bool:
    """Whether an entry says dtype, shape and place, in the right types."""
    if not isinstance(about, dict) or not isinstance(about.get("dtype"), str):
        return False
    shape, place = about.get("shape"), about.get("data_offsets")
    if not isinstance(shape, list) or not isinstance(place, list):
        return False
    return (
        len(place) == 2
        and len(shape) <= _MAX_AXES
        and all(type(n) is int and 0 <= n <= _LARGEST for n in place + shape)
    )


def _check_header(path: Path, header: dict, num_bytes: int) -> None:
    ranges = []
    for name, about in header.items():
        if not _is_sound(about):
            raise UserError(f"{path}: the header's entry {name!r} is broken")
        dtype, shape = about["dtype"], about["shape"]
        start, end = about["data_offsets"]
        if dtype not in _DTYPES:
            raise UserError(
                f"{path}: {name} is of the kind {dtype}, which BERT does not "
                "use; save the weights as F32"
            )
        if end - start != math.prod(shape) * _DTYPES[dtype].itemsize:
            raise UserError(
                f"{path}: {name} claims shape {shape} of {dtype} in "
                f"{end - start} bytes; the file was tampered with"
            )
        ranges.append((start, end, name))
    ranges.sort()
    place = 0
    for start, end, name in ranges:
        if start != place:
            raise UserError(
                f"{path}: {name} begins at byte {start} where the one before "
                f"ends at {place}; the file was tampered with"
            )
        place = end
    if place != num_bytes:
        raise UserError(
            f"{path} is not a whole safetensors file: the header claims "
            f"{place} bytes of tensors, the file has {num_bytes}"
        )


def read_file(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file; bfloat16 becomes float32.

    Raises:
      UserError: the file is missing, cut short, or contradicts itself.
    """
    path = Path(path)
    header, start = read_header(path)
    if not header:
        raise UserError(f"{path} holds no tensors")
    data = np.fromfile(path, np.uint8, offset=start)
    return {name: _values(data, about) for name, about in header.items()}


def _values(data: np.ndarray, about: dict) -> np.ndarray:
    begin, end = about["data_offsets"]
    value = data[begin:end].view(_DTYPES[about["dtype"]])
    if about["dtype"] == "BF16":
        # Bfloat16 is the upper half of a float32.
        value = (value.astype(np.uint32) << 16).view(np.float32)
    return value.reshape(about["shape"])


def read_sharded(index: str | os.PathLike) -> dict[str, np.ndarray]:
    """The tensors of several files, by an index of who has what.

    Raises:
      UserError: the index is broken, leads out of its folder, or names
        tensors that the files do not have.
    """
    index = Path(index)
    content = read_value(index)
    try:
        weight_map = content["weight_map"]
        files = sorted(set(weight_map.values()))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{index}: wanted a JSON object with a weight_map of tensor names "
            f"to file names; reading it failed with {error!r}"
        ) from error
    tensors = {}
    for file in files:
        path = _beside(index, file)
        for name, value in read_file(path).items():
            if weight_map.get(name) != file:
                raise UserError(
                    f"{path} has {name}, which {index.name} does not expect "
                    "there"
                )
            tensors[name] = value
    missing = sorted(set(weight_map) - set(tensors))
    if missing:
        raise UserError(
            f"{index} names tensors that its files do not have: "
            + ", ".join(missing)
        )
    return tensors


def _beside(index: Path, file) -> Path:
    """The path of a shard.

    Raises:
      UserError: it is not a plain name of a file in the index's folder.
    """
    folder = index.parent.resolve()
    if (
        not isinstance(file, str)
        or Path(file).name != file
        or "\\" in file
        or not file.endswith(".safetensors")
        or (folder / file).resolve().parent != folder
        and not _is_hub_cache(folder / file)
    ):
        raise UserError(
            f"{index} leads to {file!r}: shards have to be .safetensors files "
            "in the same folder"
        )
    return folder / file


def _is_hub_cache(path: Path) -> bool:
    """Whether a link leads where Hugging Face's cache keeps its files.

    There snapshots/REVISION/NAME links to ../../blobs/HASH.
    """
    blobs = path.parent.parent.parent / "blobs"
    return (
        path.parent.parent.name == "snapshots"
        and path.resolve().parent == blobs.resolve()
    )


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
        if kind not in _NAMES:
            raise ValueError(
                f"wanted a dtype of {sorted(_NAMES)}, got {array.dtype} for "
                f"{name}"
            )
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[kind],
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
