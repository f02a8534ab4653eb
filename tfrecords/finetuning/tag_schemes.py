"""Schemes of span tags in files, and BIO, the one that models learn.

| scheme | a span of two words | two spans of one type in a row |
|---|---|---|
| IO | I-X I-X | cannot be written |
| IOB1 | I-X I-X | I-X B-X |
| IOB2 | B-X I-X | B-X B-X |
| BIOES | B-X E-X | S-X S-X |

IOB2 is BIO. BIOES is also written with L for E and U for S (BILOU). Source of
the names: Tjong Kim Sang and Veenstra 1999, "Representing Text Chunks".
Plain tags, as those of parts of speech, have no prefix and no spans.
"""

from collections.abc import Iterable, Sequence

SCHEMES = ("IO", "IOB1", "IOB2", "BIOES", "plain")
OUTSIDE = "O"
_BILOU = {"L": "E", "U": "S"}


class IllegalTag(ValueError):
    """A tag that its scheme does not allow where it stands.

    Attributes:
      place: index of the tag in its sentence.
    """

    def __init__(self, place: int, message: str):
        super().__init__(message)
        self.place = place


def split_tag(tag: str) -> tuple[str, str]:
    """("B", "PER") of "B-PER"; ("O", "") of "O"; ("", tag) of a plain tag."""
    if tag == OUTSIDE:
        return OUTSIDE, ""
    prefix, dash, kind = tag.partition("-")
    if dash and kind and prefix in "BIESLU" and len(prefix) == 1:
        return _BILOU.get(prefix, prefix), kind
    return "", tag


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme that the tags of a file are in.

    Tags without prefixes are plain; any E or S means BIOES; no B means IO; a
    span that begins with I means IOB1 where each B follows a span of its own
    type, as only IOB1 has it. What is left is IOB2, and `to_bio` then finds
    what is wrong with it.
    """
    prefixes: set[str] = set()
    starts_inside = starts_apart = False
    for tags in sentences:
        before = (OUTSIDE, "")
        for tag in map(split_tag, tags):
            prefixes.add(tag[0])
            follows = before[0] in ("B", "I") and before[1] == tag[1]
            starts_inside |= tag[0] == "I" and not follows
            starts_apart |= tag[0] == "B" and not follows
            before = tag
    spans = prefixes - {OUTSIDE, ""}
    if not spans:
        return "plain" if "" in prefixes else "IO"
    if spans & {"E", "S"}:
        return "BIOES"
    if "B" not in spans:
        return "IO"
    return "IOB1" if starts_inside and not starts_apart else "IOB2"


def to_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Turns the tags of one sentence into BIO.

    Args:
      tags: in `scheme`. "IO" takes types without a prefix too: PER PER O.
      scheme: one of SCHEMES; "plain" tags come back as they are.

    Raises:
      IllegalTag: a tag is not of the scheme, or not where it may stand.
    """
    if scheme == "plain":
        return list(tags)
    bio = []
    before = (OUTSIDE, "")
    for place, tag in enumerate(tags):
        now = split_tag(tag)
        if scheme == "IO" and now[0] == "":
            now = ("I", now[1])
        _check(place, tag, before, now, scheme)
        follows = before[0] in ("B", "I") and before[1] == now[1]
        if now[0] == OUTSIDE:
            bio.append(OUTSIDE)
        elif now[0] in ("I", "E") and follows:
            bio.append(f"I-{now[1]}")
        else:
            bio.append(f"B-{now[1]}")
        before = now
    if scheme == "BIOES" and before[0] in ("B", "I"):
        raise IllegalTag(
            len(tags) - 1,
            f"{tags[-1]!r} ends a sentence, but in BIOES the last word of a "
            f"span is E-{before[1]} or S-{before[1]}",
        )
    return bio


def _check(
    place: int,
    tag: str,
    before: tuple[str, str],
    now: tuple[str, str],
    scheme: str,
) -> None:
    """Raises IllegalTag where `now` cannot stand after `before`."""
    allowed = {"IO": "IO", "IOB1": "OBI", "IOB2": "OBI", "BIOES": "OBIES"}
    if not now[0] or now[0] not in allowed[scheme]:
        raise IllegalTag(
            place,
            f"{tag!r} is no tag of the scheme {scheme}, which has "
            + ", ".join(
                p if p == "O" else f"{p}-TYPE" for p in allowed[scheme]
            ),
        )
    follows = before[0] in ("B", "I") and before[1] == now[1]
    if scheme == "IOB2" and now[0] == "I" and not follows:
        raise IllegalTag(
            place, f"{tag!r} begins a span, which in IOB2 (BIO) begins with B"
        )
    if scheme == "IOB1" and now[0] == "B" and not follows:
        raise IllegalTag(
            place,
            f"{tag!r} does not follow a span of its type; in IOB1 all other "
            "spans begin with I",
        )
    if scheme != "BIOES":
        return
    if now[0] in ("I", "E") and not follows:
        raise IllegalTag(
            place, f"{tag!r} begins a span, which in BIOES begins with B or S"
        )
    if before[0] in ("B", "I") and (now[0] not in ("I", "E") or not follows):
        raise IllegalTag(
            place,
            f"{tag!r} cuts a span of {before[1]} off, whose last word should "
            f"have E-{before[1]} or S-{before[1]}",
        )
