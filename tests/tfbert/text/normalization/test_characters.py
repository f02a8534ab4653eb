"""`characters.txt` is what the reference does, code point by code point.

With TFBERT_WRITE_CHARACTERS=1 in the environment the file is written anew.
"""

import os
import unicodedata
from importlib import resources

import pytest
import tensorflow as tf
import tensorflow_text as tf_text
import tokenizers

from tfbert.text.normalization import characters

CODES = [code for code in range(1, 0x110000) if not 0xD800 <= code < 0xE000]
FOLDER = resources.files("tfbert.text.normalization")


def ranges(codes) -> dict[int, str]:
    return dict.fromkeys(codes, "")


def normal_forms(lowercase: bool) -> dict[int, str]:
    normalize = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase
    ).normalize_str
    # Between letters, so that spaces and marks have something to stand at.
    forms = {code: normalize(f"a{chr(code)}b")[1:-1] for code in CODES}
    return {code: text for code, text in forms.items() if text != chr(code)}


def reference_splits() -> set[int]:
    split = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return {code for code in CODES if len(split(f"a{chr(code)}b")) == 3}


def kernel_splits() -> set[int]:
    kernel = tf_text.FastWordpieceTokenizer(
        ["[UNK]", "a"], token_out_type=tf.int32
    )
    words = kernel.tokenize([f"a{chr(code)}a" for code in CODES])
    counts = words.row_lengths().numpy()
    return {code for code, n in zip(CODES, counts, strict=True) if n > 1}


def combining_marks(normalize, marks) -> tuple[dict, dict]:
    """(classes of the marks that are left, stripped marks without one)."""
    left = [c for c in CODES if unicodedata.combining(chr(c))]
    left = [code for code in left if code not in marks]
    combining = {}
    for high in left:
        for low in left:
            classes = [unicodedata.combining(chr(c)) for c in (high, low)]
            if classes[0] > classes[1] and (
                normalize(f"x{chr(high)}{chr(low)}")
                == f"x{chr(low)}{chr(high)}"
            ):
                combining[high], combining[low] = map(chr, classes)
    barrier = ranges(
        code
        for code in marks
        if normalize(f"x\u302e{chr(code)}\u1b44") != "x\u1b44\u302e"
    )
    return combining, barrier


def reference_characters() -> dict[str, dict[int, str]]:
    cased, uncased = normal_forms(False), normal_forms(True)
    # NUL cannot be part of the words above.
    removed = ranges([0, *(c for c, text in cased.items() if not text)])
    space = ranges(code for code, text in cased.items() if text == " ")
    chinese = ranges(
        code for code, text in cased.items() if text == f" {chr(code)} "
    )
    assert len(removed) - 1 + len(space) + len(chinese) == len(cased)
    letters = {
        code: text.strip(" ") if code in chinese else text
        for code, text in uncased.items()
        if code not in characters.HANGUL
        and code not in removed
        and code not in space
    }
    mark = ranges(code for code, text in letters.items() if not text)
    combining, barrier = combining_marks(
        tokenizers.normalizers.BertNormalizer(lowercase=True).normalize_str,
        mark,
    )
    punctuation, kernel = reference_splits(), kernel_splits()
    # The punctuation of the Python at hand, too: a kernel of another version
    # of TF.Text may split there.
    known = {c for c in CODES if unicodedata.category(chr(c))[0] == "P"}
    return {
        "removed": removed,
        "space": space,
        "chinese": chinese,
        "mark": mark,
        "punctuation": ranges(punctuation),
        "combining": combining,
        "barrier": barrier,
        "joined": ranges(
            (kernel | known)
            - punctuation
            - set(chinese)
            - set(space)
            - set(removed)
            - {ord(" ")}
        ),
        "apart": ranges((punctuation | set(chinese)) - kernel),
        "letter": {
            code: text
            for code, text in letters.items()
            if text and text != chr(code)
        },
    }


def test_table_is_the_reference():
    text = characters.format_characters(reference_characters())
    path = FOLDER.joinpath("characters.txt")
    if os.environ.get("TFBERT_WRITE_CHARACTERS"):
        path.write_text(text, encoding="ascii")
        characters.read_characters.cache_clear()
    expected, got = text.split("\n"), path.read_text("ascii").split("\n")
    assert [line for line in got if line not in expected] == []
    assert got == expected


def test_format_and_read_are_inverse():
    sections = characters.read_characters()
    text = characters.format_characters(sections)
    path = FOLDER.joinpath("characters.txt")
    assert text == path.read_text("ascii")
    assert max(map(len, text.split("\n"))) <= 80


@pytest.mark.parametrize("code", [0xAC00, 0xAC01, 0xD7A3, 0xB098])
def test_hangul(code):
    assert characters.character_map(True)[code] == unicodedata.normalize(
        "NFD", chr(code)
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Café ﬁn ½ ＡＢ Σας", "cafe ﬁn ½ ａｂ σας"),
        ("İstanbul ẞ", "istanbul ß"),
        ("a\u00ad\u200bb\ufffd\te\u0301", "ab e"),
    ],
)
def test_uncased_examples(text, expected):
    assert text.translate(characters.character_map(True)) == expected


def test_cased_leaves_letters():
    text = "Café ﬁn Σας 한국\ue000\u3000x"
    table = characters.character_map(False)
    assert text.translate(table) == "Café ﬁn Σας 한국 x"
