"""What BERT's basic tokenization does to each character.

The reference cleans text, sets Chinese characters apart, decomposes (NFD),
strips accents, lower-cases and splits at punctuation. Every one of these
steps but the reordering of combining marks looks at one code point at a time,
so the whole is a table: code point -> string, in which spaces part words and
nothing else does. `characters.txt` is that table as the reference
implementation (Hugging Face `tokenizers`, BertNormalizer and
BertPreTokenizer) defines it; a test compares the two code point by code
point. It is data rather than calls to `unicodedata` because the Unicode
version of the latter changes with Python's, and ids must not.

Source: Devlin et al. 2018, `tokenization.py` of google-research/bert.
"""

import functools
from importlib import resources

# The Hangul syllables decompose by arithmetic (Unicode, section 3.12).
HANGUL = range(0xAC00, 0xD7A4)


@functools.cache
def read_characters() -> dict[str, dict[int, str]]:
    """Reads `characters.txt`.

    Returns:
      For each section a dict whose keys are code points:
      `removed`: control, format, private-use characters and U+FFFD.
      `space`: white space. `chinese`: the CJK ideographs. `mark`: what accent
      stripping removes. `punctuation`. `combining`: characters with a
      combining class that accent stripping leaves; the value has the class
      as its code point. `barrier`: marks that have none. `joined`:
      characters that the WordPiece kernel of TF.Text splits at, and BERT
      does not. `apart`: those that BERT splits at, and the kernel does not.
      `letter`: characters and their lower-cased decomposition without marks.
    """
    sections: dict[str, dict[int, str]] = {}
    folder = resources.files("tfbert.text.normalization")
    text = folder.joinpath("characters.txt")
    for line in text.read_text(encoding="ascii").splitlines():
        if line.startswith("#") or not line:
            continue
        if not line.startswith(" "):
            section = sections.setdefault(line, {})
            continue
        for entry in line.split():
            key, _, value = entry.partition("=")
            first, _, last = key.partition("-")
            value = "".join(chr(int(x, 16)) for x in value.split("+") if x)
            for code in range(int(first, 16), int(last or first, 16) + 1):
                section[code] = value
    return sections


def format_characters(sections: dict[str, dict[int, str]]) -> str:
    """The text of `characters.txt` for `sections` (see `read_characters`)."""
    lines = [
        "# How BERT treats characters: FIRST-LAST ranges of code points, and",
        "# CODE=CODE+CODE for a character and what it becomes (hexadecimal).",
        "# Generated; test_characters.py compares it with the reference and",
        "# can write it anew.",
    ]
    for name, section in sections.items():
        lines.append(name)
        line = ""
        for entry in _entries(section):
            if len(line) + len(entry) >= 80:
                lines.append(line)
                line = ""
            line += " " + entry
        lines.append(line)
    return "\n".join(lines) + "\n"


def _entries(section: dict[int, str]) -> list[str]:
    entries = []
    codes = sorted(section)
    for index, code in enumerate(codes):
        if section[code]:
            becomes = "+".join(f"{ord(c):X}" for c in section[code])
            entries.append(f"{code:X}={becomes}")
            continue
        if not index or codes[index - 1] != code - 1:
            first = code
        if index + 1 == len(codes) or codes[index + 1] != code + 1:
            last = "" if first == code else f"-{code:X}"
            entries.append(f"{first:X}{last}")
    return entries


@functools.cache
def character_map(lowercase: bool) -> dict[int, str]:
    """What cleaning, decomposition, accents and case do to each character.

    Args:
      lowercase: whether text is decomposed, stripped of accents and
        lower-cased as well.

    Returns:
      Code point -> string for the characters that change, as for
      `str.translate`. Words are not split yet at punctuation and ideographs.
    """
    sections = read_characters()
    table: dict[int, str] = {}
    if lowercase:
        table.update(sections["letter"])
        table.update({code: _hangul(code) for code in HANGUL})
        table.update(sections["mark"])
    table.update(dict.fromkeys(sections["space"], " "))
    table.update(sections["removed"])
    return table


@functools.cache
def split_map() -> dict[int, str]:
    """Sets punctuation and ideographs apart by spaces, for `str.translate`."""
    sections = read_characters()
    codes = [*sections["punctuation"], *sections["chinese"]]
    return {code: f" {chr(code)} " for code in codes}


def _hangul(code: int) -> str:
    lead, rest = divmod(code - HANGUL.start, 21 * 28)
    vowel, tail = divmod(rest, 28)
    jamo = chr(0x1100 + lead) + chr(0x1161 + vowel)
    return jamo + chr(0x11A7 + tail) if tail else jamo
