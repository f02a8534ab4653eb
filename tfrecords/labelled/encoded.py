"""Texts as arrays of ids, whatever is learnt from them.

Legend: S sequence, N examples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfbert.batch_keys import TOKEN_KEYS

# A tokenizer's `encode`: (text_a, text_b or None, max_length=) -> dict of
# tensors.
Encode = Callable[..., dict[str, Any]]


_ENCODE_AT_ONCE = 1024
# Sequence lengths are rounded up to a multiple of this: kernels like it.
_LENGTH_MULTIPLE = 8


@dataclass(frozen=True)
class Encoded:
    """Examples as arrays.

    Attributes:
      columns: input_ids int32, input_mask and segment_ids int8 (to save
        memory; batches have int32), [N, ..., S]; and what is to be learnt,
        [N, ...].
      full_rows: how many examples have `max_length` tokens or had more and
        were truncated.
    """

    columns: dict[str, np.ndarray]
    full_rows: int

    def __len__(self) -> int:
        return len(self.columns["input_ids"])

    @property
    def sequence_length(self) -> int:
        """S."""
        return self.columns["input_ids"].shape[-1]

    def with_length(self, length: int) -> "Encoded":
        """The same examples with S = `length`; only padding is cut off.

        Raises:
          ValueError: tokens would be cut off.
        """
        now = self.sequence_length
        if self.columns["input_mask"][..., length:].any():
            raise ValueError(f"length {length} would cut tokens off")
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            array = columns[key]
            if length <= now:
                columns[key] = np.ascontiguousarray(array[..., :length])
            else:
                padding = [(0, 0)] * (array.ndim - 1) + [(0, length - now)]
                columns[key] = np.pad(array, padding)
        return Encoded(columns, self.full_rows)


def encode_texts(
    text_a: Sequence[str],
    text_b: Sequence[str] | None,
    encode_text: Encode,
    max_length: int,
) -> Encoded:
    """Tokenizes texts or pairs; S is what the longest needs, <= `max_length`.

    Sequences are no longer than the longest example (rounded up to a
    multiple of 8): attention leaves padding out, so more of it would cost
    time and change nothing.

    Args:
      text_a: the texts, or the first of each pair.
      text_b: the second of each pair; None for single texts.
      encode_text: `Tokenizer.encode`.
      max_length: longer examples are truncated.
    """
    parts: dict[str, list[np.ndarray]] = {key: [] for key in TOKEN_KEYS}
    for start in range(0, len(text_a), _ENCODE_AT_ONCE):
        some = slice(start, start + _ENCODE_AT_ONCE)
        second = None if text_b is None else text_b[some]
        batch = encode_text(text_a[some], second, max_length=max_length)
        for key in TOKEN_KEYS:
            kind = np.int32 if key == "input_ids" else np.int8
            parts[key].append(np.asarray(batch[key]).astype(kind))
    columns = {key: np.concatenate(parts[key]) for key in TOKEN_KEYS}
    lengths = columns["input_mask"].sum(axis=1, dtype=np.int64)
    whole = Encoded(columns, int((lengths == max_length).sum()))
    rounded = -(-int(lengths.max()) // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    return whole.with_length(min(max_length, rounded))
