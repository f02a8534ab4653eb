import contextlib
import random
import time

import pytest

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import SPECIAL_TOKENS, check_vocabulary
from tfbert.vocabulary.learning import (
    VocabularySettings,
    choose_alphabet,
    learn_vocabulary,
    report_vocabulary,
    single_pieces,
)
from tfbert.vocabulary.mixture import WordMixture
from tfbert.vocabulary.word_counts import WordCounts, count_words

TEXTS = [
    b"low lower lowest slow slower slowest",
    b"new newer newest, old older oldest",
    "widest wide! 你好 你们 — naïve".encode(),
] * 3


@contextlib.contextmanager
def counted(texts, lowercase=True):
    with WordCounts() as counts:
        count_words(texts, lowercase, counts)
        yield counts


def learn(texts=TEXTS, **settings):
    settings = VocabularySettings(**{"size": 80, **settings})
    with counted(texts, settings.lowercase) as counts:
        return learn_vocabulary(WordMixture({"": counts}), settings)


def test_special_tokens_then_characters_then_pieces():
    tokens = learn()
    check_vocabulary(tokens, "learnt")
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    number = sum(len(token.removeprefix("##")) == 1 for token in tokens[5:])
    characters, pieces = tokens[5 : 5 + number], tokens[5 + number :]
    starts = [c for c in characters if not c.startswith("##")]
    assert characters[: len(starts)] == sorted(starts)
    assert all(len(piece.removeprefix("##")) > 1 for piece in pieces)
    assert "low" in pieces
    assert "##est" in pieces
    assert len(tokens) <= 80


def test_no_continuation_of_what_stands_alone():
    tokens = learn()
    assert {"你", "!", ",", "—"} <= set(tokens)
    assert not {"##你", "##!", "##,", "##—"} & set(tokens)


def test_order_of_text_makes_no_difference():
    texts = list(TEXTS)
    expected = learn(texts)
    for seed in range(3):
        random.Random(seed).shuffle(texts)
        assert learn(texts) == expected


def test_scaled_counts_are_deterministic_too(monkeypatch):
    monkeypatch.setattr("tfbert.vocabulary.learning._MAX_FED_WORDS", 20)
    assert learn(TEXTS) == learn(TEXTS[::-1])
    assert len(learn(TEXTS)) > 40


def test_cased():
    tokens = learn([b"The the Cat", "naïve Café".encode()] * 3, lowercase=False)
    assert {"T", "C", "ï", "é", "##ï"} <= set(tokens)


def test_min_frequency():
    texts = [b"common common rare"]
    assert "common" in learn(texts, min_frequency=2)
    assert "rare" not in learn(texts, min_frequency=2)
    assert "rare" in learn(texts, min_frequency=1)


def test_pairs_across_words_are_not_learnt():
    tokens = learn([b"ab cd ab cd ab cd"])
    assert tokens[-2:] == ["ab", "cd"]


def test_coverage_chooses_characters():
    texts = ["а" * 990 + " ж" * 9 + " я x"]
    with counted([text.encode() for text in texts]) as counts:
        mixture = WordMixture({"": counts})
        assert choose_alphabet(mixture, 0.99) == ["x", "а", "ж"]
        assert choose_alphabet(mixture, 0.95) == ["x", "а"]
        assert choose_alphabet(mixture, 1.0) == ["x", "а", "ж", "я"]


def test_each_language_keeps_its_characters():
    large, small = "а" * 100_000, "ю" * 9 + "ж"
    with (
        counted([large.encode()]) as first,
        counted([small.encode()]) as second,
    ):
        mixture = WordMixture({"large": first, "small": second}, 1.0)
        assert choose_alphabet(mixture, 0.999) == ["а", "ж", "ю"]
        mixture = WordMixture({"small": second, "large": first}, 1.0)
        assert choose_alphabet(mixture, 0.9) == ["а", "ю"]


def learn_mixture(large, small, temperature, **settings):
    settings = VocabularySettings(**{"temperature": temperature, **settings})
    with counted(large) as first, counted(small) as second:
        mixture = WordMixture({"l": first, "s": second}, settings.temperature)
        return learn_vocabulary(mixture, settings)


def test_temperature_raises_the_small_language():
    large = [b"ab " * 90 + b"cd " * 80 + b"ef " * 70 + b"gh " * 60]
    small = [b"ij " * 9 + b"kl " * 8 + b"mn " * 7]
    # The tokens that are there anyway, and the first three of the seven.
    size = 5 + 2 * 14 + 3
    as_it_is = learn_mixture(large, small, 1.0, size=size)
    alike = learn_mixture(large, small, 0.0, size=size)
    assert as_it_is[-3:] == ["ab", "cd", "ef"]
    assert alike[-3:] == ["ij", "kl", "ab"]


def test_a_word_is_as_rare_as_it_is_in_the_text():
    """Weights do not make a word seen once one that is seen often."""
    tokens = learn_mixture(
        [b"ab " * 1000], [b"once twice twice"], 0.0, size=80, min_frequency=2
    )
    assert "twice" in tokens
    assert "once" not in tokens


def test_words_with_other_characters_are_left_out():
    text = "dog " * 1000 + "doж дж " * 2
    tokens = learn([text.encode()], character_coverage=0.99)
    assert not any("ж" in token for token in tokens)


def test_too_small_for_the_characters():
    with pytest.raises(UserError, match="has no room.*larger size"):
        learn(size=20)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 5}, "A vocabulary of 5 tokens"),
        ({"min_frequency": 0}, "min_frequency is 0"),
        ({"character_coverage": 0.0}, "character_coverage is 0.0"),
        ({"character_coverage": 1.5}, "character_coverage is 1.5"),
        ({"temperature": -0.1}, "temperature is -0.1"),
        ({"temperature": 1.5}, "temperature is 1.5"),
    ],
)
def test_meaningless_settings(settings, message):
    with pytest.raises(UserError, match=message):
        VocabularySettings(**{"size": 80, **settings})


def test_report():
    tokens = [*SPECIAL_TOKENS, "cat", "##s", "a", "##é"]
    done = []
    with counted([b"cats cats cat dog a"]) as counts:
        report = report_vocabulary(Tokenizer(tokens), counts, done.append)
    assert report.words == 5
    assert report.distinct_words == 4 == sum(done)
    assert report.pieces == 2 + 2 + 1 + 1 + 1
    assert report.pieces_per_word == 7 / 5
    assert report.unknown_words == 1
    assert report.unknown_rate == 1 / 5
    assert report.characters == 4 + 4 + 3 + 3 + 1
    assert report.character_coverage == 12 / 15


def test_report_of_nothing():
    with counted([]) as counts:
        report = report_vocabulary(Tokenizer([*SPECIAL_TOKENS, "a"]), counts)
    assert (report.unknown_rate, report.pieces_per_word) == (0, 0)
    assert report.character_coverage == 0


def test_many_characters_take_little_time():
    """A minute and more where a set is built anew for each of them."""
    start = time.process_time()
    pieces = list(single_pieces([chr(0x4E00 + i) for i in range(20_000)]))
    assert pieces[0] == "\u4e00" and len(pieces) == 20_000
    assert time.process_time() - start < 10
