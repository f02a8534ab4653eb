"""Span tags of files, in any scheme, become BIO, which is what models learn.

The schemes are those of `tfbert.tag_scheme`.
"""

from collections.abc import Iterable, Sequence

from tfbert.tag_scheme import OUTSIDE, name_scheme, split_in


class IllegalTag(ValueError):
    """A tag that its scheme does not allow where it stands.

    Attributes:
      place: index of the tag in its sentence.
    """

    def __init__(self, place: int, message: str):
        super().__init__(message)
        self.place = place


def detect_scheme(sentences: Iterable[Sequence[str]]) -> str:
    """The scheme that the tags of a file are in.

    Tags without prefixes are plain; any E or S means BIOES; no B means IO; a
    span that begins with I means IOB1 where each B follows a span of its own
    type, as only IOB1 has it. What is left is IOB2, and `to_bio` then finds
    what is wrong with it. B I O without types are span tags too.
    """
    sentences = list(sentences)
    named = name_scheme({tag for tags in sentences for tag in tags})
    if named not in ("IOB1", "IOB2"):
        return named
    starts_inside = starts_apart = False
    for tags in sentences:
        before = (OUTSIDE, "")
        for now in (split_in(tag, "IOB2") for tag in tags):
            follows = before[0] in ("B", "I") and before[1] == now[1]
            starts_inside |= now[0] == "I" and not follows
            starts_apart |= now[0] == "B" and not follows
            before = now
    return "IOB1" if starts_inside and not starts_apart else "IOB2"


def to_bio(tags: Sequence[str], scheme: str) -> list[str]:
    """Turns the tags of one sentence into BIO.

    Args:
      tags: in `scheme`. "IO" takes types without a prefix too: PER PER O.
      scheme: one of `tag_scheme.SCHEMES`; "plain" tags come back as they are.
        Tags without a type get the type "_".

    Raises:
      IllegalTag: a tag is not of the scheme, or not where it may stand.
    """
    if scheme == "plain":
        return list(tags)
    bio = []
    before = (OUTSIDE, "")
    for place, tag in enumerate(tags):
        now = split_in(tag, scheme)
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
