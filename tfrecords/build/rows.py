"""Token ids of documents -> rows of a fixed length.

A document is cut where a row is full, at the start of a word where there is
one near, so that rows hold consecutive text of one document and little is
padded. What is left at a document's end is short; several such pieces share a
row, each as a sequence "[CLS] piece [SEP]" of its own.
"""

import dataclasses

import numpy as np

from tfrecords.build import packing
from tfrecords.masking.token_classes import TokenClasses

# Room for a sequence's [CLS] and [SEP].
FRAME = 2

# A row is cut before a word rather than inside it if that leaves at most this
# share of the row empty; longer words are cut anywhere.
_WORD_SHARE = 8


@dataclasses.dataclass(frozen=True)
class Rows:
    """Rows made of some documents.

    Attributes:
      values: int32 [N, row_width]; token ids, then labels if there are any.
      sequences: how many sequences they hold.
      tokens: how many ids are not padding.
      documents: int64 [N], the document of each row, where rows have one.
    """

    values: np.ndarray
    sequences: int
    tokens: int
    documents: np.ndarray | None = None


def cut(
    ids: np.ndarray,
    bounds: np.ndarray,
    sequence_length: int,
    classes: TokenClasses,
    packed: bool = True,
) -> Rows:
    """Cuts documents into rows.

    Args:
      ids: int32 [T], the documents' token ids one after the other.
      bounds: int64 [D + 1], where each begins and the last one ends.
      sequence_length: S.
      classes: of the vocabulary.
      packed: let pieces shorter than a row share one.

    Returns:
      The rows: full ones first, in the order of the text, then shared ones.
    """
    starts, ends = _pieces(ids, bounds, sequence_length - FRAME, classes)
    lengths = ends - starts
    if packed:
        full = lengths + FRAME + FRAME >= sequence_length
        short = np.flatnonzero(~full)
        order = np.flatnonzero(full)
        groups = packing.best_fit(
            (lengths[short] + FRAME).tolist(), sequence_length
        )
        shared = [short[index] for group in groups for index in group]
        order = np.concatenate([order, np.array(shared, np.int64)])
        sizes = [1] * int(full.sum()) + [len(group) for group in groups]
        row_of = np.repeat(np.arange(len(sizes)), sizes)
    else:
        order = row_of = np.arange(len(lengths))
        sizes = [1] * len(lengths)
    values = _place(
        ids,
        starts[order],
        lengths[order],
        row_of,
        len(sizes),
        sequence_length,
        classes,
    )
    tokens = int(lengths.sum()) + FRAME * len(lengths)
    return Rows(values, len(lengths), tokens)


def _pieces(ids, bounds, room, classes):
    """(starts, ends) int64 [N] of the pieces of all documents, in order."""
    # word_at[t]: where the word that token t belongs to begins.
    begins = classes.word_start[ids]
    word_at = np.maximum.accumulate(np.where(begins, np.arange(len(ids)), 0))
    give_up = max(1, room // _WORD_SHARE)
    starts, ends = [], []
    for start, end in zip(
        bounds[:-1].tolist(), bounds[1:].tolist(), strict=True
    ):
        while start < end:
            stop = start + room
            if stop >= end:
                stop = end
            else:
                word = int(word_at[stop])
                if stop - word <= give_up and word > start:
                    stop = word
            starts.append(start)
            ends.append(stop)
            start = stop
    return np.array(starts, np.int64), np.array(ends, np.int64)


def _place(ids, starts, lengths, row_of, count, sequence_length, classes):
    """Writes "[CLS] piece [SEP]" of each piece to its row, int32 [N, S].

    Args:
      ids: int32 [T].
      starts, lengths: int64 [M], of the pieces, in the order of their rows.
      row_of: int64 [M], ascending: the row that each goes to.
      count: N, rows.
    """
    values = np.full(count * sequence_length, classes.pad_id, np.int32)
    if not len(starts):
        return values.reshape(count, sequence_length)
    framed = lengths + FRAME
    # Where each piece begins in its row: what the row held before it.
    before = np.cumsum(framed) - framed
    first = np.searchsorted(row_of, row_of, side="left")
    begin = row_of * sequence_length + before - before[first]
    values[begin] = classes.cls_id
    values[begin + framed - 1] = classes.sep_id
    within = np.arange(int(lengths.sum())) - np.repeat(
        np.cumsum(lengths) - lengths, lengths
    )
    values[np.repeat(begin + 1, lengths) + within] = ids[
        np.repeat(starts, lengths) + within
    ]
    return values.reshape(count, sequence_length)
