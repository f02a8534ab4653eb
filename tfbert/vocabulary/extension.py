"""Adding pieces to a vocabulary, for a new domain or language.

The old tokens keep their ids, so a model's embeddings stay theirs. The new
pieces are learnt where the old ones serve badly: each word that the old
vocabulary splits is the sequence of its old pieces, and the neighbours that
meet most often are joined, again and again (byte-pair encoding, Sennrich et
al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
section 3.2, with pieces in place of characters).

Nothing is learnt twice: a piece and its right neighbour are never an old
token together, for the longest match would have found that.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfbert.text.vocabulary_case import check_case, tokens_and_case
from tfbert.text.vocabulary_files import CONTINUATION
from tfbert.vocabulary.learning import (
    VocabularySettings,
    check_room,
    choose_alphabet,
    feeding_scale,
    repeated,
    scaled,
    single_pieces,
)
from tfbert.vocabulary.mixture import WordMixture

_WORDS_PER_CALL = 65536
# The library learns from characters: piece number i is written as this one
# plus i. The planes from here on hold no white space and no surrogates.
_FIRST_CODE = 0x10000
_MAX_PIECES = 0x110000 - _FIRST_CODE


def read_old_vocabulary(
    path: str | os.PathLike, size: int, lowercase: bool | None = None
) -> tuple[list[str], bool]:
    """Reads the vocabulary that is to be extended.

    Args:
      path: a vocab.txt, or a folder that has one.
      size: tokens of the vocabulary that is to come of it.
      lowercase: what the user says of its case; None: nothing. Its tokens and
        a tokenizer_config.json beside it have to agree.

    Returns:
      (its tokens, whether text is lower-cased for them).

    Raises:
      UserError: it cannot be read, is as large as the size asked for, or is
        cased where uncased text was asked for or the other way round.
    """
    path = Path(path)
    tokens, known = tokens_and_case(path)
    lowercase = check_case(path, known, lowercase)
    if size <= len(tokens):
        raise UserError(
            f"{path} has {len(tokens):,} tokens already, and a size of "
            f"{size:,} was asked for. The size counts the old tokens "
            f"as well: ask for more than {len(tokens):,}."
        )
    if size > _MAX_PIECES:
        raise UserError(
            f"A size of {size:,} was asked for; an extended "
            f"vocabulary may have {_MAX_PIECES:,} tokens at most."
        )
    return tokens, lowercase


def extend_vocabulary(
    old: Sequence[str], mixture: WordMixture, settings: VocabularySettings
) -> list[str]:
    """Learns new pieces for an old vocabulary.

    Args:
      old: its tokens, fewer than `settings.size`.
      mixture: the words of the new text.
      settings: for all of the vocabulary; only the new text counts for the
        coverage of characters.

    Returns:
      The old tokens; the characters of the new text that it lacks, in code
      point order; new pieces in the order in which they were learnt, up to
      `settings.size` tokens, or fewer when the text has no more.

    Raises:
      UserError: the size has no room for the new characters.
    """
    alphabet = choose_alphabet(mixture, settings.character_coverage)
    known = set(old)
    tokens = list(old)
    tokens += [piece for piece in single_pieces(alphabet) if piece not in known]
    check_room(len(tokens), "the old tokens", settings)
    return tokens + _join_pieces(tokens, mixture, settings)


def _join_pieces(
    tokens: list[str], mixture: WordMixture, settings: VocabularySettings
) -> list[str]:
    """The pieces to append to `tokens`."""
    import tokenizers

    model = tokenizers.Tokenizer(tokenizers.models.BPE())
    model.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    scale = feeding_scale(mixture)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=settings.size,
        min_frequency=scaled(settings.min_frequency, scale),
        # In this order they are numbered, which breaks ties between pairs.
        initial_alphabet=[_code(index) for index in range(len(tokens))],
        show_progress=False,
    )
    words = _split_words(tokens, mixture, settings)
    model.train_from_iterator(repeated(words, scale), trainer)
    vocabulary = model.get_vocab()
    learnt = sorted(vocabulary, key=vocabulary.get)[len(tokens) :]
    return [_joined(codes, tokens) for codes in learnt]


def _split_words(
    tokens: list[str], mixture: WordMixture, settings: VocabularySettings
) -> Iterator[tuple[str, int]]:
    """Yields (pieces as characters, weighted count) of words that are split."""
    from tfbert.text.tokenizer import Tokenizer

    tokenizer = Tokenizer(tokens, lowercase=settings.lowercase)
    frequent = (
        (word, weighted)
        for word, count, weighted in mixture.words()
        if count >= settings.min_frequency
    )
    while batch := list(itertools.islice(frequent, _WORDS_PER_CALL)):
        rows = tokenizer([word for word, _ in batch]).to_list()
        for (_, weighted), ids in zip(batch, rows, strict=True):
            # A single one is the word, or [UNK]: nothing to join.
            if len(ids) > 1:
                yield "".join(map(_code, ids)), weighted


def _code(index: int) -> str:
    return chr(_FIRST_CODE + index)


def _joined(codes: str, tokens: Sequence[str]) -> str:
    """The pieces that stand behind `codes` as one piece."""
    first, *others = (tokens[ord(code) - _FIRST_CODE] for code in codes)
    return first + "".join(piece.removeprefix(CONTINUATION) for piece in others)
