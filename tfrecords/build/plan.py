"""Which documents are kept, and which are made into rows together.

This is the one part of a build that needs to know of all documents, and the
same whoever runs the build; of a document it needs two digests and a size.
"""

import dataclasses
from collections.abc import Collection

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.build import chunks

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
        objective: str = layout.MASKED_LM,
    ):
        """Args:
        held_out: the share of documents that is held out.
        keep_duplicates: keep copies of earlier documents.
        near_duplicates: second digests of documents to leave out.
        objective: one of `spec.OBJECTIVES`.
        """
        self._held_out = held_out
        self._objective = objective
        self._limit = int(held_out * 2**64)
        self._keep = keep_duplicates
        self._near = near_duplicates
        self._seen: set[int] = set()
        self._split = TRAIN
        self._sizes = {TRAIN: 0, HELD_OUT: 0}
        self._numbers = {TRAIN: 0, HELD_OUT: 0}
        # Documents of each side that are kept, and where the last one stands.
        self._documents = {TRAIN: 0, HELD_OUT: 0}
        self._last: dict[str, tuple[str, int] | None] = {
            TRAIN: None,
            HELD_OUT: None,
        }

    def place(
        self,
        digests: tuple[int, int],
        size: int,
        part: int,
        where: tuple[str, int],
    ) -> Placement:
        """Places the next document, or part of one.

        Args:
          digests: of `Document.digests`.
          size: its bytes.
          part: 0 for the first that there is of a document.
          where: the document's file and line.
        """
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
        if where != self._last[split]:
            self._last[split] = where
            self._documents[split] += 1
        self._sizes[split] += size
        full = self._sizes[split] >= chunks.CHUNK_BYTES
        if full:
            self._sizes[split] = 0
            self._numbers[split] += 1
        return Placement(None, split, number, full)

    def _superfluous(self, digest: int) -> str | None:
        if digest in self._seen:
            return "duplicate"
        self._seen.add(digest)
        return "near_duplicate" if digest in self._near else None

    def check(self) -> None:
        """Looks, after the last document, at what there is on each side.

        Raises:
          UserError: no document was held out though some should be, or all
            of a side is one document where pairs need two.
        """
        documents = self._documents
        if self._held_out and documents[TRAIN] and not documents[HELD_OUT]:
            raise UserError(
                f"held_out {self._held_out}: none of the {documents[TRAIN]} "
                "documents falls to the held-out side. Raise the share, or "
                "give more documents."
            )
        if self._objective != layout.NEXT_SENTENCE:
            return
        for split, count in documents.items():
            if count == 1:
                file, line = self._last[split]
                raise UserError(one_document(split, file, line))


def one_document(split: str, file: str, line: int) -> str:
    """What is told of a side whose text is all of one document."""
    return (
        "objective next_sentence: wanted text of two documents or more, since "
        f"half of the second sentences come from another, got one ({split}: "
        f"{file}, line {line}). Keep documents apart by empty lines, or take "
        "every line for one (--documents line); sentence_order and masked_lm "
        "do with one document."
    )
