"""Made-up counted words of which vocabularies are learnt."""

import itertools
import random


class Words:
    """Counted words, as `WordCounts` has them."""

    def __init__(self, counts: dict[bytes, int]):
        self._counts = sorted(counts.items())
        self.total = sum(counts.values())

    def __iter__(self):
        return iter(self._counts)


def ideographs(number: int) -> Words:
    """Each a word of its own, as Chinese text is cut."""
    return Words({chr(0x4E00 + i).encode(): 5 + i % 7 for i in range(number)})


def syllables(characters: int, words: int) -> Words:
    """Words of two to five Hangul syllables."""
    rng = random.Random(0)
    letters = [chr(0xAC00 + i) for i in range(characters)]
    weights = itertools.accumulate(1 / (1 + n) for n in range(characters))
    weights = list(weights)
    counts = {letter.encode(): 2 for letter in letters}
    for _ in range(words):
        size = rng.randint(2, 5)
        word = "".join(rng.choices(letters, cum_weights=weights, k=size))
        counts[word.encode()] = 2 + rng.randrange(9)
    return Words(counts)
