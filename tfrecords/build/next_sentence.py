"""Next-sentence labels: half of the pairs get the second segment of another.

All pairs are first made in order (`pairs`) and kept in a file. When all of
them are there, one of each two neighbours is given the second segment of a
pair from another document, and gives its own to some other: segments are
exchanged, so no text is lost or read twice, and segments of both labels begin,
end and are as long as each other. Partners are alike in how the segment
begins and ends (at a sentence's end, or cut inside one) and in length, so
neither a token nor a length tells the label.

Only where one document has more text than all others together do segments of
the others stand in several pairs.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

from tfrecords import keyed_order
from tfrecords.build.pairs import FRAME, IN_ORDER, NOT_IN_ORDER
from tfrecords.layout import Layout
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage.writer import ShardWriter

# Pairs are exchanged among so many neighbours as far as they can be, so that
# a large build reads its file nearly in order.
_WINDOW_BITS = 20

# Neighbours by length with which an exchange is tried, and how far segments
# of other documents are looked for where no exchange is left.
_NEAR = 64
_REACH = tuple(8 << power for power in range(8))

# Pairs written at a time.
_BLOCK = 1 << 14


@dataclasses.dataclass(frozen=True)
class Segments:
    """What an exchange has to know of the pairs, arrays [N].

    Attributes:
      documents: the document of each.
      lengths: tokens of the second segment.
      limits: the most that it may have beside the first one.
      kinds: how it begins and ends, see `Pairs`.
      cut: bool, it ends inside a sentence, so it may be cut anywhere.
    """

    documents: np.ndarray
    lengths: np.ndarray
    limits: np.ndarray
    kinds: np.ndarray
    cut: np.ndarray

    def fits(self, pairs: np.ndarray, donors: np.ndarray) -> np.ndarray:
        """Whether `donors`' segments may stand in `pairs` as they are."""
        other = self.documents[pairs] != self.documents[donors]
        alike = self.lengths[donors] == self.lengths[pairs]
        room = self.lengths[donors] <= self.limits[pairs]
        return other & np.where(self.cut[pairs], alike, room)


def exchange(segments: Segments, key: np.ndarray) -> np.ndarray:
    """Chooses the second segment of every pair.

    Args:
      segments: of the pairs, in the order of the text.
      key: uint64 [1], of all that is drawn.

    Returns:
      int64 [N]: the pair whose second segment each pair gets. One of each two
      neighbours gets another document's, unless there is none that fits.
    """
    count = len(segments.documents)
    donors = np.arange(count)
    firsts = np.arange(0, count, 2)
    bits = keyed_order.draws(key, firsts.astype(np.uint64)) >> np.uint64(63)
    chosen = firsts + bits.astype(np.int64)
    chosen = chosen[chosen < count]
    for window in (_WINDOW_BITS, 63):
        pairs = _by_length(segments, chosen, window, key)
        _swap(segments, pairs, donors)
        if not len(_unserved(segments, pairs, donors)):
            return donors
    everyone = _by_length(segments, np.arange(count), 63, key)
    _borrow(segments, everyone, np.isin(everyone, chosen), donors, key)
    return donors


def _by_length(segments, pairs, window: int, key) -> np.ndarray:
    """`pairs` by windows of the text, then what is alike together."""
    drawn = keyed_order.draws(key, pairs.astype(np.uint64) + np.uint64(1 << 40))
    lengths, kinds = segments.lengths[pairs], segments.kinds[pairs]
    return pairs[np.lexsort((drawn, lengths, kinds, pairs >> window))]


def _unserved(segments, pairs, donors, chosen=True) -> np.ndarray:
    """The places of chosen pairs that hold their own document's segment."""
    own = segments.documents[donors[pairs]] == segments.documents[pairs]
    return np.flatnonzero(own & chosen)


