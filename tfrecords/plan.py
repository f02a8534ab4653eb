"""Which documents are kept, and which are made into rows together.

This is the one part of a build that needs to know of all documents, and the
same whoever runs the build; of a document it needs two digests and a size.
"""

import dataclasses
from collections.abc import Collection

from tfrecords import tokenizing

TRAIN, HELD_OUT = "train", "held_out"


@dataclasses.dataclass(frozen=True)
class Placement:
    """What becomes of a document.

    Attributes:
      reason: why it is left out, or None; then all else means nothing.
      split: `TRAIN` or `HELD_OUT`.
      number: of its chunk in the split.
      full: it is the last of its chunk.
    """

    reason: str | None
    split: str
    number: int
    full: bool


class Plan:
    """Places documents, in the order of the corpus."""

    def __init__(
        self,
        held_out: float,
        keep_duplicates: bool,
        near_duplicates: Collection[int],
    ):
        """Args:
        held_out: the share of documents that is held out.
        keep_duplicates: keep copies of earlier documents.
        near_duplicates: second digests of documents to leave out.
        """
        self._limit = int(held_out * 2**64)
        self._keep = keep_duplicates
        self._near = near_duplicates
        self._seen: set[int] = set()
        self._split = TRAIN
        self._sizes = {TRAIN: 0, HELD_OUT: 0}
        self._numbers = {TRAIN: 0, HELD_OUT: 0}

    def place(self, digests: tuple[int, int], size: int, part: int):
        """Places the next document: its `Document.digests`, bytes, part."""
        drawn, digest = digests
        if part == 0:
            # By the text itself: whatever else a corpus holds, and however
            # often it is built, a document stays on its side. The parts of a
            # long one stay with its first.
            self._split = HELD_OUT if drawn < self._limit else TRAIN
        split = self._split
        number = self._numbers[split]
        reason = None if self._keep else self._superfluous(digest)
        if reason:
            return Placement(reason, split, number, False)
        self._sizes[split] += size
        full = self._sizes[split] >= tokenizing.CHUNK_BYTES
        if full:
            self._sizes[split] = 0
            self._numbers[split] += 1
        return Placement(None, split, number, full)

    def _superfluous(self, digest: int) -> str | None:
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        return "near_duplicate" if digest in self._near else None
