"""Sentence pairs for next-sentence and sentence-order prediction.

Rows are "[CLS] a [SEP] b [SEP]" with a label: 0 if b follows a in the text,
1 if b is text from another document (next sentence: Devlin et al. 2018,
section 3.1, task 2) or if the two stand in the wrong order (sentence order:
Lan et al. 2019, section 3.1).

Segments end where sentences end, at marks like a full stop, as far as a row's
length allows.
"""

import numpy as np

from tfrecords import order
from tfrecords.rows import Rows
from tfrecords.token_classes import TokenClasses

# "[CLS] a [SEP] b [SEP]".
FRAME = 3

# BERT makes one pair in ten shorter than the row, so that short inputs are
# seen in training too (create_pretraining_data.py, short_seq_prob).
SHORT_SHARE = 0.1

IN_ORDER, NOT_IN_ORDER = 0, 1


class _Random:
    """Numbers of one chunk's own stream, one after the other."""

    def __init__(self, seed: int, chunk: tuple[str, int]):
        split, number = chunk
        key = order.fold(order.fold(seed, 0xBA17), len(split))
        self._key = order.fold(key, number)
        self._next = 0
        self._block = np.zeros(0, np.uint64)

    def uniform(self) -> float:
        """A number in [0, 1)."""
        place = self._next % 1024
        if place == 0:
            counters = np.arange(self._next, self._next + 1024)
            self._block = order.draws(self._key, counters.astype(np.uint64))
        self._next += 1
        return float(self._block[place] >> np.uint64(11)) * 2.0**-53

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self.uniform() * count)


def make(
    ids: np.ndarray,
    bounds: np.ndarray,
    sequence_length: int,
    classes: TokenClasses,
    *,
    random_next: bool,
    seed: int,
    chunk: tuple[str, int],
) -> Rows:
    """Makes pairs of documents.

    Args:
      ids: int32 [T], the documents' token ids one after the other.
      bounds: int64 [D + 1], where each begins and the last one ends.
      sequence_length: S.
      classes: of the vocabulary.
      random_next: half of the second segments come from other documents (of
        these); False: half of the pairs change places.
      seed: with `chunk`, the key of what is drawn.
      chunk: (split, number) of these documents.

    Returns:
      Rows int32 [N, S + 1], the label last. Documents of a single token make
      none. Where there is no other document, pairs are in order.
    """
    random = _Random(seed, chunk)
    ends = _sentence_ends(ids, bounds, classes)
    documents = [
        (int(bounds[i]), int(bounds[i + 1]))
        for i in range(len(bounds) - 1)
        if bounds[i + 1] - bounds[i] > 1
    ]
    room = sequence_length - FRAME
    made = []
    for number, (start, stop) in enumerate(documents):
        while stop - start > 1:
            target = room
            if random.uniform() < SHORT_SHARE:
                target = 2 + random.below(room - 1)
            end = _last_end(ends, start, min(start + target, stop), stop)
            if end - start < 2:
                break
            middle = _middle(ends, start, end, random)
            first, second = (start, middle), (middle, end)
            label = IN_ORDER
            if random.uniform() < 0.5:
                if not random_next:
                    first, second, label = second, first, NOT_IN_ORDER
                elif len(documents) > 1:
                    second = _elsewhere(
                        documents, number, target - (middle - start), random
                    )
                    # What was not used begins the next pair.
                    end, label = middle, NOT_IN_ORDER
            made.append((first, second, label))
            start = end
    return _place(ids, made, sequence_length, classes)


def _sentence_ends(ids, bounds, classes) -> np.ndarray:
    """bool [T + 1]: a sentence ends before token t."""
    ends = np.zeros(len(ids) + 1, bool)
    ends[1:] = classes.sentence_end[ids]
    ends[bounds] = True
    return ends


def _last_end(ends, start, limit, stop) -> int:
    """The last sentence end in (start, limit]; `limit` if it is far off."""
    if limit == stop:
        return stop
    near = start + (limit - start) // 2
    found = np.flatnonzero(ends[near + 1 : limit + 1])
    return near + 1 + int(found[-1]) if len(found) else limit


def _middle(ends, start, end, random) -> int:
    """A sentence end inside (start, end), at random; else the middle."""
    inside = np.flatnonzero(ends[start + 1 : end])
    if len(inside):
        return start + 1 + int(inside[random.below(len(inside))])
    return (start + end) // 2


def _elsewhere(documents, number, length, random) -> tuple[int, int]:
    """Up to `length` tokens of another document, from a place at random."""
    other = random.below(len(documents) - 1)
    start, stop = documents[other + (other >= number)]
    begin = start + random.below(max(1, stop - start - length + 1))
    return begin, min(begin + max(1, length), stop)


def _place(ids, made, sequence_length, classes) -> Rows:
    values = np.full((len(made), sequence_length + 1), classes.pad_id, np.int32)
    values[:, 0] = classes.cls_id
    tokens = 0
    for row, (first, second, label) in zip(values, made, strict=True):
        middle = 1 + first[1] - first[0]
        end = middle + 1 + second[1] - second[0]
        row[1:middle] = ids[first[0] : first[1]]
        row[middle] = classes.sep_id
        row[middle + 1 : end] = ids[second[0] : second[1]]
        row[end] = classes.sep_id
        row[-1] = label
        tokens += end + 1
    return Rows(values, len(made), tokens)
