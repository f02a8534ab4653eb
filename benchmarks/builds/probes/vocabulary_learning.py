"""Processor seconds to learn a vocabulary of counted words.

    vocabulary_learning.py ideographs 8000
    vocabulary_learning.py syllables 8000 60000

Counted beforehand, so that learning alone is timed.
"""

import hashlib
import json
import sys
import time

from benchmarks import made_words
from benchmarks.builds.probes.defined import defined


def main() -> None:
    """Learns one and prints its figures."""
    kind, number = sys.argv[1], int(sys.argv[2])
    learn, settings, mixture = defined(
        "tfbert", "learn_vocabulary", "VocabularySettings", "WordMixture"
    )
    if kind == "ideographs":
        words, size = made_words.ideographs(number), number + 5
    else:
        size = int(sys.argv[3])
        words = made_words.syllables(number, 6 * size)
    start = time.process_time()
    tokens = learn(mixture({"": words}), settings(size, character_coverage=1.0))
    seconds = time.process_time() - start
    digest = hashlib.sha256("\n".join(tokens).encode()).hexdigest()
    print(json.dumps({"seconds": seconds, "sha256": digest[:12]}))


if __name__ == "__main__":
    main()