def _swap(segments, pairs, donors) -> None:
    """Exchanges segments of near pairs until none gains by it, in place."""
    places = np.arange(len(pairs))
    far = 1 << np.arange(6, max(7, len(pairs).bit_length()))
    for distance in [*range(1, _NEAR), *far.tolist()]:
        # Each place with one other: all exchanges at once.
        other = places ^ distance
        one = places[(other > places) & (other < len(pairs))]
        one, two = pairs[one], pairs[one ^ distance]
        gains = segments.documents[donors[one]] == segments.documents[one]
        gains |= segments.documents[donors[two]] == segments.documents[two]
        gains &= segments.kinds[one] == segments.kinds[two]
        gains &= segments.fits(one, donors[two])
        gains &= segments.fits(two, donors[one])
        one, two = one[gains], two[gains]
        donors[one], donors[two] = donors[two], donors[one]


def _borrow(segments, pairs, chosen, donors, key) -> None:
    """Lends segments to those `chosen` that found none to exchange, in place.

    From any pairs of other documents, of about the length, at random; a segment
    that may be cut anywhere is cut to the length that was there.
    """
    kinds, documents = segments.kinds[pairs], segments.documents[pairs]
    for number, reach in enumerate(_REACH):
        places = _unserved(segments, pairs, donors, chosen)
        drawn = keyed_order.draws(
            keyed_order.fold(key, number), pairs[places].astype(np.uint64)
        )
        shift = (drawn >> np.uint64(32)).astype(np.int64) % (2 * reach) - reach
        found = np.clip(places + shift, 0, len(pairs) - 1)
        good = _lendable(segments, pairs[places], pairs[found])
        good &= kinds[places] == kinds[found]
        donors[pairs[places[good]]] = pairs[found[good]]
    places = _unserved(segments, pairs, donors, chosen)
    # The nearest of another document on either side, of any kind.
    change = np.flatnonzero(documents[1:] != documents[:-1]) + 1
    starts = np.concatenate([[0], change])
    run = np.searchsorted(starts, places, side="right") - 1
    ends = np.append(change, len(pairs))
    for found in (ends[run], starts[run] - 1):
        inside = (found >= 0) & (found < len(pairs))
        taken = pairs[np.where(inside, found, 0)]
        good = inside & _lendable(segments, pairs[places], taken)
        donors[pairs[places[good]]] = taken[good]


def _lendable(segments, pairs, donors) -> np.ndarray:
    other = segments.documents[pairs] != segments.documents[donors]
    room = segments.lengths[donors] <= segments.limits[pairs]
    both_cut = segments.cut[pairs] & segments.cut[donors]
    long = segments.lengths[donors] >= segments.lengths[pairs]
    return other & np.where(both_cut, long, room)


