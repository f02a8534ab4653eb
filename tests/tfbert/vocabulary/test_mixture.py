import contextlib

import pytest

from tfbert.errors import UserError
from tfbert.vocabulary.mixture import WordMixture
from tfbert.vocabulary.word_counts import WordCounts


@contextlib.contextmanager
def counted(**languages):
    with contextlib.ExitStack() as stack:
        result = {}
        for name, text in languages.items():
            result[name] = stack.enter_context(WordCounts())
            result[name].add(text.encode().split())
        yield result


@pytest.mark.parametrize("temperature", [0.0, 0.3, 0.7, 1.0])
def test_shares_are_powers_of_the_text_s(temperature):
    with counted(a="x " * 800, b="y " * 150, c="z " * 50) as languages:
        mixture = WordMixture(languages, temperature)
        powers = {
            name: share**temperature
            for name, share in {"a": 0.8, "b": 0.15, "c": 0.05}.items()
        }
        for name, power in powers.items():
            assert mixture.weighted_share(name) == pytest.approx(
                power / sum(powers.values())
            )
            assert mixture.weights[name] == pytest.approx(
                mixture.weighted_share(name)
                / mixture.share(name)
                / (mixture.weighted_share("a") / 0.8)
            )
        assert mixture.share("b") == 0.15
        assert min(mixture.weights.values()) == mixture.weights["a"] == 1


def test_words_of_languages_add_up():
    with counted(
        large="both " * 6 + "only " * 10, small="both you you ж"
    ) as languages:
        mixture = WordMixture(languages, 0.5)
        assert mixture.weights == {"large": 1, "small": 2}
        assert list(mixture.words()) == [
            ("both", 7, 6 + 2),
            ("only", 10, 10),
            ("you", 2, 4),
            ("ж", 1, 2),
        ]
        assert mixture.total == 16 + 2 * 4
        turned = WordMixture(dict(reversed(languages.items())), 0.5)
        assert list(turned.words()) == list(mixture.words())
        assert list(turned.languages) == ["large", "small"]


def test_one_language_stays_as_it_is():
    with counted(only="a a b") as languages:
        mixture = WordMixture(languages, 0.3)
        assert list(mixture.words()) == [("a", 2, 2), ("b", 1, 1)]


def test_a_language_without_words():
    with (
        counted(a="word", b="") as languages,
        pytest.raises(UserError, match="text of language b holds no words"),
    ):
        WordMixture(languages)
