"""Word counts of several languages, sampled by temperature."""

from __future__ import annotations

import heapq
import itertools
import operator
import typing
from collections.abc import Iterable, Iterator, Mapping

from tfbert.errors import UserError

if typing.TYPE_CHECKING:  # It imports TensorFlow, which starts slowly.
    from tfbert.vocabulary.word_counts import WordCounts

# Multilingual BERT's (multilingual.md of google-research/bert).
DEFAULT_TEMPERATURE = 0.7


class WordMixture:
    """The words of some languages, as if of one text that favours none much.

    A language that makes up the share p of all words is drawn with a
    probability proportional to p ** temperature: 1 leaves the text as it is,
    0 gives all languages the same weight. As for multilingual BERT
    (google-research/bert, multilingual.md, "Data Source and Sampling"), word
    counts are multiplied instead of sentences being drawn, so there is no
    chance in it. XLM draws by the same formula with 0.5 (Lample and Conneau
    2019, "Cross-lingual Language Model Pretraining", section 3.1).

    Weights are relative to the largest language: its counts stay what they
    are, and no word of another one gets lost by rounding.

    Attributes:
      languages: the word counts by language, sorted by name.
      weights: what each language's counts are multiplied by, at least 1.
      total: weighted words of all languages, repetitions included.
    """

    def __init__(
        self,
        languages: Mapping[str, WordCounts],
        temperature: float = DEFAULT_TEMPERATURE,
    ):
        """Makes a mixture; the order of `languages` makes no difference.

        Raises:
          UserError: a language has no words.
        """
        self.languages = dict(sorted(languages.items()))
        for language, counts in self.languages.items():
            if not counts.total:
                raise UserError(
                    f"The text{_of(language)} holds no words: its files are "
                    "empty or have nothing but white space and control "
                    "characters. Check the names of the files."
                )
        totals = {
            language: counts.total
            for language, counts in self.languages.items()
        }
        largest = max(totals.values(), default=1)
        self.weights = {
            language: (largest / total) ** (1 - temperature)
            for language, total in totals.items()
        }
        self.total = round(sum(map(self._weighted_total, self.languages)))

    def share(self, language: str) -> float:
        """The share of a language in the text."""
        words = sum(counts.total for counts in self.languages.values())
        return self.languages[language].total / words

    def weighted_share(self, language: str) -> float:
        """The share of a language in what is learnt from."""
        return self._weighted_total(language) / sum(
            map(self._weighted_total, self.languages)
        )

    def words(self) -> Iterator[tuple[str, int, int]]:
        """Yields (word, count, weighted count), in the order of its bytes."""
        streams = [
            _weighted(counts, self.weights[language])
            for language, counts in self.languages.items()
        ]
        for word, group in itertools.groupby(
            heapq.merge(*streams), key=operator.itemgetter(0)
        ):
            count = weighted = 0
            for _, here, weighted_here in group:
                count += here
                weighted += weighted_here
            yield word.decode("utf-8"), count, weighted

    def _weighted_total(self, language: str) -> float:
        return self.languages[language].total * self.weights[language]


def _weighted(
    counts: Iterable[tuple[bytes, int]], weight: float
) -> Iterator[tuple[bytes, int, int]]:
    for word, count in counts:
        yield word, count, round(count * weight)


def _of(language: str) -> str:
    return f" of language {language}" if language else ""
