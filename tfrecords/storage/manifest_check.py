"""What may stand in manifest.json: types, ranges, and names that are bare."""

import math
import os
import re
from collections.abc import Callable
from typing import Any

from tfbert.errors import UserError
from tfrecords import layout

# What was wanted, and whether a value is that.
_Rule = tuple[str, Callable[[Any], bool]]


def _is_whole(value) -> bool:
    return type(value) is int


def _is_share(value) -> bool:
    is_number = type(value) in (int, float) and math.isfinite(value)
    return is_number and 0 <= value < 1


def _is_bare(value) -> bool:
    """A file beside the manifest: no path that leads elsewhere."""
    return (
        isinstance(value, str)
        and value == os.path.basename(value)
        and value not in ("", ".", "..")
        and "\\" not in value
        and "\0" not in value
    )


def _is_hash(value) -> bool:
    return isinstance(value, str) and bool(re.fullmatch("[0-9a-f]{64}", value))


def _one_of(*choices) -> _Rule:
    return f"one of {choices}", lambda value: any(
        type(value) is type(choice) and value == choice for choice in choices
    )


_COUNT = "a whole number from 0", lambda v: _is_whole(v) and v >= 0
_POSITIVE = "a whole number from 1", lambda v: _is_whole(v) and v >= 1
_BARE = "the name of a file in the folder, without a path", _is_bare
_HASH = "64 hexadecimal digits", _is_hash
_TEXT = "text", lambda value: isinstance(value, str)
_TRUTH = "true or false", lambda value: type(value) is bool
_OBJECT = "an object", lambda value: isinstance(value, dict)
_LIST = "a list", lambda value: isinstance(value, list)

_FIELDS: dict[str, _Rule] = {
    "objective": _one_of(*layout.OBJECTIVES),
    "packed": _TRUTH,
    "sequence_length": _POSITIVE,
    "label_columns": _one_of(0, 1),
    "token_bytes": _one_of(2, 4),
    "rows_per_record": _POSITIVE,
    "vocabulary": _OBJECT,
    "tokenizer": _OBJECT,
    "split": _one_of("train", "held_out"),
    "held_out_share": ("a number from 0 to less than 1", _is_share),
    "seed": ("a whole number", _is_whole),
    **dict.fromkeys(
        ["rows", "sequences", "documents", "tokens", "special_tokens"], _COUNT
    ),
    **dict.fromkeys(["unknown_tokens", "text_bytes"], _COUNT),
    "document_lengths": _OBJECT,
    "longest_documents": _LIST,
    "rejected": _OBJECT,
    "sources": _LIST,
    "shards": _LIST,
    "builder": _TEXT,
}
_VOCABULARY: dict[str, _Rule] = {
    "file": _BARE,
    "size": _POSITIVE,
    "sha256": _HASH,
}
_TOKENIZER: dict[str, _Rule] = {"lowercase": _TRUTH}
_SHARD: dict[str, _Rule] = {
    "file": _BARE,
    "rows": _POSITIVE,
    "records": _POSITIVE,
    "bytes": _POSITIVE,
    "sha256": _HASH,
}
_DOCUMENT: dict[str, _Rule] = {
    "file": _TEXT,
    "line": _COUNT,
    "tokens": _COUNT,
}


def check(values: dict, path: os.PathLike) -> None:
    """Raises UserError where a value of manifest.json cannot be.

    Args:
      values: all entries of the manifest; others may stand beside them.
      path: of the file, for the message.
    """
    _check(values, _FIELDS, "", path)
    _check(values["vocabulary"], _VOCABULARY, "vocabulary.", path)
    _check(values["tokenizer"], _TOKENIZER, "tokenizer.", path)
    for part, rules in (("shards", _SHARD), ("longest_documents", _DOCUMENT)):
        for number, entry in enumerate(values[part]):
            _check(entry, rules, f"{part}[{number}].", path)
    for part in ("document_lengths", "rejected"):
        rules = dict.fromkeys(values[part], _COUNT)
        _check(values[part], rules, f"{part}.", path)
    for number, source in enumerate(values["sources"]):
        _check({"": source}, {"": _OBJECT}, f"sources[{number}]", path)
    for bits in values["document_lengths"]:
        if not re.fullmatch("[0-9]{1,2}", bits):
            _refuse(f"document_lengths.{bits}", "a power of two", bits, path)
    files = [shard["file"] for shard in values["shards"]]
    if len(set(files)) < len(files):
        _refuse("shards", "files that are named once each", files, path)


def _check(values, rules: dict[str, _Rule], prefix: str, path) -> None:
    if not isinstance(values, dict):
        _refuse(prefix.rstrip("."), "an object", values, path)
    for name, (wanted, fits) in rules.items():
        if name not in values:
            _refuse(prefix + name, wanted, "nothing", path)
        if not fits(values[name]):
            _refuse(prefix + name, wanted, repr(values[name]), path)


def _refuse(name: str, wanted: str, came, path) -> None:
    raise UserError(
        f"{path}: {name} should be {wanted}; it is {str(came)[:80]}. Copy the "
        "folder again from where it came, or build the records again."
    )
