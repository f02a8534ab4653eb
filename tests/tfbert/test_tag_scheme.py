import itertools
import random

import pytest
import seqeval.scheme
from seqeval.metrics.sequence_labeling import get_entities

from tfbert.errors import UserError
from tfbert.tag_scheme import Span, TagScheme, bio_tags, name_scheme, split_tag

# Names as models of others have them; O is seldom the first.
NAMES = {
    "IO": "I-LOC I-PER O",
    "IOB1": "B-MISC I-LOC I-MISC I-PER O",
    "IOB2": "B-PER I-PER O B-LOC I-LOC",
    "BIOES": "E-LOC I-LOC O S-LOC B-LOC B-PER E-PER I-PER S-PER",
    "BILOU": "B-LOC I-LOC L-LOC O U-LOC",
    "BMES": "B-LOC M-LOC E-LOC S-LOC O",
    "bare": "B I O",
    "bare BIOES": "B M E S",
    "plain": "NOUN O VERB X-Y",
}
SCHEMES = {
    "BILOU": "BIOES",
    "BMES": "BIOES",
    "bare": "IOB2",
    "bare BIOES": "BIOES",
}


@pytest.mark.parametrize("name", NAMES)
def test_names_tell_the_scheme(name):
    tags = NAMES[name].split()
    assert name_scheme(tags) == SCHEMES.get(name, name)
    scheme = TagScheme.of(tags)
    outside = tags.index("O") if "O" in tags else -1
    assert scheme.outside == (-1 if name == "plain" else outside)
    assert scheme.has_spans == (name != "plain")
    for tag, kind in zip(tags, scheme.types, strict=True):
        wanted = tag[2:] or "_"
        assert kind == ("" if tag == "O" or name == "plain" else wanted)


def test_unusual_names():
    assert name_scheme(["O"]) == "IO"
    assert name_scheme(["M-X", "NN"]) == "plain"
    assert split_tag("L-X-Y") == ("E", "X-Y")
    # Types alone have spans where somebody says so.
    assert not TagScheme.of(["LOC", "O", "PER"]).has_spans
    scheme = TagScheme.of(["LOC", "O", "PER"], "IO")
    assert scheme.spans(["PER", "PER", "O", "LOC"]) == [
        Span("PER", 0, 2),
        Span("LOC", 3, 4),
    ]
    assert scheme.of_bio(["B-PER", "I-PER", "O"]) == ["PER", "PER", "O"]
    with pytest.raises(UserError, match="wanted a scheme of IO, .*'BIO'"):
        TagScheme.of(["O"], "BIO")


@pytest.mark.parametrize("seed", range(3))
def test_spans_of_any_tags_are_those_of_seqeval(seed):
    draw = random.Random(seed)
    names = ["O", *(f"{p}-{k}" for p in "BIES" for k in ("X", "Y"))]
    scheme = TagScheme.of(names)
    for _ in range(300):
        tags = draw.choices(names, k=draw.randint(0, 9))
        wanted = [(k, a, b + 1) for k, a, b in get_entities(tags)]
        assert scheme.spans(tags) == wanted


@pytest.mark.parametrize("name", ["IO", "IOB1", "IOB2", "BIOES", "BMES"])
def test_bio_in_other_schemes_has_the_same_spans(name):
    scheme = TagScheme.of(NAMES[name].split())
    kinds = sorted({*scheme.types} - {""})
    source = TagScheme.of(bio_tags(kinds))
    strict = getattr(seqeval.scheme, SCHEMES.get(name, name), None)
    for tags in itertools.product(source.names, repeat=4):
        if not all(
            now[0] != "I" or before[1:] == now[1:]
            for before, now in itertools.pairwise(["O", *tags])
        ):
            continue
        written = scheme.of_bio(tags)
        assert scheme.spans(written) == source.spans(tags)
        unknown = set(written) - set(scheme.names)
        # What cannot be written in IO is written as in IOB1.
        assert not unknown or name in ("IO", "IOB1")
        if strict and not unknown and name != "BMES":
            found = seqeval.scheme.Entities([written], strict)
            assert [
                (e.tag, e.start, e.end) for e in found.entities[0]
            ] == source.spans(tags)


def test_bare_tags():
    scheme = TagScheme.of(["B", "I", "O"])
    assert scheme.of_bio(["B-_", "I-_", "O"]) == ["B", "I", "O"]
    assert scheme.spans(["B", "I", "B", "O"]) == [
        Span("_", 0, 2),
        Span("_", 2, 3),
    ]
    assert scheme.follows.tolist() == [[-1, -1], [0, 1], [-1, -1]]


def test_what_is_bound():
    scheme = TagScheme.of(NAMES["IOB1"].split())
    # B-MISC follows MISC; I-LOC needs no B-LOC.
    assert scheme.follows.tolist() == [[2, 0], *[[-1, -1]] * 4]
    scheme = TagScheme.of(["B-X", "E-X", "O", "B-Y"])
    assert scheme.follows.tolist() == [[-1, -1], [0, 0], [-1, -1], [-1, -1]]
    # There is no E-Y to end with.
    assert scheme.may_end.tolist() == [False, True, True, True]
