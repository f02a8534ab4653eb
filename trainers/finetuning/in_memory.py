"""Data in memory -> the rows that a file would have, or what a model is asked.

A pandas frame, a list of dicts, a dict of columns, a Hugging Face `Dataset`
or a `tf.data.Dataset` of raw columns; neither library is needed for that.
"""

import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfbert import files
from tfbert.errors import UserError
from tfrecords.labelled.files.tables import BY_LOOKING, check_columns
from trainers.reports.answered_files import windows
from trainers.reports.served.asking import Asked, Input, as_inputs

# Rows of a file that are read at once.
_ROWS_AT_ONCE = 64

_WANTED = (
    "a labelled file, a list of dicts, a pandas frame, a Hugging Face Dataset "
    "or a tf.data.Dataset"
)


def as_file(
    data: object, folder: Path, name: str, names: Sequence[str] = ()
) -> str:
    """The path of a labelled file with what `data` holds.

    Data in memory are written as FOLDER/NAME-HASH.jsonl: what a run learnt
    from stays with it, and another content has another name.

    Args:
      data: a path, or data in memory.
      folder: where data in memory are written.
      name: what they are, for the file's name and for messages.
      names: of the columns, where the rows of a tf.data.Dataset are tuples.

    Raises:
      UserError: it is nothing of the kind, or empty.
    """
    if isinstance(data, str | os.PathLike):
        return os.fspath(data)
    rows = rows_of(data, name, names)
    text = "".join(
        json.dumps(_row(row, name, place), ensure_ascii=False) + "\n"
        for place, row in enumerate(rows)
    )
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    path = folder / f"{name}-{digest[:12]}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        files.write_file(path, text)
    return str(path)


def rows_of(
    data: object, name: str, names: Sequence[str] = ()
) -> list[Mapping]:
    """A dict for each example; see `as_file`."""
    if isinstance(data, tf.data.Dataset):
        rows = _of_tensorflow(data, name, names)
    elif hasattr(data, "column_names") and hasattr(data, "__getitem__"):
        rows = _of_hugging_face(data, name)
    elif hasattr(data, "columns") and hasattr(data, "to_dict"):
        rows = data.to_dict("records")
    elif isinstance(data, Mapping):
        rows = _of_columns(data, name)
    elif isinstance(data, Iterable) and not isinstance(data, bytes):
        rows = list(data)
    else:
        raise UserError(f"wanted {name} to be {_WANTED}, got {_shown(data)}")
    if not rows:
        raise UserError(f"wanted examples in {name}, got none: it is empty")
    for place, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise UserError(
                f"wanted a dict for each example of {name}, such as "
                f"{{'text': ..., 'label': ...}}, got {_shown(row)} at place "
                f"{place}"
            )
    return rows


def is_table(data: object) -> bool:
    """Whether data are rows with named columns, and no texts."""
    if isinstance(data, os.PathLike | Mapping | tf.data.Dataset):
        return True
    if isinstance(data, list | tuple):
        return bool(data) and isinstance(data[0], Mapping)
    return (
        hasattr(data, "to_dict")
        and hasattr(data, "columns")
        or (hasattr(data, "column_names") and hasattr(data, "__getitem__"))
    )


def inputs_of(data: object, model: Asked) -> list[Input]:
    """What the model is asked, for each row.

    Args:
      data: a table, see `is_table`; or inputs.
      model: that will be asked.

    Raises:
      UserError: a column is missing, or holds something else than text.
    """
    if not is_table(data):
        return data
    choices = model.choices_column()
    if isinstance(data, os.PathLike):
        rows = windows.open_rows(Path(data), model, (), BY_LOOKING)
        found = windows.windows(rows, choices, _ROWS_AT_ONCE)
        return [texts for window in found for texts in window.inputs]
    columns = list(model.card.get("text_columns") or model.inputs)
    rows = rows_of(data, "data", columns)
    return as_inputs(
        _input(row, place, columns, choices) for place, row in enumerate(rows)
    )


