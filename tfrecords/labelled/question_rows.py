"""Questions -> rows of ids: windows over their contexts, with targets.

Legend: N questions, R rows (windows), S sequence, T tokens of all contexts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfbert.batch_keys import TOKEN_KEYS
from tfbert.text.windows.questions import Windows, make_windows
from tfrecords.labelled.question_answering import Answer, Examples

_ENCODE_AT_ONCE = 128
# Sequence lengths are rounded up to a multiple of this: kernels like it.
_LENGTH_MULTIPLE = 8


@dataclass(frozen=True)
class Encoded:
    """Questions as rows of ids, and where the rows' tokens stand in the text.

    Attributes:
      columns: input_ids int32, input_mask and segment_ids int8, [R, S];
        start_positions and end_positions int32 [R]: the columns of the first
        and the last token of the first right answer; 0, that is [CLS], in a
        window that does not hold it whole.
      example: the question of each row, ascending, int32 [R].
      first: the place of the row's first context token among the tokens of
        its question's whole context, int32 [R].
      count: how many context tokens the row has, int32 [R].
      column: where in the row they begin, int32 [R].
      splits: int64 [N + 1]; the context of question n has the tokens
        splits[n] to splits[n + 1] - 1 of the next two.
      starts, ends: half-open span of each token in its context, in
        characters, int32 [T].
      unheld: questions whose first right answer no window holds whole (it is
        longer than windows overlap, or of characters that BERT drops), so
        that all their windows have the target of no answer.
    """

    columns: dict[str, np.ndarray]
    example: np.ndarray
    first: np.ndarray
    count: np.ndarray
    column: np.ndarray
    splits: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    # Nothing is truncated: what does not fit goes into another window.
    full_rows: int = 0
    unheld: int = 0

    def __len__(self) -> int:
        return len(self.example)

    @property
    def windowed(self) -> int:
        """How many contexts take more than one window."""
        return int(np.unique(self.example[self.first > 0]).size)

    @property
    def sequence_length(self) -> int:
        """S."""
        return self.columns["input_ids"].shape[1]

    def with_length(self, length: int) -> "Encoded":
        """The same rows with S = `length`; only padding is cut off.

        Raises:
          ValueError: tokens would be cut off.
        """
        if self.columns["input_mask"][:, length:].any():
            raise ValueError(f"length {length} would cut tokens off")
        columns = dict(self.columns)
        for key in TOKEN_KEYS:
            columns[key] = _as_long_as(columns[key], length)
        return Encoded(**{**vars(self), "columns": columns})


def encode(
    examples: Examples,
    tokenizer,
    *,
    max_length: int,
    window_stride: int,
    max_question_length: int,
) -> Encoded:
    """Makes the rows of all questions; S is what the longest needs.

    Args:
      examples: the questions.
      tokenizer: a Tokenizer.
      max_length, window_stride, max_question_length: see `make_windows`.

    Raises:
      UserError: the lengths leave a window no room.
    """
    parts: dict[str, list[np.ndarray]] = {}
    splits = [np.zeros(1, np.int64)]
    for start in range(0, len(examples), _ENCODE_AT_ONCE):
        some = slice(start, start + _ENCODE_AT_ONCE)
        windows = make_windows(
            tokenizer,
            examples.questions[some],
            examples.contexts[some],
            max_length=max_length,
            window_stride=window_stride,
            max_question_length=max_question_length,
        )
        for key, value in _arrays(windows, start).items():
            parts.setdefault(key, []).append(value)
        ends = windows.tokens.ids.row_splits.numpy()[1:]
        splits.append(splits[-1][-1] + ends)
    longest = max(part.shape[1] for part in parts["input_ids"])
    rounded = -(-longest // _LENGTH_MULTIPLE) * _LENGTH_MULTIPLE
    length = min(max_length, rounded)
    columns = {
        key: np.concatenate([_as_long_as(p, length) for p in parts.pop(key)])
        for key in TOKEN_KEYS
    }
    arrays = {
        key: np.concatenate(value).astype(np.int32)
        for key, value in parts.items()
    }
    encoded = Encoded(columns, splits=np.concatenate(splits), **arrays)
    columns |= _targets(examples.answers, encoded)
    held = np.unique(encoded.example[columns["start_positions"] > 0]).size
    answered = sum(map(bool, examples.answers))
    return replace(encoded, unheld=answered - held)


def _arrays(windows: Windows, first_example: int) -> dict[str, np.ndarray]:
    """Windows of some questions as arrays, by the names of `Encoded`."""
    tokens = windows.tokens
    arrays = {
        "example": windows.example + first_example,
        "first": windows.first,
        "count": windows.count,
        "column": windows.column,
        "starts": tokens.character_starts.flat_values,
        "ends": tokens.character_ends.flat_values,
        **windows.batch,
    }
    arrays = {key: value.numpy() for key, value in arrays.items()}
    for key in ("input_mask", "segment_ids"):
        arrays[key] = arrays[key].astype(np.int8)
    return arrays


def _as_long_as(rows: np.ndarray, length: int) -> np.ndarray:
    """Cuts or pads [R, S] to [R, length]."""
    more = max(length - rows.shape[1], 0)
    # Attention leaves padding out by input_mask, whatever its id.
    return np.pad(rows[:, :length], ((0, 0), (0, more)))


def token_span(
    answer: Answer, starts: np.ndarray, ends: np.ndarray
) -> tuple[int, int] | None:
    """The first and the last of the tokens that share a character with it.

    Args:
      answer: a right answer.
      starts, ends: spans of the context's tokens, int32 [T].

    Returns:
      None where no token does: all its characters are such that BERT drops.
    """
    touched = np.flatnonzero((ends > answer.start) & (starts < answer.end))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


def _targets(
    answers: Sequence[Sequence[Answer]], encoded: Encoded
) -> dict[str, np.ndarray]:
    """start_positions and end_positions, int32 [R]."""
    spans = np.full((len(answers), 2), -1)
    for n, right in enumerate(answers):
        own = slice(encoded.splits[n], encoded.splits[n + 1])
        if right:
            span = token_span(right[0], encoded.starts[own], encoded.ends[own])
            spans[n] = (-1, -1) if span is None else span
    starts, ends = spans[encoded.example].T
    last = encoded.first + encoded.count - 1
    held = (starts >= encoded.first) & (ends <= last) & (starts >= 0)
    shift = encoded.column - encoded.first
    return {
        "start_positions": np.where(held, starts + shift, 0).astype(np.int32),
        "end_positions": np.where(held, ends + shift, 0).astype(np.int32),
    }
