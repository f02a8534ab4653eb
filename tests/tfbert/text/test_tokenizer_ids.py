"""Ids and offsets are the reference's, on text of every kind."""

import random
import unicodedata

import pytest
import tensorflow as tf
import tokenizers

from tfbert.text.normalization.characters import read_characters
from tfbert.text.tokenizer import Tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
# Thai has no spaces, Tibetan and Devanagari many marks; emoji sequences.
SAMPLES = [
    "The quick-brown fox's café, naïve façade — “quoted” … £5½ ② ﬁre ™ ‑ ″ x²",
    "ΟΔΥΣΣΕΥΣ Σίσυφος ἀρχῇ ᾳ ﬀ ǅ İIıi ẞß ŒÆ",
    "ＡＢＣ１２３！，ｶﾞ ガ が 株式会社㈱ 한국어 ㄱ ᄒ",
    "你好，世界。漢字かな交じり文\u3000全角　空白",
    "ภาษาไทยไม่มีช่องว่างระหว่างคำ" * 5,
    "བོད་སྐད་ ཀྲ་ हिन्दी में क़ ড়",
    "שָׁלוֹם עוֹלָם مَرْحَبًا بِالعَالَم",
    "👨‍👩‍👧‍👦 🏳️‍🌈 👍🏽 1️⃣ 🇩🇪",
    "a\u0000b\u0007c\ufffdd\u200de\ufefff\ue000g\U000f0000h\u00adi",
    "tab\tnew\nline\r\nv\u000bf\fs\u0085x\u2028y\u2029z\u00a0w\u1680q",
    "[MASK] [SEP] ##ing # ## a##b __init__ $100 C++ foo@bar.com <unk>",
    "x" * 99 + " " + "x" * 100 + " " + "x" * 101 + " é" + "é" * 99,
    "中" * 150 + "a" * 150 + "." + "ж" * 100 + " " + "ж" * 101,
    "𝐀𝐁 𝔘 𐐀𐐁 𞤀𞤁 \U0002b820\U0002b81f\U0002f800",
]


def pools() -> list[list[int]]:
    """Code points by category, and those that need care."""
    by_category: dict[str, list[int]] = {}
    for code in CODES:
        category = unicodedata.category(chr(code))
        by_category.setdefault(category, []).append(code)
    sections = read_characters()
    return [
        *by_category.values(),
        *(sorted(section) for section in sections.values()),
        [code for code in CODES if unicodedata.decomposition(chr(code))],
        list(range(97, 123)),
        list(range(65, 91)),
        [32, 32, 9],
        list(range(0x4E00, 0x9FFF)),
    ]


def fuzz(seed: int, number: int) -> list[str]:
    rng = random.Random(seed)
    choices = pools()
    sections = read_characters()
    combining = [sorted(sections["combining"])] * 3 + [
        sorted(sections["mark"]),
        sorted(sections["barrier"]),
        [0x200D, 0, 0xAD, 0xFEFF],
        [97, 0x4E00],
    ]

    def draw(from_pools, length):
        codes = (rng.choice(rng.choice(from_pools)) for _ in range(length))
        return "".join(map(chr, codes))

    texts = []
    for _ in range(number):
        kind = rng.random()
        if kind < 0.1:
            length = rng.choice([99, 100, 101, 130])
            word = draw([rng.choice(choices)], length)
            texts.append(word + rng.choice(["", " ab", ".x"]))
        elif kind < 0.3:
            texts.append("a" + draw(combining, rng.randint(1, 12)))
        else:
            some = rng.sample(choices, rng.randint(1, 5))
            texts.append(draw(some, rng.randint(0, 30)))
    return texts


def character_vocabulary(texts: list[str], lowercase: bool) -> list[str]:
    """Every character of the texts, so that no difference hides in [UNK]."""
    normalize = tokenizers.normalizers.BertNormalizer(
        lowercase=lowercase
    ).normalize_str
    characters = sorted(set("".join(map(normalize, texts))) - {" "})
    return [*SPECIAL, *characters, *(f"##{c}" for c in characters)]


@pytest.mark.parametrize("lowercase", [True, False])
def test_fuzz(reference, lowercase):
    texts = fuzz(seed=0, number=4000) + SAMPLES
    texts += [f"a{chr(code)}b {chr(code)}" for code in CODES[::97]]
    vocabulary = character_vocabulary(texts, lowercase)
    peer = reference(vocabulary, lowercase)
    tokenizer = Tokenizer(vocabulary, lowercase)
    want = [encoding.ids for encoding in peer.encode_batch(texts)]
    got = tokenizer(texts).to_list()
    different = [
        (text, tokenizer.tokens(a), tokenizer.tokens(b))
        for text, a, b in zip(texts, want, got, strict=True)
        if a != b
    ]
    assert different == []
    spans = tokenizer.tokenize_with_offsets(texts)
    assert spans.ids.to_list() == got


@pytest.mark.parametrize("lowercase", [True, False])
def test_offsets(reference, lowercase):
    # The reference gives reordered marks the places of others: none here.
    left = set(read_characters()["combining"])
    texts = [
        text
        for text in fuzz(seed=1, number=2000) + SAMPLES
        if not lowercase or left.isdisjoint(map(ord, text))
    ]
    vocabulary = character_vocabulary(texts, lowercase)
    encodings = reference(vocabulary, lowercase).encode_batch(texts)
    spans = Tokenizer(vocabulary, lowercase).tokenize_with_offsets(texts)
    starts = spans.character_starts.to_list()
    ends = spans.character_ends.to_list()
    for text, encoding, first, last in zip(
        texts, encodings, starts, ends, strict=True
    ):
        assert encoding.offsets == list(zip(first, last, strict=True)), text


@pytest.mark.parametrize("lowercase", [True, False])
def test_learnt_pieces(reference, lowercase):
    """Longest match first, with pieces of many lengths."""
    rng = random.Random(0)
    syllables = ["ab", "Ba", "c", "é", "ши", "ja", "x", "한"]

    def word(longest):
        number = rng.randint(1, longest)
        return "".join(rng.choice(syllables) for _ in range(number))

    pieces = sorted({word(3) for _ in range(100)})
    vocabulary = [*SPECIAL, *pieces]
    vocabulary += [f"##{piece}" for piece in pieces if rng.random() < 0.5]
    texts = [" ".join(word(8) for _ in range(20)) for _ in range(200)]
    encodings = reference(vocabulary, lowercase).encode_batch(texts)
    got = Tokenizer(vocabulary, lowercase)(texts).to_list()
    assert got == [encoding.ids for encoding in encodings]


def test_bytes_that_are_not_utf8(reference):
    rng = random.Random(0)
    texts = [rng.randbytes(rng.randint(0, 40)) for _ in range(500)]
    texts += ["naïve".encode()[:3] + b" x", b"\xf0\x9f\x98", b"\x00"]
    replaced = [text.decode("utf-8", "replace") for text in texts]
    vocabulary = character_vocabulary(replaced, True)
    encodings = reference(vocabulary, True).encode_batch(replaced)
    got = Tokenizer(vocabulary)(tf.constant(texts)).to_list()
    assert got == [encoding.ids for encoding in encodings]
