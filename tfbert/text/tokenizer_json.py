"""tokenizer.json of the library `tokenizers`, read as BERT's or refused."""

from collections.abc import Iterable
from pathlib import Path

from tfbert.errors import UserError
from tfbert.json_files import read_json
from tfbert.text.vocabulary_files import (
    CLS,
    CONTINUATION,
    MAX_WORD_CHARACTERS,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    check_vocabulary,
)


def read(path: Path, obeyed: bool) -> tuple[list[str], bool]:
    """Tokens, and whether text is lower-cased.

    Args:
      path: of the file.
      obeyed: whether the special tokens are put where this file says;
        BertTokenizer always puts them where BERT has them.

    Raises:
      UserError: the file is broken, or is not BERT's tokenizer.
    """
    content = read_json(path)
    parts = {
        name: _part(path, content, name)
        for name in ("model", "normalizer", "pre_tokenizer", "post_processor")
    }
    model, normalizer = parts["model"], parts["normalizer"]
    lowercase = normalizer.get("lowercase")
    wanted = {
        "model.type": (model.get("type", "WordPiece"), "WordPiece"),
        "model.unk_token": (model.get("unk_token"), UNK),
        "model.continuing_subword_prefix": (
            model.get("continuing_subword_prefix"),
            CONTINUATION,
        ),
        "model.max_input_chars_per_word": (
            model.get("max_input_chars_per_word"),
            MAX_WORD_CHARACTERS,
        ),
        "normalizer.type": (normalizer.get("type"), "BertNormalizer"),
        "normalizer.clean_text": (normalizer.get("clean_text"), True),
        "normalizer.handle_chinese_chars": (
            normalizer.get("handle_chinese_chars"),
            True,
        ),
        "normalizer.lowercase": (lowercase, lowercase is True),
        "pre_tokenizer.type": (
            parts["pre_tokenizer"].get("type"),
            "BertPreTokenizer",
        ),
    }
    if normalizer.get("strip_accents") is not None:
        wanted["normalizer.strip_accents"] = (
            normalizer["strip_accents"],
            lowercase,
        )
    for name, (there, needed) in wanted.items():
        if type(there) is not type(needed) or there != needed:
            raise UserError(
                f"{path}: {name} is {there!r}; a BERT tokenizer has "
                f"{needed!r}, and other ids would spoil the model"
            )
    if obeyed:
        _check_order(path, parts["post_processor"])
    return _tokens(path, content, model.get("vocab")), lowercase


def _part(path: Path, content: dict, name: str) -> dict:
    part = content.get(name) or {}
    if not isinstance(part, dict):
        raise UserError(f"{path}: {name} is {part!r:.60}, wanted an object")
    return part


def refuse_added(path: Path, tokens: Iterable) -> None:
    """Refuses tokens that are looked for in text before it is tokenized.

    Hugging Face finds them wherever they stand, also inside of words, and
    takes them out first. Here text is text.

    Raises:
      UserError: one is none of BERT's five.
    """
    strange = [repr(token) for token in tokens if token not in SPECIAL_TOKENS]
    if strange:
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise UserError(
            f"{path}: added tokens {', '.join(strange[:5])}{more}; Hugging "
            "Face finds them in text before it is tokenized, our tokenizer "
            "does not, and other ids would spoil the model. If no text holds "
            "them, leave them in the vocabulary and take them out of the "
            "added and special tokens, in a copy of the folder"
        )


def _tokens(path: Path, content: dict, vocab: object) -> list[str]:
    try:
        ids = dict(vocab)
        added = {
            item["content"]: item["id"]
            for item in content.get("added_tokens") or []
        }
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(f"{path}: the vocabulary is broken: {error!r}") from (
            error
        )
    refuse_added(path, added)
    ids |= added
    if any(type(index) is not int for index in ids.values()):
        raise UserError(f"{path}: the vocabulary is broken: ids are no numbers")
    tokens = sorted(ids, key=ids.get)
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise UserError(
            f"{path}: the ids of the tokens are not 0, 1, 2, ...; tokens "
            "are missing or two have one id"
        )
    check_vocabulary(tokens, str(path))
    return tokens


def _check_order(path: Path, processor: dict) -> None:
    """[CLS] a [SEP] and [CLS] a [SEP] b [SEP], segments 0 and 1."""
    kind = processor.get("type")
    sound = kind == "BertProcessing" and (
        _first(processor.get("cls")) == CLS
        and _first(processor.get("sep")) == SEP
    )
    if kind == "TemplateProcessing":
        single = [(CLS, 0), ("A", 0), (SEP, 0)]
        pair = [*single, ("B", 1), (SEP, 1)]
        sound = (
            _template(processor.get("single")) == single
            and _template(processor.get("pair")) == pair
        )
    if not sound:
        raise UserError(
            f"{path}: the post_processor {kind!r} does not make BERT's input, "
            f"{CLS} a {SEP} and {CLS} a {SEP} b {SEP}; other ids would spoil "
            "the model"
        )


def _first(pair: object) -> object:
    return pair[0] if isinstance(pair, list) and pair else None


def _template(pieces: object) -> list | None:
    try:
        values = [next(iter(piece.values())) for piece in pieces]
        return [(value["id"], value["type_id"]) for value in values]
    except (AttributeError, TypeError, KeyError, StopIteration):
        return None
