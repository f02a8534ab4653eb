"""Texts as arrays of ids, whatever is learnt from them.

Legend: S sequence, N examples, W windows of the longest text, R windows of
all.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tfbert.batch_keys import TOKEN_KEYS

if TYPE_CHECKING:
    from tfbert.text.windows.texts import TextRows

# A tokenizer's `encode`: (text_a, text_b or None, max_length=) -> dict of
# tensors; or a TextReader, which gives TextRows.
Encode = Callable[..., "Mapping | TextRows"]


# Texts, and their characters, that are tokenized at once.
_ENCODE_AT_ONCE, _CHARACTERS_AT_ONCE = 1024, 1 << 22
# Sequence lengths are rounded up to a multiple of this: kernels like it.
_LENGTH_MULTIPLE = 8


class WindowRows:
    """Rows of the windows of texts, an array [N, ..., W, S] for those who ask.

    Kept are the windows that there are. Asked for some examples, it gives as
    many windows as the one with the most has; those of others are 0 behind
    their own.

    Args:
      rows: [R, S], of all texts in their order.
      counts: windows of each text, [N, ...].
      all_alike: whether it gives W windows, whoever is asked for.
    """

    def __init__(
        self, rows: np.ndarray, counts: np.ndarray, all_alike: bool = False
    ):
        self.rows, self.counts, self.all_alike = rows, counts, all_alike
        ends = np.cumsum(counts.reshape(-1), dtype=np.int64)
        self._first = (ends - counts.reshape(-1)).reshape(counts.shape)
        self._most = max(int(counts.max()), 1)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def dtype(self) -> np.dtype:
        return self.rows.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ..., W, S)."""
        return *self.counts.shape, self._most, self.rows.shape[-1]

    def __getitem__(self, places: np.ndarray) -> np.ndarray:
        """The windows of the examples at `places` [B]: [B, ..., W, S]."""
        counts = self.counts[places]
        most = self._most if self.all_alike else max(int(counts.max()), 1)
        numbers = np.arange(most)
        there = numbers < counts[..., None]
        found = np.zeros((*there.shape, self.rows.shape[-1]), self.dtype)
        rows = self._first[places][..., None] + numbers
        found[there] = self.rows[rows[there]]
        return found

    def batch_shape(self, size: int) -> tuple[int | None, ...]:
        """The shape of `size` examples; None: as many as there are."""
        windows = self._most if self.all_alike else None
        return size, *self.counts.shape[1:], windows, self.rows.shape[-1]

    def examples(self) -> np.ndarray:
        """The example of each window, int64 [R]."""
        texts = self.counts.reshape(len(self), -1).sum(axis=1)
        return np.repeat(np.arange(len(self)), texts)

    def with_rows(self, rows: np.ndarray) -> "WindowRows":
        """The same windows with other content, [R, ...]."""
        return WindowRows(rows, self.counts, self.all_alike)

    def reshape(self, *shape: int) -> "WindowRows":
        """The texts in another order of axes: counts of the shape."""
        counts = self.counts.reshape(shape)
        return WindowRows(self.rows, counts, self.all_alike)

    def tobytes(self) -> bytes:
        """All that it holds."""
        return self.rows.tobytes() + self.counts.astype(np.int64).tobytes()


@dataclass(frozen=True)
class Encoded:
    """Examples as arrays.

    Attributes:
      columns: input_ids int32, input_mask and segment_ids int8 (to save
        memory; batches have int32), [N, ..., S], or of windows WindowRows;
        and what is to be learnt, [N, ...].
      full_rows: how many texts have `max_length` tokens or had more and were
        truncated; where `lengths` are known, how many were truncated.
      lengths: tokens that a row for the whole text would have, of each text,
        int64; None: not known.
    """

    columns: dict[str, np.ndarray | WindowRows]
    full_rows: int
    lengths: np.ndarray | None = None

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
        if rows_of(self.columns["input_mask"])[..., length:].any():
            raise ValueError(f"length {length} would cut tokens off")
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            column = columns[key]
            rows = _as_long_as(rows_of(column), length)
            is_whole = not isinstance(column, WindowRows)
            columns[key] = rows if is_whole else column.with_rows(rows)
        return dataclasses.replace(self, columns=columns)

    def with_texts(self, *shape: int) -> "Encoded":
        """The same with the texts of examples side by side, [*shape, S]."""
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            column = columns[key]
            rest = () if isinstance(column, WindowRows) else column.shape[1:]
            columns[key] = column.reshape(*shape, *rest)
        return dataclasses.replace(self, columns=columns)

    def in_single_rows(self) -> "Encoded":
        """The same without windows, where no text has more than one."""
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            columns[key] = columns[key][np.arange(len(self))][..., 0, :]
        return dataclasses.replace(self, columns=columns)

    def with_windows_alike(self) -> "Encoded":
        """The same, but batches have as many windows as the longest text."""
        columns = {
            key: WindowRows(column.rows, column.counts, all_alike=True)
            if isinstance(column, WindowRows)
            else column
            for key, column in self.columns.items()
        }
        return dataclasses.replace(self, columns=columns)


def rows_of(column: np.ndarray | WindowRows) -> np.ndarray:
    """The rows of a column, windows behind each other: [..., S]."""
    return column.rows if isinstance(column, WindowRows) else column


def _as_long_as(array: np.ndarray, length: int) -> np.ndarray:
    """Cuts or pads [..., S] to [..., length]."""
    if length <= array.shape[-1]:
        return np.ascontiguousarray(array[..., :length])
    more = [(0, 0)] * (array.ndim - 1) + [(0, length - array.shape[-1])]
    return np.pad(array, more)


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
      encode_text: `Tokenizer.encode`, or a TextReader.
      max_length: of a row.
    """
    parts: dict[str, list[np.ndarray]] = {key: [] for key in TOKEN_KEYS}
    counts, lengths, cut = [], [], 0
    for some in _slices(text_a, text_b):
        second = None if text_b is None else text_b[some]
        found = encode_text(text_a[some], second, max_length=max_length)
        batch = found
        if not isinstance(found, Mapping):
            batch, texts = found.batch, some.stop - some.start
            counts.append(np.bincount(np.asarray(found.text), minlength=texts))
            lengths.append(np.asarray(found.lengths).astype(np.int64))
            cut += int(np.asarray(found.cut).sum())
        for key in TOKEN_KEYS:
            kind = np.int32 if key == "input_ids" else np.int8
            parts[key].append(np.asarray(batch[key]).astype(kind))
    columns = {key: np.concatenate(parts.pop(key)) for key in TOKEN_KEYS}
    widths = columns["input_mask"].sum(axis=1, dtype=np.int64)
    rounded = -(-int(widths.max()) // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    if not counts:
        cut = int((widths == max_length).sum())
    if getattr(encode_text, "in_windows", False):
        counts = np.concatenate(counts).astype(np.int32)
        columns = {k: WindowRows(rows, counts) for k, rows in columns.items()}
    known = np.concatenate(lengths) if lengths else None
    return Encoded(columns, cut, known).with_length(min(max_length, rounded))


def _slices(
    text_a: Sequence[str], text_b: Sequence[str] | None
) -> Iterator[slice]:
    """Texts that are tokenized at once: not too many, nor too long ones."""
    start, characters = 0, 0
    for place, text in enumerate(text_a):
        more = len(text) + (0 if text_b is None else len(text_b[place]))
        full = place - start == _ENCODE_AT_ONCE
        if full or (place > start and characters + more > _CHARACTERS_AT_ONCE):
            yield slice(start, place)
            start, characters = place, 0
        characters += more
    yield slice(start, len(text_a))
