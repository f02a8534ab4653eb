"""Keras' `.weights.h5`: tensors by their HDF5 path, read and written."""

import io
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from tfbert.errors import UserError


def read(path: Path) -> dict[str, np.ndarray]:
    """All numeric tensors of the file by path, "layers/dense/vars/0".

    Raises:
      UserError: the file is missing or damaged, or leads to another file.
    """
    tensors: dict[str, np.ndarray] = {}
    try:
        with h5py.File(path, "r") as file:
            _collect(file, "", tensors, path)
    except OSError as error:
        raise UserError(
            f"cannot read the weights {path}: {error}; wanted a whole HDF5 file"
        ) from error
    return tensors


def _collect(group: h5py.Group, prefix: str, tensors: dict, path: Path):
    for name in group:
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise UserError(
                f"{path}: {prefix}{name} is a link to something else; weights "
                "have to be in the file itself"
            )
        item = group[name]
        if isinstance(item, h5py.Group):
            _collect(item, f"{prefix}{name}/", tensors, path)
        elif item.external or item.is_virtual:
            raise UserError(
                f"{path}: {prefix}{name} lies in another file; weights have "
                "to be in the file itself"
            )
        elif item.dtype.kind in "fiu":
            tensors[f"{prefix}{name}"] = np.asarray(item[()])


def to_bytes(
    tensors: Mapping[str, np.ndarray],
    layer_names: Mapping[str, str] | None = None,
) -> bytes:
    """A file's content.

    Args:
      tensors: by HDF5 path.
      layer_names: path of a layer's group -> name that Keras notes there.
    """
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for name, value in tensors.items():
            file.create_dataset(name, data=value)
        for group, name in (layer_names or {}).items():
            file.require_group(f"{group}/vars").attrs["name"] = name
    return memory.getvalue()
