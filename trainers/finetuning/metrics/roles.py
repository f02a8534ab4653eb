"""Arguments of predicates, counted as the CoNLL-2005 shared task does.

Source: srl-eval.pl of Carreras and Marquez 2005, "Introduction to the
CoNLL-2005 Shared Task: Semantic Role Labeling".
"""

from collections.abc import Sequence

from trainers.finetuning.metrics.spans import bio_spans

PREDICATE = "V"


def arguments(tags: Sequence[str]) -> list[tuple]:
    """The arguments of one predicate.

    - V, the predicate itself, is no argument, and neither is its
      continuation C-V.
    - C-X continues the last argument X before it: the two are one argument of
      several pieces, right when all pieces are. Without such an X it is an
      argument X of its own.
    - R-X, a reference to X, is an argument of its own type.

    Args:
      tags: BIO.

    Returns:
      (role, ((start, end), ...)) in the order of the first pieces.
    """
    found: list[tuple[str, list[tuple[int, int]]]] = []
    last: dict[str, list[tuple[int, int]]] = {}
    for role, start, end in bio_spans(tags):
        role_of = role.removeprefix("C-")
        if role != role_of and role_of in last:
            last[role_of].append((start, end))
            continue
        pieces = [(start, end)]
        last[role_of] = pieces
        found.append((role_of, pieces))
    return [
        (role, tuple(pieces)) for role, pieces in found if role != PREDICATE
    ]
