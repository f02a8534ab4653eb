"""Keras' `.weights.h5`: tensors by their HDF5 path, read and written."""

import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from tfbert.errors import UserError

# Files of weights are not compressed. What claims more numbers than that many
# times the file's size has them nowhere.
_MAX_RATIO = 64
_BFLOAT16 = "bfloat16"


def read(path: Path) -> dict[str, np.ndarray]:
    """All numeric tensors of the file by path, "layers/dense/vars/0".

    Bfloat16, which Keras keeps as two bytes that HDF5 knows nothing of,
    becomes float32.

    Raises:
      UserError: the file is missing or damaged, leads to another file, or
        claims more than it holds.
    """
    try:
        with h5py.File(path, "r") as file:
            return _collect(file, path)
    except UserError:
        raise
    except Exception as error:
        # A damaged file ends in any of Python's errors.
        raise UserError(
            f"cannot read the weights {path}: {_short(error)}; wanted a whole "
            "HDF5 file"
        ) from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) < 300 else text[:300] + "..."


def _collect(file: h5py.File, path: Path) -> dict[str, np.ndarray]:
    """Looks at every object once, and checks all before it reads one."""
    seen, groups, found = {_address(file)}, [("", file)], {}
    while groups:
        prefix, group = groups.pop()
        for name in group:
            item = _item(group, name, f"{prefix}{name}", path)
            address = _address(item)
            if address in seen:
                raise UserError(
                    f"{path}: {prefix}{name} is another name of what was there "
                    "already; weights have one name each"
                )
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append((f"{prefix}{name}/", item))
            elif isinstance(item, h5py.Dataset):
                found[f"{prefix}{name}"] = item
    _check_size(found, path)
    tensors = {}
    for name in sorted(found):
        item = found[name]
        if item.dtype.kind in "fiu":
            tensors[name] = np.asarray(item[()])
        elif _is_bfloat16(item):
            # Bfloat16 is the upper half of a float32.
            bits = np.asarray(item[()]).view(np.uint16).astype(np.uint32)
            tensors[name] = (bits << 16).view(np.float32)
    return tensors


def _item(group: h5py.Group, name: str, full: str, path: Path):
    link = group.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise UserError(
            f"{path}: {full} is a link to something else; weights have to be "
            "in the file itself"
        )
    item = group[name]
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise UserError(
            f"{path}: {full} lies in another file; weights have to be in the "
            "file itself"
        )
    return item


def _address(item) -> int:
    return h5py.h5o.get_info(item.id).addr


def _check_size(found: Mapping[str, h5py.Dataset], path: Path) -> None:
    claimed = sum(item.size * item.dtype.itemsize for item in found.values())
    size = path.stat().st_size
    if claimed > _MAX_RATIO * size:
        raise UserError(
            f"{path} claims {claimed:,} bytes of tensors and has {size:,}; the "
            "file is damaged or was tampered with"
        )


def _is_bfloat16(item: h5py.Dataset) -> bool:
    return item.dtype == np.dtype("V2") and (
        item.attrs.get("dtype") == _BFLOAT16
    )


def to_bytes(
    tensors: Mapping[str, np.ndarray],
    layer_names: Mapping[str, str] | None = None,
) -> bytes:
    """A file's content.

    Args:
      tensors: by HDF5 path; bfloat16 is written as float32, which HDF5 knows.
      layer_names: path of a layer's group -> name that Keras notes there.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for name, value in tensors.items():
            if value.dtype.name == _BFLOAT16:
                value = value.astype(np.float32)
            file.create_dataset(name, data=value)
        for group, name in (layer_names or {}).items():
            file.require_group(f"{group}/vars").attrs["name"] = name
    return memory.getvalue()