def _input(
    row: Mapping, place: int, columns: Sequence[str], choices: str | None
) -> tuple:
    check_columns(f"data[{place}]", columns, [*map(str, row)])
    cells = [_plain_text(row[name]) for name in columns]
    for name, cell in zip(columns, cells, strict=True):
        if not isinstance(cell, str | list | tuple):
            raise UserError(
                f"wanted text in data[{place}][{name!r}], got "
                f"{type(cell).__name__} {cell!r:.40}"
            )
    # Where each choice has a column, "" stands for them.
    return (cells[0], cells[1:]) if choices == "" else tuple(cells)


def _plain_text(cell: object) -> object:
    """A cell of a tf.data.Dataset is bytes."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, list | tuple):
        return [*map(_plain_text, cell)]
    return _plain_text(cell.tolist()) if hasattr(cell, "tolist") else cell


def _of_columns(columns: Mapping, name: str) -> list[dict]:
    """Rows of a dict of columns of one length."""
    values = {}
    for column, cells in columns.items():
        if isinstance(cells, str | bytes) or not isinstance(cells, Iterable):
            raise UserError(
                f"wanted a list of cells in column {column!r} of {name}, got "
                f"{_shown(cells)}; one example alone goes in a list"
            )
        values[column] = list(cells)
    lengths = {column: len(cells) for column, cells in values.items()}
    if len(set(lengths.values())) > 1:
        raise UserError(
            f"wanted columns of one length in {name}, got "
            + ", ".join(f"{n} in {column!r}" for column, n in lengths.items())
        )
    cells = zip(*values.values(), strict=True)
    return [dict(zip(values, row, strict=True)) for row in cells]


def _of_hugging_face(data, name: str) -> list[dict]:
    """Rows of a Dataset; numbers of classes become their names."""
    if isinstance(data.column_names, Mapping):
        raise UserError(
            f"wanted one Dataset for {name}, got a dict of the splits "
            f"{', '.join(map(str, data.column_names))}; give one of them"
        )
    columns = {column: data[column] for column in data.column_names}
    for column, feature in (getattr(data, "features", None) or {}).items():
        of_words = getattr(feature, "feature", None)
        classes = getattr(feature, "names", None)
        if classes:
            columns[column] = [_class(i, classes) for i in columns[column]]
        elif getattr(of_words, "names", None):
            columns[column] = [
                [_class(i, of_words.names) for i in cell]
                for cell in columns[column]
            ]
    return _of_columns(columns, name)


def _class(number: int, names: Sequence[str]) -> object:
    """The name of a class; -1, where there is no label, stays a number."""
    return names[number] if 0 <= number < len(names) else number


def _of_tensorflow(
    data: tf.data.Dataset, name: str, names: Sequence[str]
) -> list[Mapping]:
    """Rows of a dataset of dicts, or of (text, label), batched or not."""
    spec = data.element_spec
    if isinstance(spec, tuple) and len(spec) == len(names):
        data = data.map(lambda *cells: dict(zip(names, cells, strict=True)))
        spec = data.element_spec
    if not isinstance(spec, Mapping):
        raise UserError(
            f"wanted a tf.data.Dataset of dicts of raw columns for {name}, "
            f"got elements of {spec}"
        )
    # Of a batch no column is one value.
    one = [spec[column] for column in names[:1] if column in spec]
    if one and all(part.shape.rank != 0 for part in [*one, *spec.values()]):
        data = data.unbatch()
    return list(data.as_numpy_iterator())


def _row(row: Mapping, name: str, place: int) -> dict:
    return {
        str(column): _plain(cell, f"{name}[{place}][{column!r}]")
        for column, cell in row.items()
    }


def _plain(cell: object, where: str) -> object:
    """A cell as JSON has it."""
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, np.ndarray | np.generic):
        return _plain(cell.tolist(), where)
    if isinstance(cell, list | tuple):
        return [_plain(part, where) for part in cell]
    if isinstance(cell, Mapping):
        return {str(k): _plain(v, where) for k, v in cell.items()}
    if isinstance(cell, float) and not math.isfinite(cell):
        return None  # So pandas says that a cell is empty.
    if cell is None or isinstance(cell, str | bool | int | float):
        return cell
    raise UserError(
        f"wanted text, numbers or lists of them in {where}, got "
        f"{type(cell).__name__}"
    )


def _shown(value: object) -> str:
    if value is None:
        return "None"
    return f"{type(value).__name__} {value!r:.40}"
