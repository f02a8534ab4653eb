"""Learning, reading and checking vocabularies (`vocab.txt`)."""

import hashlib
import os
from collections.abc import Iterable, Sequence
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
                f"{source}, line {line}: empty. Wanted one token per line. "
                + _empty_line_advice(tokens, line)
            )
        if "\n" in token or "\r" in token:
            raise UserError(
                f"{source}, line {line}: the token {token!r} has a line break "
                "inside, which no file of tokens can hold and no text is "
                f"tokenized to; put a token like [unused{line}] in its place, "
                "so that the others keep their ids."
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


def _empty_line_advice(tokens: Sequence[str], line: int) -> str:
    if not any(tokens[line:]):
        return "Remove the empty lines at the end."
    return (
        "Find out which token is missing there; without one put a token like "
        f"[unused{line}] in its place. To remove the line would give all "
        "tokens after it other ids."
    )


def vocabulary_text(tokens: Iterable[str]) -> str:
    """The content of a vocabulary file: one token per line."""
    return "".join(token + "\n" for token in tokens)


def vocabulary_hash(tokens: Sequence[str]) -> str:
    """The identity of a vocabulary: sha256 over its lines, hexadecimal."""
    return hashlib.sha256("\n".join(tokens).encode("utf-8")).hexdigest()
