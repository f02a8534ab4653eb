"""TF Serving's rules between JSON and tensors, for the tests.

After the text of https://www.tensorflow.org/tfx/serving/api_rest, "Request
format", "Response format" and "Encoding binary values", in our words:

- Rows: "instances" is a list of at least one. Each is an object with exactly
  the signature's inputs or, of a signature with one input, the value alone.
  All rows of an input have one shape.
- Columns: "inputs" is an object with all of the signature's inputs or, of a
  signature with one input, the value alone.
- {"b64": ...} stands for bytes, in requests and in answers; in the latter
  where the output's name ends in "_bytes". Other strings are UTF-8.
- Rows are answered by "predictions", columns by "outputs"; of one output the
  value alone. Outputs of rows have one first dimension.
"""

import base64

import numpy as np

# What a number in JSON must be for a tensor.
KINDS = {"int32": int, "int64": int, "float32": (int, float), "bool": bool}


def from_json(body: dict, inputs: dict) -> dict:
    """Name -> array of a request's body, by the inputs' TensorSpecs.

    Raises:
      ValueError: Serving would answer with an error.
    """
    if ("instances" in body) == ("inputs" in body):
        raise ValueError("wanted either instances or inputs")
    if "instances" in body:
        columns = _columns(body["instances"], inputs)
    else:
        columns = body["inputs"]
        if not isinstance(columns, dict) or _is_bytes(columns):
            columns = _named(columns, inputs)
        if missing := inputs.keys() - columns.keys():
            raise ValueError(f"missing named input {missing}")
    return {
        name: _tensor(columns[name], spec.dtype.name)
        for name, spec in inputs.items()
    }


def to_json(outputs: dict, rows: bool) -> dict:
    """The body of the answer with `outputs`, name -> array.

    Raises:
      ValueError: Serving would answer with an error, or not in UTF-8.
    """
    columns = {
        name: _value(array.tolist(), name.endswith("_bytes"))
        for name, array in outputs.items()
    }
    if not rows:
        only = len(columns) == 1
        return {"outputs": [*columns.values()][0] if only else columns}
    if any(array.ndim == 0 for array in outputs.values()):
        raise ValueError("an output has no batch dimension")
    if len({len(array) for array in outputs.values()}) != 1:
        raise ValueError("outputs have several first dimensions")
    answers = [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]
    if len(columns) == 1:
        answers = [[*answer.values()][0] for answer in answers]
    return {"predictions": answers}


def write(array: np.ndarray):
    """An input in JSON; bytes that are no UTF-8 as base64."""

    def value(item):
        if isinstance(item, list):
            return [value(part) for part in item]
        if not isinstance(item, bytes):
            return item
        try:
            return item.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(item).decode()}

    return value(np.asarray(array).tolist())


def _columns(instances: list, inputs: dict) -> dict:
    if not isinstance(instances, list) or not instances:
        raise ValueError("wanted a list of one instance or more")
    named = [isinstance(i, dict) and not _is_bytes(i) for i in instances]
    if len(set(named)) > 1:
        raise ValueError("instances are objects or not, but not both")
    if not named[0]:
        return _named(instances, inputs)
    for instance in instances:
        if instance.keys() != inputs.keys():
            raise ValueError(f"keys must be {sorted(inputs)}")
    return {name: [i[name] for i in instances] for name in inputs}


def _named(value, inputs: dict) -> dict:
    if len(inputs) != 1:
        raise ValueError("wanted an object: there are several inputs")
    return {name: value for name in inputs}


def _is_bytes(value) -> bool:
    return isinstance(value, dict) and [*value] == ["b64"]


def _tensor(value, dtype: str) -> np.ndarray:
    shape = []
    first = value
    while isinstance(first, list):
        shape.append(len(first))
        first = first[0] if first else None
    flat = []
    _fill(value, shape, dtype, flat)
    array = np.empty(len(flat), object)
    array[:] = flat
    array = array.reshape(shape)
    return array if dtype == "string" else array.astype(dtype)


def _fill(value, shape: list, dtype: str, flat: list) -> None:
    if isinstance(value, list) != bool(shape):
        raise ValueError("a list is nested deeper or less deep than the first")
    if isinstance(value, list):
        if len(value) != shape[0]:
            raise ValueError(f"a list of {len(value)}, not {shape[0]}")
        for part in value:
            _fill(part, shape[1:], dtype, flat)
    elif dtype == "string":
        if _is_bytes(value):
            flat.append(base64.b64decode(value["b64"], validate=True))
        elif isinstance(value, str):
            flat.append(value.encode())
        else:
            raise ValueError(f"{value!r} is no string")
    elif isinstance(value, bool) != (dtype == "bool") or not isinstance(
        value, KINDS[dtype]
    ):
        raise ValueError(f"{value!r} is no {dtype}")
    else:
        flat.append(value)


def _value(item, as_bytes: bool):
    if isinstance(item, list):
        return [_value(part, as_bytes) for part in item]
    if not isinstance(item, bytes):
        return item
    if as_bytes:
        return {"b64": base64.b64encode(item).decode()}
    # UnicodeDecodeError is a ValueError.
    return item.decode()