class Pairs:
    """The pairs of one folder, in a file until all of them are there."""

    def __init__(self, path: Path, layout: Layout, classes: TokenClasses):
        """`path`: of a file that is removed by `write`."""
        self._path = path
        self._layout = layout
        self._classes = classes
        self._documents_path = path.with_name(path.name + "_documents")
        self._file = open(path, "ab")
        self._documents = open(self._documents_path, "ab")
        self._count = 0
        self._parts: list[tuple[np.ndarray, ...]] = []

    def state(self) -> int:
        """How many pairs are on the disk, for `go_on`.

        Raises:
          OSError: they do not get there.
        """
        for file in (self._file, self._documents):
            file.flush()
            os.fsync(file.fileno())
        return self._count

    def go_on(self, count: int) -> None:
        """Goes on behind the first `count` pairs that the file has.

        Raises:
          ValueError: it has fewer.
        """
        self._count = count
        width, size = self._layout.row_width, self._layout.dtype.itemsize
        for file, each in ((self._file, width * size), (self._documents, 8)):
            if os.fstat(file.fileno()).st_size < count * each:
                raise ValueError(f"{file.name} is shorter than what was made")
            file.truncate(count * each)
        for first in range(0, count, _BLOCK):
            number = min(_BLOCK, count - first)
            rows = np.fromfile(
                self._path,
                self._layout.dtype,
                number * width,
                offset=first * width * size,
            )
            documents = np.fromfile(
                self._documents_path, np.int64, number, offset=first * 8
            )
            self._remember(rows.reshape(-1, width).astype(np.int32), documents)

    def add(self, rows: np.ndarray, documents: np.ndarray) -> None:
        """Takes pairs in order, and the number of each one's document.

        Args:
          rows: whole numbers [N, S + 1].
          documents: int64 [N].
        """
        if not len(rows):
            return
        self._file.write(rows.astype(self._layout.dtype).tobytes())
        self._documents.write(documents.astype(np.int64).tobytes())
        self._count += len(rows)
        self._remember(rows, documents)

    def _remember(self, rows: np.ndarray, documents: np.ndarray) -> None:
        """Keeps in memory what an exchange has to know."""
        tokens = rows[:, :-1]
        places = np.arange(len(rows))
        middles, ends = _marks(tokens, self._classes)
        classes = self._classes
        begins = np.where(
            classes.word_start[tokens[places, middles + 1]],
            classes.sentence_end[tokens[places, middles - 1]],
            2,
        )
        cut = ~classes.sentence_end[tokens[places, ends - 1]]
        room = self._layout.sequence_length - FRAME
        self._parts.append(
            (
                documents,
                (ends - middles - 1).astype(np.int16),
                (room - (middles - 1)).astype(np.int16),
                (2 * begins + cut).astype(np.int8),
                cut,
            )
        )

    def write(self, writer: ShardWriter, key: np.ndarray) -> tuple[int, int]:
        """Writes all pairs, half of them with another's second segment.

        Args:
          writer: gets the rows.
          key: uint64 [1], of all that is drawn.

        Returns:
          (tokens that are not padding, pairs that are not in order)
        """
        self._file.close()
        self._documents.close()
        tokens = changed = 0
        if self._parts:
            segments = Segments(
                *map(np.concatenate, zip(*self._parts, strict=True))
            )
            self._parts = []
            donors = exchange(segments, key)
            width = self._layout.row_width
            rows = np.memmap(self._path, self._layout.dtype, "r")
            rows = rows.reshape(-1, width)
            for first in range(0, len(rows), _BLOCK):
                some = slice(first, first + _BLOCK)
                made = self._joined(rows, donors, segments, some)
                tokens += int((made[:, :-1] != self._classes.pad_id).sum())
                changed += int((made[:, -1] == NOT_IN_ORDER).sum())
                writer.write(made)
        self._path.unlink()
        self._documents_path.unlink()
        return tokens, changed

    def _joined(self, rows, donors, segments, some: slice) -> np.ndarray:
        """The rows `some` as they are written, [N, S + 1]."""
        made = np.array(rows[some])
        made[:, -1] = IN_ORDER
        places = np.arange(len(rows))[some]
        new = np.flatnonzero(donors[some] != places)
        places, donors = places[new], donors[some][new]
        other = np.array(rows[donors])[:, :-1]
        tokens = made[new, :-1]
        middles, _ = _marks(tokens, self._classes)
        begins, ends = _marks(other, self._classes)
        lengths = ends - begins - 1
        shorter = segments.cut[places] & segments.cut[donors]
        lengths = np.where(
            shorter, np.minimum(lengths, segments.lengths[places]), lengths
        )
        columns = np.arange(tokens.shape[1])
        after = columns - middles[:, None] - 1  # Places in the second segment.
        source = np.clip(begins[:, None] + 1 + after, 0, len(columns) - 1)
        second = np.take_along_axis(other, source, axis=1)
        inside = after < lengths[:, None]
        second = np.where(inside, second, self._classes.pad_id)
        second[after == lengths[:, None]] = self._classes.sep_id
        made[new, :-1] = np.where(after < 0, tokens, second)
        made[new, -1] = NOT_IN_ORDER
        return made


def _marks(tokens: np.ndarray, classes) -> tuple[np.ndarray, np.ndarray]:
    """Where the two [SEP] of "[CLS] a [SEP] b [SEP]" stand, int64 [N] each."""
    marks = tokens == classes.sep_id
    middles = marks.argmax(axis=1)
    marks[np.arange(len(tokens)), middles] = False
    return middles, marks.argmax(axis=1)
