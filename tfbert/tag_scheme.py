"""What tags mean: which spans they stand for, and which may follow which.

| scheme | a span of two words | two spans of one type in a row |
|---|---|---|
| IO | I-X I-X | cannot be written |
| IOB1 | I-X I-X | I-X B-X |
| IOB2 | B-X I-X | B-X B-X |
| BIOES | B-X E-X | S-X S-X |

IOB2 is BIO. BIOES is also written with L for E and U for S (BILOU), or with M
for I (BMES). Source of the names: Tjong Kim Sang and Veenstra 1999,
"Representing Text Chunks". Tags without a type, B I O, have spans of the type
"_". Plain tags, as those of parts of speech, have no prefix and no spans.

Training, evaluation and the exported graph ask one `TagScheme`, so that the
same tags are the same spans in all three.

Legend: C tags.
"""

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from tfbert.errors import UserError

SCHEMES = ("IO", "IOB1", "IOB2", "BIOES", "plain")
OUTSIDE = "O"
# The type of tags that name none, as in seqeval.
UNTYPED = "_"
# No place in the list of tags.
NONE = -1
_PREFIXES = "BIES"
_SAME = {"L": "E", "U": "S", "M": "I"}
# Prefixes that are bound to what is before them, and the one that frees them.
_BOUND = {"IOB1": ("B", "I"), "IOB2": ("I", "B"), "BIOES": ("IE", "B")}


class Span(NamedTuple):
    """Words `start` to `end` (exclusive) of a type."""

    type: str
    start: int
    end: int


def split_tag(tag: str) -> tuple[str, str]:
    """("B", "PER") of "B-PER"; ("O", "") of "O"; ("", tag) of a plain tag.

    L, U and M become E, S and I.
    """
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    prefix = _SAME.get(prefix, prefix)
    if dash and kind and len(prefix) == 1 and prefix in _PREFIXES:
        return prefix, kind
    return "", tag


def split_in(tag: str, scheme: str) -> tuple[str, str]:
    """`split_tag` where the scheme is known.

    In IO a type may stand without a prefix; elsewhere a prefix without a
    type has the type "_".
    """
    if scheme == "plain":
        return "", tag
    prefix, kind = split_tag(tag)
    if prefix:
        return prefix, kind
    if scheme == "IO":
        return "I", UNTYPED if tag == "I" else tag
    bare = _SAME.get(tag, tag)
    if len(bare) == 1 and bare in _PREFIXES:
        return bare, UNTYPED
    return "", tag


def name_scheme(tags: Iterable[str]) -> str:
    """The scheme that a set of tags is of, by their names alone.

    Any E or S means BIOES, and no B means IO. An I whose type has no B means
    IOB1, where B is rare. What is left is IOB2: IOB1 with a B of every type
    has the same names.
    """
    tags = set(tags)
    scheme = "IOB2" if _are_bare(tags) else "any"
    parts = {split_in(tag, scheme) for tag in tags}
    prefixes = {prefix for prefix, _ in parts} - {OUTSIDE, ""}
    if not prefixes:
        return "IO" if tags == {OUTSIDE} else "plain"
    if prefixes & {"E", "S"}:
        return "BIOES"
    if "B" not in prefixes:
        # M is I's other name beside B and E only.
        return "IO" if any(tag[:1] == "I" for tag in tags) else "plain"
    types = {p: {k for q, k in parts if q == p} for p in "BI"}
    return "IOB2" if types["I"] <= types["B"] else "IOB1"


def _are_bare(tags: set[str]) -> bool:
    """Whether tags are prefixes without types: B I O, or B M E S."""
    letters = {_SAME.get(tag, tag) for tag in tags}
    return letters <= {*_PREFIXES, OUTSIDE} and bool(letters & {"B", "I"})


def read_spans(parts: Iterable[tuple[str, str]]) -> list[Span]:
    """The spans of tags that were split, in order; of any tags.

    A span ends behind E and S and before another type, B, S or no span; so
    I-X that continues nothing begins a span, as conlleval and seqeval read
    it (Ramshaw and Marcus 1995; Nakayama 2018, seqeval).
    """
    spans: list[Span] = []
    start, kind, closed = 0, None, False
    for place, (prefix, name) in enumerate([*parts, (OUTSIDE, "")]):
        inside = prefix in ("B", "I", "E", "S")
        goes_on = prefix in ("I", "E") and name == kind and not closed
        if kind is not None and not goes_on:
            spans.append(Span(kind, start, place))
            kind = None
        if inside and not goes_on:
            start, kind = place, name
        closed = prefix in ("E", "S")
    return spans


