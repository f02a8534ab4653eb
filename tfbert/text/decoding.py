"""Ids in any form -> rows of ids, checked."""

import numpy as np

from tfbert.errors import UserError

_WANTED = "wanted ids, a list or array [S] or [B, S]"


def as_rows(ids, vocab_size: int) -> list[int] | list[list[int]]:
    """Ids as lists of Python's numbers.

    Args:
      ids: lists, an array, a tensor or a RaggedTensor, of one or two axes.
      vocab_size: ids are from 0 to below it.

    Raises:
      UserError: they are something else.
    """
    for method in ("to_list", "numpy", "tolist"):
        if hasattr(ids, method):
            ids = getattr(ids, method)()
    if isinstance(ids, str | bytes | dict) or not hasattr(ids, "__iter__"):
        raise UserError(f"{_WANTED}, got {ids!r:.60}")
    rows = [
        as_rows(row, vocab_size) if _is_row(row) else _number(row, vocab_size)
        for row in ids
    ]
    kinds = {type(row) for row in rows}
    if len(kinds) > 1 or any(
        isinstance(row, list) and any(isinstance(x, list) for x in row)
        for row in rows
    ):
        raise UserError(f"{_WANTED}, got {ids!r:.60}")
    return rows


def _is_row(row) -> bool:
    return isinstance(row, list | tuple) or getattr(row, "ndim", 0) > 0


def _number(value, vocab_size: int) -> int:
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise UserError(f"{_WANTED}, got {value!r:.60} among them")
    if not 0 <= value < vocab_size:
        raise UserError(
            f"wanted ids from 0 to below {vocab_size}, the tokens of the "
            f"vocabulary, got {value}; is it the vocabulary that they were "
            "made with?"
        )
    return int(value)
