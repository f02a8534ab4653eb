"""How often each label occurs, and labels that are hardly meant.

A column of scores, of ids or of missing values makes classes as any other
does, and a model is trained on them for hours; so they are named before.
"""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tfbert.errors import UserError

# What programs write where a value is missing.
_MISSING = frozenset(("nan", "na", "n/a", "<na>", "null", "none", "#n/a"))
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WHOLE = re.compile(r"[-+]?\d+(\.0*)?")
# Of so many labels none is alone by accident.
_MANY = 20
_SHOWN = 20


def check_classes(path: Path, labels: Iterable[str]) -> None:
    """Refuses a column that cannot be one of classes.

    Args:
      path: the training file, for messages.
      labels: of its examples, one for each.

    Raises:
      UserError: every example has a label of its own, or labels are numbers
        but for those that are missing.
    """
    counts = Counter(labels)
    examples = counts.total()
    if len(counts) == examples >= _MANY:
        advice = (
            "learn numbers with --task regression"
            if all(map(_NUMBER.fullmatch, counts))
            else "check data.label_column"
        )
        raise UserError(
            f"{path}: each of {examples:,} examples has a label of its own "
            f"(such as {next(iter(counts))[:40]!r}), so that there is nothing "
            f"to learn about classes; {advice}."
        )
    missing = [label for label in counts if label.lower() in _MISSING]
    others = [label for label in counts if label not in missing]
    if missing and others and all(map(_NUMBER.fullmatch, others)):
        raise UserError(
            f"{path}: {counts[missing[0]]:,} labels are {missing[0]!r}, the "
            "others are numbers: they are missing rather than a class. Remove "
            "the rows, or give them a label."
        )


def remarks(
    train: Iterable[str],
    validation: Iterable[str] | None = None,
    what: str = "classes",
) -> list[str]:
    """The counts of labels, and what is suspicious about them, a line each.

    Args:
      train: the labels of the training file, one for each time that one
        occurs.
      validation: likewise, or None.
      what: they are called.
    """
    counts = Counter(train)
    if not counts:
        return []
    lines = [f"{what} in train: {_listed(counts)}"]
    alone = [label for label, count in counts.items() if count == 1]
    if alone:
        lines.append(
            f"{what} with a single example: {len(alone):,} of {len(counts):,} "
            f"({_few(alone)})"
        )
    missing = [label for label in counts if label.lower() in _MISSING]
    if missing:
        lines.append(
            f"{_few(missing)} is learnt as one of the {what}; programs write "
            "it where a value is missing"
        )
    numbers = [label for label in counts if _NUMBER.fullmatch(label)]
    if len(numbers) == len(counts) > 2 and not all(
        map(_WHOLE.fullmatch, numbers)
    ):
        lines.append(
            f"all {len(counts):,} {what} are numbers with fractions, learnt "
            "as names; to learn them as scores, use --task regression"
        )
    if validation is not None:
        unseen = sorted(set(counts) - set(validation))
        if unseen:
            lines.append(
                f"{what} that validation has no example of: {len(unseen):,} of "
                f"{len(counts):,} ({_few(unseen)})"
            )
    return lines


def _listed(counts: Counter) -> str:
    shown = ", ".join(
        f"{label[:40]} {count:,}" for label, count in counts.most_common(_SHOWN)
    )
    more = len(counts) - _SHOWN
    if more <= 0:
        return shown
    return f"{shown} and {more:,} more, down to {min(counts.values()):,}"


def _few(labels: list[str], most: int = 5) -> str:
    shown = ", ".join(repr(label[:40]) for label in labels[:most])
    return shown + ", ..." * (len(labels) > most)
