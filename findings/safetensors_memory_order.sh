#!/usr/bin/env bash
# One would guess that saving an array and loading it gives the same numbers, as
# numpy.save does, or that an array of another memory order is refused.
# safetensors.numpy.save writes the bytes as they lie in memory under the shape
# of the view: a transposed matrix comes back with its numbers in other places.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q safetensors==0.8.0 numpy==2.3.5
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import safetensors
from safetensors.numpy import load, save

print("safetensors", safetensors.__version__, "numpy", np.__version__)
matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
views = {
    "as it is": matrix,
    "transposed": matrix.T,
    "in Fortran's order": np.asfortranarray(matrix),
    "every other column": matrix[:, ::2],
    "transposed, made contiguous": np.ascontiguousarray(matrix.T),
}
same = {}
for name, view in views.items():
    found = load(save({"x": view}))["x"]
    same[name] = bool(np.array_equal(found, view))
    print(f"{name}: {view.tolist()} -> {found.tolist()}")
assert list(same.values()) == [True, False, False, False, True], same
PYTHON