@dataclass(frozen=True)
class TagScheme:
    """The tags of a model.

    Attributes:
      names: in the order of the logits.
      scheme: one of SCHEMES.
    """

    names: tuple[str, ...]
    scheme: str

    @classmethod
    def of(cls, names: Sequence[str], scheme: str | None = None) -> "TagScheme":
        """The tags `names`; without `scheme`, in that of `name_scheme`.

        Raises:
          UserError: there is no such scheme.
        """
        scheme = scheme or name_scheme(names)
        if scheme not in SCHEMES:
            raise UserError(
                f"wanted a scheme of {', '.join(SCHEMES)}, got {scheme!r}"
            )
        return cls(tuple(names), scheme)

    @property
    def has_spans(self) -> bool:
        """Whether tags stand for spans."""
        return self.scheme != "plain"

    @functools.cached_property
    def parts(self) -> list[tuple[str, str]]:
        """(prefix, type) of each tag; ("", name) of those without spans."""
        return [split_in(name, self.scheme) for name in self.names]

    @functools.cached_property
    def types(self) -> list[str]:
        """The type of each tag's span, "" where it has none."""
        return [
            kind if p in ("B", "I", "E", "S") else "" for p, kind in self.parts
        ]

    @functools.cached_property
    def outside(self) -> int:
        """The place of O, or NONE."""
        return self._places.get((OUTSIDE, ""), NONE)

    @functools.cached_property
    def kinds(self) -> np.ndarray:
        """The number of each tag's type, NONE outside of spans; int32 [C]."""
        number = {kind: i for i, kind in enumerate(sorted(set(self.types)))}
        return np.array(
            [number[kind] if kind else NONE for kind in self.types], np.int32
        )

    @functools.cached_property
    def opens(self) -> np.ndarray:
        """Whether a span begins at the tag whatever is before; bool [C]."""
        return np.array([prefix in ("B", "S") for prefix, _ in self.parts])

    @functools.cached_property
    def closes(self) -> np.ndarray:
        """Whether a span ends behind the tag whatever comes; bool [C]."""
        return np.array([prefix in ("E", "S") for prefix, _ in self.parts])

    @functools.cached_property
    def follows(self) -> np.ndarray:
        """The two tags one of which must be before each; int32 [C, 2].

        Both are NONE for a tag that may follow any that may end a sentence.
        So they are for I-X of a model without B-X (of IOB1, B-X without
        I-X): it begins spans. A model without the other has the first twice.
        """
        bound, opener = _BOUND.get(self.scheme, ("", ""))
        other = {"B": "I", "I": "B"}.get(opener)
        pairs = []
        for prefix, kind in self.parts:
            first = self._places.get((opener, kind), NONE)
            if not prefix or prefix not in bound or first == NONE:
                pairs.append((NONE, NONE))
            else:
                pairs.append((first, self._places.get((other, kind), first)))
        return np.array(pairs, np.int32).reshape(-1, 2)

    @functools.cached_property
    def may_end(self) -> np.ndarray:
        """Whether a sentence may end with the tag; bool [C].

        All may but BIOES' B-X and I-X, where the model has E-X.
        """
        return np.array(
            [
                not (
                    self.scheme == "BIOES"
                    and prefix in ("B", "I")
                    and ("E", kind) in self._places
                )
                for prefix, kind in self.parts
            ]
        )

    def split(self, tag: str) -> tuple[str, str]:
        """(prefix, type) of a tag, which need not be one of the model's."""
        return split_in(tag, self.scheme)

    def spans(self, tags: Iterable[str]) -> list[Span]:
        """The spans of tags, legal or not; see `read_spans`."""
        return read_spans(map(self.split, tags))

    def of_bio(self, tags: Sequence[str]) -> list[str]:
        """BIO tags of a sentence in this scheme, by the model's names.

        A tag that the model does not have is given its usual name.
        """
        if not self.has_spans:
            return list(tags)
        parts = [split_tag(tag) for tag in tags]
        written = []
        before = (OUTSIDE, "")
        for now, after in zip(parts, [*parts[1:], before], strict=True):
            prefix, kind = now
            if kind:
                last = after != ("I", kind)
                prefix = self._prefix(prefix, last, before[1] == kind)
            written.append(self._name(prefix, kind))
            before = now
        return written

    def _prefix(self, prefix: str, last: bool, adjoins: bool) -> str:
        """The prefix here of a word that has B or I in BIO."""
        if self.scheme == "BIOES":
            if last:
                return "S" if prefix == "B" else "E"
            return prefix
        if self.scheme in ("IO", "IOB1"):
            # IO has no tag for a second span in a row, so none of the model's.
            return "B" if prefix == "B" and adjoins else "I"
        return prefix

    def _name(self, prefix: str, kind: str) -> str:
        place = self._places.get((prefix, kind))
        if place is not None:
            return self.names[place]
        return f"{prefix}-{kind}" if kind else OUTSIDE

    @functools.cached_property
    def _places(self) -> dict[tuple[str, str], int]:
        """(prefix, type) -> place."""
        return {part: place for place, part in enumerate(self.parts)}


def bio_tags(types: Iterable[str]) -> list[str]:
    """O, then B and I of each type, sorted: the tags that we train."""
    pairs = [(f"B-{name}", f"I-{name}") for name in sorted(set(types))]
    return [OUTSIDE, *(tag for pair in pairs for tag in pair)]
