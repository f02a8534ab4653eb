"""Learning a WordPiece vocabulary from word counts, and measuring it.

The pieces are learnt by the `tokenizers` library. Everything that it would
otherwise decide by the order of a hash table (the numbers of the characters,
which break ties between pairs) is fixed beforehand, so that equal counts give
equal bytes.
"""

from __future__ import annotations

import collections
import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator

from tfbert import numpy_scalars
from tfbert.errors import UserError
from tfbert.text.normalization.characters import read_characters
from tfbert.text.vocabulary_files import (
    CONTINUATION,
    MAX_WORD_CHARACTERS,
    SPECIAL_TOKENS,
)
from tfbert.vocabulary.mixture import DEFAULT_TEMPERATURE, WordMixture

if typing.TYPE_CHECKING:  # They import TensorFlow, which starts slowly.
    from tfbert.text.tokenizer import Tokenizer
    from tfbert.vocabulary.word_counts import WordCounts

# The library takes text, not counts: counts are scaled down to so many words.
_MAX_FED_WORDS = 200_000_000
_WORDS_PER_CALL = 65536


@dataclasses.dataclass(frozen=True)
class VocabularySettings:
    """What to learn.

    Attributes:
      size: tokens, the special ones included (and the old ones, where a
        vocabulary is extended).
      lowercase: lower-case and strip accents.
      min_frequency: rarer words and pairs of pieces are not learnt from.
      character_coverage: share of each language's characters that its most
        frequent characters must make up to be kept; words with a character
        that is not kept become [UNK].
      temperature: exponent of the shares of languages, see WordMixture.
    """

    size: int
    lowercase: bool = True
    min_frequency: int = 2
    character_coverage: float = 0.9999
    temperature: float = DEFAULT_TEMPERATURE

    def __post_init__(self):
        """Raises UserError for values that mean nothing."""
        numpy_scalars.replace_in(self)
        if self.size < len(SPECIAL_TOKENS) + 2:
            raise UserError(
                f"A vocabulary of {self.size} tokens was asked for; BERT's "
                f"{len(SPECIAL_TOKENS)} special tokens and some pieces have "
                "to go in. Usual sizes are 4,000 to 60,000."
            )
        if self.min_frequency < 1:
            raise UserError(
                f"min_frequency is {self.min_frequency}; a word counts from 1."
            )
        if not 0 < self.character_coverage <= 1:
            raise UserError(
                f"character_coverage is {self.character_coverage}; it is a "
                "share of the text, above 0 and at most 1 (0.9999 is usual)."
            )
        if not 0 <= self.temperature <= 1:
            raise UserError(
                f"temperature is {self.temperature}; it is the exponent of "
                "the languages' shares, from 0 (all the same weight) to 1 (as "
                "they are in the text). 0.7 is usual."
            )


@dataclasses.dataclass(frozen=True)
class VocabularyReport:
    """How a vocabulary fits the words it was made from.

    Attributes:
      words: words of the text. distinct_words: different ones.
      unknown_words: words of the text that become [UNK].
      pieces: tokens of the text.
      characters, known_characters: of the text; those in the vocabulary.
    """

    words: int
    distinct_words: int
    unknown_words: int
    pieces: int
    characters: int
    known_characters: int

    @property
    def unknown_rate(self) -> float:
        return self.unknown_words / max(self.words, 1)

    @property
    def pieces_per_word(self) -> float:
        return self.pieces / max(self.words, 1)

    @property
    def character_coverage(self) -> float:
        return self.known_characters / max(self.characters, 1)


def learn_vocabulary(
    mixture: WordMixture, settings: VocabularySettings
) -> list[str]:
    """Learns a vocabulary.

    Returns:
      `settings.size` tokens, or fewer when the text has no more pieces: the
      special tokens, the characters in code point order, the pieces in the
      order in which they were learnt.

    Raises:
      UserError: the size has no room for the characters.
    """
    alphabet = choose_alphabet(mixture, settings.character_coverage)
    fixed = [*SPECIAL_TOKENS, *single_pieces(alphabet)]
    check_room(len(fixed), "the special tokens", settings)
    learnt = _train(mixture, set(alphabet), fixed, settings)
    known = set(fixed)
    tokens = fixed + [token for token in learnt if token not in known]
    return tokens[: settings.size]


