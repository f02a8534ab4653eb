"""Texts whose words are marked: what was expected, what was predicted.

Marks differ in the line under them as well as in colour (page.py): solid
under what was expected, dashed under what was predicted, double under both.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from tfbert.tag_scheme import Span, TagScheme
from trainers.reports.page import Html, escape

# Of a longer text only the neighbourhood of what is marked is shown.
_CHARACTERS_AROUND = 160
_WORDS_AROUND = 12
# In characters: a shorter gap is not worth its dots.
_SHORT_GAP, _LONG_WORD = 40, 30
GAP = " \u2026 "


class Mark(NamedTuple):
    """Characters `start` to `end` (exclusive), the class of their mark."""

    start: int
    end: int
    style: str


def plain(texts: Sequence[str], longest: int) -> Html:
    """Texts as paragraphs, cut after `longest` characters."""
    return Html(
        "".join(
            f'<p class="text" dir="auto">{escape(short(text, longest))}</p>'
            for text in texts
        )
    )


def short(text: object, longest: int) -> str:
    """A text, cut after `longest` characters."""
    text = str(text)
    return text if len(text) <= longest else text[:longest] + " ..."


def marked(text: str, marks: Iterable[Mark]) -> Html:
    """The neighbourhood of marks in a text; marks may lie over each other."""
    marks = [mark for mark in marks if mark.start < mark.end]
    shown = _parts_near(text, marks)
    parts, last = [], 0
    for start, end in shown:
        parts.append(GAP if start > last else "")
        cuts = {start, end, *(e for m in marks for e in (m.start, m.end))}
        cuts = sorted(cut for cut in cuts if start <= cut <= end)
        for left, right in zip(cuts[:-1], cuts[1:], strict=True):
            over = {m.style for m in marks if m.start <= left < m.end}
            part = escape(text[left:right])
            if over:
                classes = " ".join(sorted(over))
                part = f'<mark class="{classes}">{part}</mark>'
            parts.append(part)
        last = end
    parts.append(GAP if last < len(text) else "")
    return Html(f'<p class="text" dir="auto">{"".join(parts).strip()}</p>')


def _parts_near(text: str, marks: Sequence[Mark]) -> list[tuple[int, int]]:
    """(start, end) of what is shown of a text, cut between words."""
    wanted = [(m.start, m.end) for m in sorted(marks)] or [(0, 0)]
    parts: list[tuple[int, int]] = []
    for start, end in wanted:
        start = max(0, start - _CHARACTERS_AROUND)
        end = min(len(text), end + _CHARACTERS_AROUND)
        # A word that is cut is left out, unless it is very long.
        if start and (space := text.find(" ", start, start + _LONG_WORD)) > 0:
            start = space + 1
        if end < len(text):
            space = text.rfind(" ", end - _LONG_WORD, end)
            end = space if space > 0 else end
        if parts and start <= parts[-1][1] + _SHORT_GAP:
            start, end = parts[-1][0], max(end, parts[-1][1])
            parts.pop()
        parts.append((start, end))
    return parts


def places_of(text: str, parts: Iterable[str], near: int) -> list[Mark]:
    """Where answers stand in a text: at the place next to `near`."""
    found = []
    for part in dict.fromkeys(parts):
        starts, place = [], text.find(part) if part else -1
        while place >= 0:
            starts.append(place)
            place = text.find(part, place + 1)
        if starts:
            start = min(starts, key=lambda at: abs(at - near))
            found.append(Mark(start, start + len(part), "wanted"))
    return found


def sentence_of_spans(row: Mapping, scheme: TagScheme) -> Html:
    """A sentence twice: with the spans expected, and with those predicted."""
    wanted = set(scheme.spans(row["label"]))
    got = set(scheme.spans(row["predicted"]))
    return _two_lines(row, wanted, got)


def sentence_of_tags(row: Mapping) -> Html:
    """A sentence twice; only words with a wrong tag are marked."""
    pairs = enumerate(zip(row["label"], row["predicted"], strict=True))
    wrong = [(i, *tags) for i, tags in pairs if tags[0] != tags[1]]
    return _two_lines(
        row,
        {Span(right, i, i + 1) for i, right, _ in wrong},
        {Span(answer, i, i + 1) for i, _, answer in wrong},
    )


def _two_lines(row: Mapping, wanted: set[Span], got: set[Span]) -> Html:
    words = row["words"]
    shown = _words_near(len(words), wanted ^ got, row.get("predicate", -1))
    lines = (("expected", wanted, got), ("predicted", got, wanted))
    cells = "".join(
        f'<div class="muted">{name}</div><div dir="auto">'
        + _sentence(words, spans, other, shown, name, row.get("predicate", -1))
        + "</div>"
        for name, spans, other in lines
    )
    return Html(f'<div class="said">{cells}</div>')


def _words_near(count: int, spans: Iterable[Span], predicate: int) -> set[int]:
    """The places of the words that are shown of a sentence."""
    found = set()
    for start, end in [
        *((span.start, span.end) for span in spans),
        *([(predicate, predicate + 1)] if predicate >= 0 else []),
    ]:
        found |= set(range(start - _WORDS_AROUND, end + _WORDS_AROUND))
    return found & set(range(count)) or set(range(min(count, 40)))


def _sentence(
    words: Sequence[str],
    spans: set[Span],
    other: set[Span],
    shown: set[int],
    name: str,
    predicate: int,
) -> str:
    """Words with their spans; a span that `other` has too is right."""
    style = "wanted" if name == "expected" else "got"
    starts = {span.start: span for span in spans}
    parts, place = [], 0
    while place < len(words):
        span = starts.get(place)
        end = span.end if span else place + 1
        if place not in shown:
            if parts[-1:] != ["\u2026"]:
                parts.append("\u2026")
            place = end
            continue
        text = " ".join(
            _word(word, at == predicate)
            for at, word in enumerate(words[place:end], place)
        )
        if span:
            kind = "both" if span in other else style
            text = (
                f'<mark class="{kind}">{text}<span class="kind">'
                f"{escape(span.type)}</span></mark>"
            )
        parts.append(text)
        place = end
    return " ".join(parts)


def _word(word: str, is_predicate: bool) -> str:
    text = escape(word)
    return f'<b class="predicate">{text}</b>' if is_predicate else text
