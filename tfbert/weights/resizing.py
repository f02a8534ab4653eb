"""Foreign weights for other tables: more tokens, more or fewer positions."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.text.vocabulary_files import CONTINUATION
from tfbert.weights.portable_model import PortableModel

_TOKENS = "encoder/embeddings/token_embeddings"
_POSITIONS = "encoder/embeddings/position_embeddings"
_BIAS = "masked_lm/output_bias"
# What may differ between a model and the weights that it starts from:
# tables that are resized, and settings that change no shape and no output.
RESIZED = ("vocab_size", "max_position_embeddings")
FREE = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "initializer_range",
)


def changed_config(
    config: BertConfig, changes: dict, source: object
) -> BertConfig:
    """The config of a model that starts from other weights.

    Args:
      config: that of the weights.
      changes: fields that a user set; only those in RESIZED and FREE may
        differ.
      source: the weights, for the message.

    Raises:
      UserError: a field is set that the weights decide.
    """
    for name, value in changes.items():
        there = getattr(config, name)
        if name not in (*RESIZED, *FREE) and value != there:
            raise UserError(
                f"model.{name} is {value!r}, but the encoder in {source} has "
                f"{there!r}, another shape; leave it out"
            )
    return dataclasses.replace(config, **changes)


def fit(
    model: PortableModel, config: BertConfig, tokens: Sequence[str]
) -> PortableModel:
    """Makes weights fit a config and a vocabulary.

    Args:
      model: the weights.
      config: what is wanted.
      tokens: what ids stand for from now on: the model's own tokens, or
        those followed by new ones.

    Raises:
      UserError: the shapes differ, or ids stand for other tokens.
    """
    free = {*RESIZED, *FREE}
    differences = [
        f"{name} {value!r} there, {getattr(config, name)!r} here"
        for name, value in model.config.to_dict().items()
        if name not in free and value != getattr(config, name)
    ]
    if differences:
        raise UserError(
            f"the weights of {model.source} are of another shape: "
            + "; ".join(differences)
            + ". Leave those settings out to take the ones of the weights"
        )
    model = extend_vocabulary(model, tokens)
    model = resize_positions(model, config.max_position_embeddings)
    return dataclasses.replace(model, config=config)


def extend_vocabulary(
    model: PortableModel, tokens: Sequence[str]
) -> PortableModel:
    """Adds rows for the tokens behind those that the model knows.

    Rows that stand for no token, as in tables padded to a multiple of 64, go.

    A new row of the token table, and a new element of the masked-LM bias, is
    the mean of those of the old pieces that the token was written with (as in
    Minixhofer et al. 2022, "WECHSEL", section 2, for "subwords of the source
    tokenizer"). Characters that the old vocabulary does not know at all get
    the mean of the whole table.

    Args:
      model: with its vocabulary, or without and of the same size.
      tokens: the new vocabulary; begins with the old one.

    Raises:
      UserError: it does not begin with the old one.
    """
    tokens = tuple(tokens)
    old = model.vocabulary.tokens if model.vocabulary else None
    size = model.config.vocab_size
    if len(tokens) == size and old in (None, tokens):
        return model
    if old is None or tokens[: len(old)] != old:
        raise UserError(
            f"wanted weights for the vocabulary of the data ({len(tokens)} "
            f"tokens), got {model.source}, "
            + (
                f"whose vocab.txt ({len(old)} tokens) is another"
                if old
                else f"which has {size} rows and no vocab.txt"
            )
            + f"; build the data with `tfbert records --vocab "
            f"{model.source}/vocab.txt`, or "
            "with a vocabulary that `tfbert vocab --extend` made of it"
        )
    ids = {token: index for index, token in enumerate(old)}
    pieces = [_pieces(token, ids) for token in tokens[len(old) :]]
    tensors = dict(model.tensors)
    for name in (_TOKENS, _BIAS):
        if name in tensors:
            tensors[name] = _with_means(tensors[name][: len(old)], pieces)
    return dataclasses.replace(
        model,
        tensors=tensors,
        config=dataclasses.replace(model.config, vocab_size=len(tokens)),
        vocabulary=dataclasses.replace(model.vocabulary, tokens=tokens),
        notes=(*model.notes, *_resizing_notes(size - len(old), pieces)),
    )


def _resizing_notes(padding: int, pieces: list[list[int]]) -> list[str]:
    notes = []
    if padding:
        notes.append(f"{padding} rows that stand for no token left out")
    if pieces:
        unknown = sum(not found for found in pieces)
        note = f"{len(pieces)} tokens added: rows are the mean of their old "
        note += "pieces"
        if unknown:
            note += f" ({unknown} of unknown characters: the mean of all rows)"
        notes.append(note)
    return notes


def _pieces(token: str, ids: dict[str, int]) -> list[int]:
    """The old pieces of a new token, longest match first; [] if unknown."""
    prefix = CONTINUATION if token.startswith(CONTINUATION) else ""
    rest = token.removeprefix(CONTINUATION)
    found = []
    while rest:
        for end in range(len(rest), 0, -1):
            if prefix + rest[:end] in ids:
                break
        else:
            return []
        found.append(ids[prefix + rest[:end]])
        prefix, rest = CONTINUATION, rest[end:]
    return found


def _with_means(old: np.ndarray, pieces: list[list[int]]) -> np.ndarray:
    mean = old.mean(axis=0, keepdims=True)
    rows = [
        old[found].mean(axis=0, keepdims=True) if found else mean
        for found in pieces
    ]
    return np.concatenate([old, *rows]).astype(old.dtype)


def resize_positions(model: PortableModel, length: int) -> PortableModel:
    """Cuts the position table, or lengthens it by copies of itself.

    Position i beyond the old end starts as position i modulo the old length,
    which keeps what attention knows of neighbours (Beltagy et al. 2020,
    "Longformer", section 5). Sequences that fit both tables give the same
    outputs before and after.

    Args:
      model: the weights.
      length: rows of the new table.
    """
    old = model.config.max_position_embeddings
    if length == old:
        return model
    tensors = dict(model.tensors)
    if _POSITIONS in tensors:
        places = np.arange(length) % old
        tensors[_POSITIONS] = tensors[_POSITIONS][places]
    how = "cut" if length < old else "lengthened by copies"
    return dataclasses.replace(
        model,
        tensors=tensors,
        config=dataclasses.replace(
            model.config, max_position_embeddings=length
        ),
        notes=(*model.notes, f"position table {how}: {old} -> {length}"),
    )
