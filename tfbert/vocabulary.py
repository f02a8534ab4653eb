"""Learning, reading and checking vocabularies (`vocab.txt`)."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from tfbert.errors import UserError

PAD, UNK, CLS, SEP, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
SPECIAL_TOKENS = (PAD, UNK, CLS, SEP, MASK)
CONTINUATION = "##"
# Longer words are [UNK] (google-research/bert, WordpieceTokenizer).
MAX_WORD_CHARACTERS = 100


def read_vocabulary(path: str | os.PathLike) -> list[str]:
    """Reads a vocabulary file: one token per line, the line number its id.

    Args:
      path: a UTF-8 text file. Only "\\n" and "\\r\\n" end a line: published
        vocabularies hold other line separators as tokens.

    Returns:
      The tokens in the order of their ids.

    Raises:
      UserError: the file is missing, not UTF-8, has an empty line or a token
        twice, or lacks one of BERT's special tokens.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"Cannot read the vocabulary {path}: {error.strerror}. Give the "
            "path of a vocab.txt; `tfbert vocab` makes one."
        ) from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {line}: not UTF-8 (byte 0x{data[error.start]:02X})."
            " A vocabulary is UTF-8 text with one token per line."
        ) from error
    tokens = [line.removesuffix("\r") for line in text.split("\n")]
    if tokens[-1] == "":
        tokens.pop()
    check_vocabulary(tokens, str(path))
    return tokens


def check_vocabulary(tokens: Sequence[str], source: str) -> None:
    """Raises UserError if `tokens` (from `source`) are no vocabulary."""
    first: dict[str, int] = {}
    for line, token in enumerate(tokens, start=1):
        if token == "":
            raise UserError(
                f"{source}, line {line}: empty. Wanted one token per line; "
                "remove the line, or find out which token is missing there."
            )
        if token in first:
            raise UserError(
                f"{source}, line {line}: the token {token!r} is there already "
                f"on line {first[token]}. Every token must have one id; take "
                "the vocabulary from its source again or learn a new one "
                "with `tfbert vocab`."
            )
        first[token] = line
    missing = [token for token in SPECIAL_TOKENS if token not in first]
    if missing:
        raise UserError(
            f"{source}: the special tokens {', '.join(missing)} are missing "
            f"among its {len(tokens):,} tokens. A BERT vocabulary has "
            f"{', '.join(SPECIAL_TOKENS)}, each on a line of its own; is this "
            "a vocab.txt of a WordPiece model?"
        )


def vocabulary_hash(tokens: Sequence[str]) -> str:
    """The identity of a vocabulary: sha256 over its lines, hexadecimal."""
    return hashlib.sha256("\n".join(tokens).encode("utf-8")).hexdigest()
