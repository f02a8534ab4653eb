import collections
import random

import pytest
import tokenizers

from tfbert.vocabulary.word_counts import WordCounts, WordSplitter, count_words

TEXT = (
    "The cat's naïve “friends” -- 你好 ΣΑΣ x\u302e\u1b44 a\u00adb; "
    "½ ﬁn\u037e [MASK]\ue000 豈 한국 ≠"
)


def reference_words(text: str, lowercase: bool) -> list[str]:
    normal = tokenizers.normalizers.BertNormalizer(lowercase=lowercase)
    split = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str
    return [word for word, _ in split(normal.normalize_str(text))]


@pytest.mark.parametrize("lowercase", [True, False])
def test_words_are_the_tokenizer_s(lowercase):
    splitter = WordSplitter(lowercase)
    got = [word.decode() for word in splitter.split(TEXT.encode())]
    assert got == reference_words(TEXT, lowercase)


@pytest.mark.parametrize("lowercase", [True, False])
def test_every_character(lowercase):
    codes = [
        *range(1, 0x3500),
        *range(0xA000, 0xD800, 7),
        *range(0xE000, 0x30000, 3),
    ]
    text = " ".join(f"a{chr(code)}b" for code in codes)
    got = WordSplitter(lowercase).split(text.encode())
    assert b"\n".join(got).decode().split("\n") == reference_words(
        text, lowercase
    )


def test_counts_do_not_depend_on_memory_or_order():
    rng = random.Random(0)
    words = [str(int(rng.expovariate(0.01))).encode() for _ in range(20_000)]
    expected = sorted(collections.Counter(words).items())
    for limit in (3, 100, 10**6):
        rng.shuffle(words)
        with WordCounts(max_words_in_memory=limit) as counts:
            for start in range(0, len(words), 500):
                counts.add(words[start : start + 500])
            assert list(counts) == expected
            assert list(counts) == expected  # It can be read again.
            assert counts.total == len(words)


def test_count_words(monkeypatch):
    monkeypatch.setattr("tfbert.vocabulary.word_counts._BATCH_BYTES", 4)
    with WordCounts() as counts:
        count_words([b"A cat", b"", b"a dog, a", b"cat"], True, counts)
        assert dict(counts) == {b"a": 3, b"cat": 2, b"dog": 1, b",": 1}


def test_no_text():
    with WordCounts() as counts:
        count_words([], True, counts)
        assert list(counts) == []
