"""Made-up text and its vocabulary, the same for both builds."""

import random
from pathlib import Path

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SIZE = 8192
# Of a document; and of a line.
SENTENCES, WORDS = 8, 16


def write(folder: Path) -> None:
    """Writes vocab.txt, text.txt (2 MB) and tiny.txt (20 kB)."""
    words = [f"w{number}" for number in range(SIZE - len(SPECIAL_TOKENS))]
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL_TOKENS, *words, ""]))
    rng, documents, characters = random.Random(0), [], 0
    while characters < 2_000_000:
        lines = [
            " ".join(rng.choices(words, k=WORDS)) for _ in range(SENTENCES)
        ]
        documents.append("\n".join(lines))
        characters += len(documents[-1])
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n")
    (folder / "tiny.txt").write_text("\n\n".join(documents[:25]) + "\n")
