"""Sentence pairs for next-sentence and sentence-order prediction.

Rows are "[CLS] a [SEP] b [SEP]" with a label: 0 if b follows a in the text,
1 if b is text from another document (next sentence: Devlin et al. 2018,
section 3.1, task 2; see `next_sentence`) or if the two stand in the wrong
order (sentence order: Lan et al. 2019, section 3.1).

Segments end where sentences end, at marks like a full stop, as far as a row's
length allows.
"""

import dataclasses

import numpy as np

from tfrecords import keyed_order
from tfrecords.build.rows import Rows
from tfrecords.masking.token_classes import TokenClasses

# "[CLS] a [SEP] b [SEP]".
FRAME = 3

# BERT makes one pair in ten shorter than the row, so that short inputs are
# seen in training too (create_pretraining_data.py, short_seq_prob).
SHORT_SHARE = 0.1

IN_ORDER, NOT_IN_ORDER = 0, 1

# In each attempt, how many tokens apart first segments may be that are taken
# to be of one length, and in how many low bits the lengths of pairs.
_ATTEMPTS = (
    [(0, 0)] * 6 + [(0, 1)] * 6 + [(0, 2)] * 4 + [(1, 2)] * 2 + [(1, 3)] * 4
    + [(2, 3)] * 2 + [(2, 4)] * 2 + [(4, 4)] * 2 + [(8, 4)] * 2 + [(99, 9)]
)  # fmt: skip


class _Random:
    """Numbers of one chunk's own stream, one after the other."""

    def __init__(self, seed: int, chunk: tuple[str, int]):
        self._key = _key(keyed_order.fold(seed, 0xBA17), chunk)
        self._next = 0
        self._block = np.zeros(0, np.uint64)

    def uniform(self) -> float:
        """A number in [0, 1)."""
        place = self._next % 1024
        if place == 0:
            counters = np.arange(self._next, self._next + 1024)
            self._block = keyed_order.draws(
                self._key, counters.astype(np.uint64)
            )
        self._next += 1
        return float(self._block[place] >> np.uint64(11)) * 2.0**-53

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return int(self.uniform() * count)


def _key(seed: np.ndarray, chunk: tuple[str, int]) -> np.ndarray:
    split, number = chunk
    return keyed_order.fold(keyed_order.fold(seed, len(split)), number)


def make(
    ids: np.ndarray,
    bounds: np.ndarray,
    sequence_length: int,
    classes: TokenClasses,
    *,
    turn: bool,
    seed: int,
    chunk: tuple[str, int],
) -> Rows:
    """Makes pairs of documents.

    Args:
      ids: int32 [T], the documents' token ids one after the other.
      bounds: int64 [D + 1], where each begins and the last one ends.
      sequence_length: S.
      classes: of the vocabulary.
      turn: half of the pairs change places; False: all are in order, for
        `next_sentence` to exchange second segments.
      seed: with `chunk`, the key of what is drawn.
      chunk: (split, number) of these documents.

    Returns:
      Rows int32 [N, S + 1], the label last, and the document of each. All
      tokens are in one, but for documents of a single token.
    """
    random = _Random(seed, chunk)
    ends = _sentence_ends(ids, bounds, classes)
    words = classes.word_start[ids]
    room = sequence_length - FRAME
    spans, documents = [], []
    for number in range(len(bounds) - 1):
        start, stop = int(bounds[number]), int(bounds[number + 1])
        while stop - start > 1:
            target = room
            if random.uniform() < SHORT_SHARE:
                target = 2 + random.below(room - 1)
            limit = min(start + target, stop)
            end = _last_end(ends, words, start, limit, stop)
            spans.append((start, end, _breaks(ends, words, start, end)))
            documents.append(number)
            start = end
    starts, stops, breaks = zip(*spans, strict=True) if spans else ((),) * 3
    key = _key(keyed_order.fold(seed, 0x7B1D), chunk)
    middles, turned = _broken(starts, stops, breaks, turn, key)
    made = []
    for start, middle, end, turn in zip(
        starts, middles.tolist(), stops, turned.tolist(), strict=True
    ):
        first, second = (start, middle), (middle, end)
        if turn:
            first, second = second, first
        made.append((first, second, NOT_IN_ORDER if turn else IN_ORDER))
    rows = _place(ids, made, sequence_length, classes)
    return dataclasses.replace(rows, documents=np.array(documents, np.int64))


def _broken(starts, stops, breaks, turn: bool, key):
    """Where each span breaks, int64 [N], and whether it is turned, bool [N].

    A span's first sentence, which found no room in the span before, is longer
    than its last one, so lengths would tell the order. So breaks are drawn
    until for each span that is turned there is one that is not, and that
    shows a first segment of the same length.
    """
    sizes = np.array([len(places) for places in breaks], np.int64)
    offsets = np.cumsum(sizes) - sizes
    places = np.concatenate([np.zeros(0, np.int64), *breaks])
    starts, stops = np.array(starts, np.int64), np.array(stops, np.int64)
    middles, turned = np.zeros(len(sizes), np.int64), np.zeros(len(sizes), bool)
    lengths = stops - starts
    left = np.arange(len(sizes))
    for number, (apart, bits) in enumerate(_ATTEMPTS):
        drawn = keyed_order.draws(
            keyed_order.fold(key, number), left.astype(np.uint64)
        )
        pick = (drawn >> np.uint64(32)).astype(np.int64) % sizes[left]
        middles[left] = places[offsets[left] + pick]
        if not turn:
            break
        turned[left] = drawn & np.uint64(1)
        shown = np.where(turned, stops - middles, middles - starts)
        left = left[np.lexsort((drawn, shown[left], lengths[left] >> bits))]
        one, two = left[: len(left) // 2 * 2].reshape(-1, 2).T
        good = turned[one] != turned[two]
        good &= np.abs(shown[two] - shown[one]) <= apart
        good &= lengths[one] >> bits == lengths[two] >> bits
        left = np.concatenate([one[~good], two[~good], left[2 * len(one) :]])
    return middles, turned


def _sentence_ends(ids, bounds, classes) -> np.ndarray:
    """bool [T + 1]: a sentence ends before token t."""
    ends = np.zeros(len(ids) + 1, bool)
    ends[1:] = classes.sentence_end[ids]
    ends[bounds] = True
    return ends


def _last_end(ends, words, start, limit, stop) -> int:
    """The last sentence end in (start + 1, limit], or a place near `limit`."""
    if limit == stop:
        return stop
    near = start + 1 + (limit - start) // 2
    found = np.flatnonzero(ends[near : limit + 1])
    end = near + int(found[-1]) if len(found) else _word(words, near, limit)
    # A single token that is left at the end would make no pair.
    return end - 1 if end == stop - 1 and end > start + 2 else end


def _word(words, first, last) -> int:
    """The last place in [first, last] where a word begins; else `last`."""
    found = np.flatnonzero(words[first : last + 1])
    return first + int(found[-1]) if len(found) else last


def _breaks(ends, words, start, end) -> np.ndarray:
    """Where (start, end) may break: at sentences, or words, or anywhere."""
    for places in (ends, words):
        inside = np.flatnonzero(places[start + 1 : end])
        if len(inside):
            return start + 1 + inside
    return np.arange(start + 1, end)


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
