"""Seconds to learn vocabularies of many characters and of many pieces.

    python -m benchmarks.vocabulary

The words are random, counted beforehand, so that learning alone is timed.
Prints a hash of each vocabulary: another build should learn the same one.
"""

import argparse
import hashlib
import time

from benchmarks.made_words import ideographs, syllables
from tfbert.vocabulary.learning import VocabularySettings, learn_vocabulary
from tfbert.vocabulary.mixture import WordMixture


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
