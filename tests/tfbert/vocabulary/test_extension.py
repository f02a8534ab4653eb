import json
import random

import pytest

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import SPECIAL_TOKENS, check_vocabulary
from tfbert.vocabulary.extension import extend_vocabulary, read_old_vocabulary
from tfbert.vocabulary.learning import (
    VocabularySettings,
    learn_vocabulary,
    report_vocabulary,
)
from tfbert.vocabulary.mixture import WordMixture
from tfbert.vocabulary.word_counts import WordCounts, count_words

LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)]
OLD = [
    *SPECIAL_TOKENS,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
    *("the", "cell", "##ing", "##s", "hep", "##ato"),
]
OLD = list(dict.fromkeys(OLD))


def settings(size, **more):
    return VocabularySettings(size=size, **more)


def extend(texts, number, old=OLD, **more):
    """The tokens that are appended to `old`, up to `number`."""
    wanted = settings(len(old) + number, **more)
    with WordCounts() as counts:
        count_words([t.encode() for t in texts], wanted.lowercase, counts)
        mixture = WordMixture({"": counts})
        tokens = extend_vocabulary(old, mixture, wanted)
    assert tokens[: len(old)] == list(old)
    check_vocabulary(tokens, "the extended vocabulary")
    return tokens[len(old) :]


def test_joins_the_pieces_of_words_that_are_split():
    text = "the hepatocyte, hepatocytes; the cells celling " * 3
    new = extend([text], 30)
    assert new[0] == ","  # The text has it, the old vocabulary has not.
    assert {"hepato", "hepatocyte", "cells", "celling"} <= set(new)
    # Words and pieces that are there already are not learnt again.
    assert not set(new) & set(OLD)


def test_every_new_piece_joins_two():
    """The old pieces of a word, not its characters, are what is joined."""
    new = extend(["hepato " * 5 + "cells " * 4 + "thes " * 3], 3)
    assert new == ["hepato", "cells", "thes"]


def test_rest_of_the_words():
    assert extend(["xing ying zing " * 3 + "qato wato " * 3], 50) == [
        *("qato", "wato", "xing", "ying", "zing"),
    ]
    assert extend(["xinging yinging zinging " * 9], 1) == ["##inging"]


def test_characters_that_the_old_vocabulary_cannot_spell():
    new = extend(["жар жар 你好 你好!"], 20)
    assert new[:9] == [*"!ажр你好", "##а", "##ж", "##р"]
    assert new[9:] == ["жа", "жар"] or new[9:] == ["##ар", "жар"]
    tokenizer = Tokenizer(OLD + new)
    tokens = tokenizer.tokens(tokenizer(["жар 你好!"]))
    assert tokens == [["жар", "你", "好", "!"]]


def test_characters_outside_the_coverage_stay_unknown():
    new = extend(["cells " * 1000 + "ж ж"], 20, character_coverage=0.99)
    assert new == ["cells"]


def test_min_frequency():
    assert extend(["cells cells thes"], 20) == ["cells"]
    assert extend(["cells cells thes"], 20, min_frequency=1) == [
        "cells",
        "thes",
    ]


def test_cased():
    new = extend(["The Cell cell"] * 3, 20, lowercase=False)
    assert new[:4] == ["C", "T", "##C", "##T"]
    assert {"The", "Cell"} <= set(new)


def test_no_new_words():
    assert extend(["the cell the cell"], 20) == []


def test_fits_better_with_every_piece():
    """New pieces are used: fewer tokens, and no word becomes unknown."""
    rng = random.Random(0)
    stems = ["hepat", "neur", "cardi", "nephr", "card"]
    ends = ["itis", "osis", "ology", "opathy", "ocyte", "ocytes"]
    text = " ".join(rng.choice(stems) + rng.choice(ends) for _ in range(500))
    with WordCounts() as counts:
        count_words([text.encode()], True, counts)
        mixture = WordMixture({"": counts})
        lengths = []
        for number in (1, 5, 20, 60):
            wanted = settings(len(OLD) + number)
            tokenizer = Tokenizer(extend_vocabulary(OLD, mixture, wanted))
            report = report_vocabulary(tokenizer, counts)
            assert report.unknown_words == 0
            lengths.append(report.pieces_per_word)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] < 1.1 < 3 < lengths[0]


