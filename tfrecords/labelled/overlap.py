"""Examples that occur more than once, and leak from training to validation."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Overlap:
    """How many examples occur more than once, by their exact text.

    Attributes:
      validation_in_train: validation examples whose text is in train too.
      repeated_in_train: train examples whose text came before in train.
      conflicting_in_train: those of them whose label is another one.
    """

    validation_in_train: int
    repeated_in_train: int
    conflicting_in_train: int


def overlap(
    train: Sequence[tuple[str, ...]],
    golds: Iterable[object],
    validation: Sequence[tuple[str, ...]] = (),
) -> Overlap:
    """Counts duplicates; outer white space is no difference.

    Args:
      train: the texts of each training example.
      golds: what is to be learnt from each; compared by ==.
      validation: the texts of each validation example.
    """
    first_gold: dict[tuple[str, ...], object] = {}
    repeated = conflicting = 0
    for texts, gold in zip(_normal(train), golds, strict=True):
        before = first_gold.setdefault(texts, gold)
        conflicting += before != gold
        repeated += 1
    repeated -= len(first_gold)
    leaked = sum(texts in first_gold for texts in _normal(validation))
    return Overlap(leaked, repeated, conflicting)


def _normal(inputs: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    for texts in inputs:
        yield tuple(text.strip() for text in texts)