def check_room(number: int, which: str, settings: VocabularySettings) -> None:
    """Raises UserError if `number` fixed tokens are too many."""
    if number > settings.size:
        raise UserError(
            f"A vocabulary of {settings.size:,} tokens has no room: {which} "
            f"and the pieces of one character are {number:,}. Ask for a "
            "larger size, or keep fewer characters with a character_coverage "
            f"below {settings.character_coverage}."
        )


def choose_alphabet(mixture: WordMixture, coverage: float) -> list[str]:
    """The characters that make up `coverage` of each language; sorted.

    They are taken by frequency, equally frequent ones by code point.
    Printable ASCII is kept as far as it occurs. Each language counts by
    itself, so that a small one keeps its characters beside large ones.
    """
    kept: set[str] = set()
    for counts in mixture.languages.values():
        frequency: collections.Counter[str] = collections.Counter()
        for word, count in counts:
            for character in word.decode("utf-8"):
                frequency[character] += count
        wanted, covered = coverage * frequency.total(), 0
        for character, count in sorted(
            frequency.items(), key=lambda item: (-item[1], item[0])
        ):
            if covered < wanted or character.isascii():
                kept.add(character)
                covered += count
    return sorted(kept)


def single_pieces(alphabet: list[str]) -> Iterator[str]:
    """The characters, and their continuations where there can be any."""
    sections = read_characters()
    alone = (sections["punctuation"], sections["chinese"])
    yield from alphabet
    for character in alphabet:
        if not any(ord(character) in section for section in alone):
            yield CONTINUATION + character


def _train(
    mixture: WordMixture,
    alphabet: set[str],
    fixed: list[str],
    settings: VocabularySettings,
) -> list[str]:
    """Trains the library's WordPiece model; returns its tokens by id."""
    import tokenizers

    model = tokenizers.Tokenizer(tokenizers.models.WordPiece())
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    scale = feeding_scale(mixture)
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=settings.size,
        min_frequency=scaled(settings.min_frequency, scale),
        # What comes first here gets the first numbers, and so on.
        special_tokens=fixed,
        limit_alphabet=len(alphabet),
        initial_alphabet=sorted(alphabet),
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    usable = (
        (word, weighted)
        for word, count, weighted in mixture.words()
        if count >= settings.min_frequency
        and 1 < len(word) <= MAX_WORD_CHARACTERS
        and alphabet.issuperset(word)
    )
    model.train_from_iterator(repeated(usable, scale), trainer)
    vocabulary = model.get_vocab()
    return sorted(vocabulary, key=vocabulary.get)


def feeding_scale(mixture: WordMixture) -> float:
    """What counts are divided by, at least 1, before words are fed."""
    return max(1.0, mixture.total / _MAX_FED_WORDS)


def scaled(count: int, scale: float) -> int:
    return max(1, round(count / scale))


def repeated(words: Iterable[tuple[str, int]], scale: float) -> Iterator[str]:
    """Words as text in which each occurs count / scale times."""
    for word, count in words:
        left = scaled(count, scale)
        while left:
            now = min(left, 4096)
            yield f"{word} " * now
            left -= now


def report_vocabulary(
    tokenizer: Tokenizer,
    counts: WordCounts,
    progress: Callable[[int], None] = lambda words: None,
) -> VocabularyReport:
    """Measures how a tokenizer cuts the words of `counts`.

    Args:
      progress: called with the number of words done since the last call.
    """
    known = {
        character
        for token in tokenizer.vocabulary
        for character in token.removeprefix(CONTINUATION)
    }
    totals: collections.Counter[str] = collections.Counter()

    def measure(batch: list[tuple[bytes, int]]) -> None:
        ids = tokenizer([word for word, _ in batch])
        lengths = ids.row_lengths().numpy()
        first = ids[:, :1].flat_values.numpy()
        for (word, count), length, first_id in zip(
            batch, lengths, first, strict=True
        ):
            characters = word.decode("utf-8")
            totals["words"] += count
            totals["distinct_words"] += 1
            totals["pieces"] += count * int(length)
            totals["unknown_words"] += count * (first_id == tokenizer.unk_id)
            totals["characters"] += count * len(characters)
            totals["known_characters"] += count * sum(
                character in known for character in characters
            )
        progress(len(batch))

    batch = []
    for item in counts:
        batch.append(item)
        if len(batch) == _WORDS_PER_CALL:
            measure(batch)
            batch = []
    measure(batch)
    names = [field.name for field in dataclasses.fields(VocabularyReport)]
    return VocabularyReport(**{name: int(totals[name]) for name in names})