def test_order_of_text_makes_no_difference():
    rng = random.Random(1)
    texts = [
        "".join(rng.choice("abcхц你") for _ in range(6)) for _ in range(300)
    ]
    expected = extend(texts, 60, min_frequency=1)
    assert len(expected) == 60
    for _ in range(3):
        rng.shuffle(texts)
        assert extend(texts, 60, min_frequency=1) == expected


def test_scaled_counts_are_deterministic_too(monkeypatch):
    monkeypatch.setattr("tfbert.vocabulary.learning._MAX_FED_WORDS", 20)
    texts = ["cells " * 50, "hepato " * 30, "thes " * 20]
    assert extend(texts, 10) == ["cells", "hepato", "thes"]
    assert extend(texts[::-1], 10) == ["cells", "hepato", "thes"]


def test_languages_are_weighted():
    with WordCounts() as large, WordCounts() as small:
        count_words([b"cells " * 100 + b"thes " * 90], True, large)
        count_words([b"hepato " * 10], True, small)
        new = [
            extend_vocabulary(
                OLD,
                WordMixture({"large": large, "small": small}, temperature),
                settings(len(OLD) + 1),
            )[-1]
            for temperature in (1.0, 0.0)
        ]
    assert new == ["cells", "hepato"]


def test_a_word_is_as_rare_as_it_is_in_the_text():
    with WordCounts() as large, WordCounts() as small:
        count_words([b"the " * 1000], True, large)
        count_words([b"hepato cells cells"], True, small)
        mixture = WordMixture({"large": large, "small": small}, 0.0)
        new = extend_vocabulary(OLD, mixture, settings(len(OLD) + 9))
    assert new[len(OLD) :] == ["cells"]


def test_a_learnt_vocabulary_extended_by_its_own_text():
    """Extension goes on where learning stopped."""
    text = ["low lower lowest slow slower slowest new newer newest"] * 3
    with WordCounts() as counts:
        count_words([line.encode() for line in text], True, counts)
        mixture = WordMixture({"": counts})
        old = learn_vocabulary(mixture, settings(30))
        new = extend_vocabulary(old, mixture, settings(80))
        assert new[:30] == old
        report = report_vocabulary(Tokenizer(new), counts)
    assert report.pieces_per_word == 1


def test_no_room_for_the_characters():
    with pytest.raises(UserError, match="no room: the old tokens"):
        extend(["жшщ"], 2)


def write(folder, tokens, config=None):
    path = folder / "vocab.txt"
    path.write_text("\n".join(tokens), "utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return path


def test_read(tmp_path):
    path = write(tmp_path, OLD)
    size = len(OLD) + 1
    assert read_old_vocabulary(path, size) == (OLD, True)
    assert read_old_vocabulary(tmp_path, size, True) == (OLD, True)
    # Chinese, say: uncased or not cannot be told.
    assert read_old_vocabulary(path, size, False) == (OLD, False)


@pytest.mark.parametrize("size", [len(OLD), len(OLD) - 1])
def test_size_is_not_larger(tmp_path, size):
    with pytest.raises(UserError, match=f"ask for more than {len(OLD)}"):
        read_old_vocabulary(write(tmp_path, OLD), size)


def test_size_is_too_large(tmp_path):
    with pytest.raises(UserError, match="1,048,576 tokens at most"):
        read_old_vocabulary(write(tmp_path, OLD), 2_000_000)


@pytest.mark.parametrize(
    ("tokens", "config", "lowercase", "message"),
    [
        (OLD, {"do_lower_case": True}, False, "for uncased text"),
        (OLD, {"do_lower_case": False}, True, "for cased text"),
        ([*OLD, *"ABC"], None, True, "give --cased"),
        ([*OLD, *"ABC"], {"model_max_length": 512}, True, "give --cased"),
    ],
)
def test_cased_and_uncased_do_not_mix(
    tmp_path, tokens, config, lowercase, message
):
    path = write(tmp_path, tokens, config)
    with pytest.raises(UserError, match=message):
        read_old_vocabulary(path, 500, lowercase)
