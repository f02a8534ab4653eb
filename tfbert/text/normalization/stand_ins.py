"""What the WordPiece kernel of TF.Text is given so that it does as BERT does.

The kernel splits words at the punctuation of its own Unicode version, and
knows neither special tokens nor characters that BERT never sees. Stand-ins
make up for the differences: private-use code points, which BERT's clean-up
removes from all text, so that text cannot hold them.
"""

import functools
from collections.abc import Sequence

import tensorflow as tf

from tfbert.text.normalization.characters import (
    character_map,
    read_characters,
    split_map,
)
from tfbert.text.vocabulary_files import CONTINUATION, SPECIAL_TOKENS

_STAND_IN = 0xF0000
_SPECIAL = 0xFFFF0


@functools.cache
def kernel_map() -> dict[int, str]:
    """What makes the WordPiece kernel split where BERT does."""
    sections = read_characters()
    joined = sorted(sections["joined"])
    table = {code: chr(_STAND_IN + i) for i, code in enumerate(joined)}
    table.update({code: f" {chr(code)} " for code in sections["apart"]})
    return table


def _special_stand_in(token: str) -> str:
    return chr(_SPECIAL + SPECIAL_TOKENS.index(token))


def special_map() -> dict[int, str]:
    """Keeps the stand-ins of special tokens, as words of their own."""
    stand_ins = map(_special_stand_in, SPECIAL_TOKENS)
    return {ord(stand_in): f" {stand_in} " for stand_in in stand_ins}


def replace_special_tokens(texts: tf.Tensor) -> tf.Tensor:
    """Puts stand-ins for special tokens that are written in `texts` [B]."""
    first, last = _SPECIAL, _SPECIAL + len(SPECIAL_TOKENS) - 1
    texts = tf.strings.regex_replace(
        texts, f"[\\x{{{first:X}}}-\\x{{{last:X}}}]", ""
    )
    for token in SPECIAL_TOKENS:
        pattern = token.replace("[", r"\[").replace("]", r"\]")
        texts = tf.strings.regex_replace(
            texts, pattern, _special_stand_in(token)
        )
    return texts


def kernel_vocabulary(tokens: Sequence[str], lowercase: bool) -> list[str]:
    """The vocabulary to build the WordPiece kernel's trie from.

    A token that no text can give (one with capitals in an uncased vocabulary,
    a line separator) must not get into the trie, where text
    might meet it after all. It keeps its place under a name that the kernel
    leaves out: one with punctuation inside.

    Args:
      tokens: the vocabulary. special tokens get stand-ins.
      lowercase: as for `character_map`.
    """
    normal, splits, inner = character_map(lowercase), split_map(), kernel_map()
    kernel_tokens = []
    for index, token in enumerate(tokens):
        piece = token.removeprefix(CONTINUATION)
        words = piece.translate(normal).translate(splits).split(" ")
        # The kernel holds no piece of more than 256 bytes, and reads "##" as
        # the empty piece, which cannot come from text.
        if [word for word in words if word] == [piece] and (
            len(piece.encode("utf-8")) <= 256 and token != CONTINUATION
        ):
            kernel_tokens.append(token.translate(inner).replace(" ", ""))
        elif token in SPECIAL_TOKENS:
            kernel_tokens.append(_special_stand_in(token))
        else:
            kernel_tokens.append(f"[never {index}]")
    return kernel_tokens
