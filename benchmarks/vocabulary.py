"""Seconds to learn vocabularies of many characters and of many pieces.

    python -m benchmarks.vocabulary

The words are random, counted beforehand, so that learning alone is timed.
Prints a hash of each vocabulary: another build should learn the same one.
"""

import argparse
import hashlib
import itertools
import random
import time

from tfbert.vocabulary_learning import VocabularySettings, learn_vocabulary
from tfbert.word_mixture import WordMixture


class Words:
    """Counted words, as `tfbert.word_counts.WordCounts` has them."""

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


def main() -> None:
    """Learns each vocabulary and prints how long it took."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ideographs", type=int, default=8000)
    parser.add_argument("--syllables", type=int, default=8000)
    parser.add_argument("--size", type=int, default=60_000)
    arguments = parser.parse_args()
    count, size = arguments.ideographs, arguments.size
    cases = {
        f"{count:,} ideographs": (ideographs(count), count + 5),
        f"{arguments.syllables:,} syllables, {size:,} tokens": (
            syllables(arguments.syllables, 6 * size),
            size,
        ),
    }
    for name, (words, wanted) in cases.items():
        start = time.process_time()
        tokens = learn_vocabulary(
            WordMixture({"": words}),
            VocabularySettings(wanted, character_coverage=1.0),
        )
        seconds = time.process_time() - start
        digest = hashlib.sha256("\n".join(tokens).encode()).hexdigest()
        print(f"{name}: {len(tokens):,} tokens, {seconds:.2f} s of processor")
        print(f"  sha256 {digest[:16]}", flush=True)


if __name__ == "__main__":
    main()
