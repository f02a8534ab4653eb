"""A tokenizer's files as Hugging Face keeps them, read and written.

`vocab.txt`, `tokenizer.json` and `tokenizer_config.json` say the same thing
three times; what they say has to agree, and has to be BERT's tokenization.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from tfbert.converters.model import Vocabulary
from tfbert.errors import UserError
from tfbert.vocabulary import (
    CLS,
    CONTINUATION,
    MASK,
    MAX_WORD_CHARACTERS,
    PAD,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    read_vocabulary,
)

VOCABULARY_FILE = "vocab.txt"
SETTINGS_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
_ROLES = {
    "unk_token": UNK,
    "sep_token": SEP,
    "pad_token": PAD,
    "cls_token": CLS,
    "mask_token": MASK,
}
# Published uncased vocabularies have no capitals, or a stray one.
_CASED_SHARE = 0.01


def read_json(path: Path) -> dict:
    """The object in a JSON file.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise UserError(
            f"wanted a JSON object in {path}, got {type(content).__name__}"
        )
    return content


def looks_lowercase(tokens: Sequence[str]) -> bool:
    """Whether a vocabulary of unknown origin is for uncased text."""
    capitals = sum(
        token != token.lower()
        and token not in SPECIAL_TOKENS
        and not token.startswith("[unused")
        for token in tokens
    )
    return capitals <= _CASED_SHARE * len(tokens)


def read(folder: Path) -> Vocabulary | None:
    """The vocabulary of a Hugging Face folder; None where it has none.

    Raises:
      UserError: the files contradict each other, or describe something else
        than BERT's tokenizer.
    """
    settings = {}
    if (folder / SETTINGS_FILE).is_file():
        settings = read_json(folder / SETTINGS_FILE)
        _check_settings(folder / SETTINGS_FILE, settings)
    lowercase = settings.get("do_lower_case")
    tokens = None
    if (folder / TOKENIZER_FILE).is_file():
        tokens, fast_lowercase = _read_fast(folder / TOKENIZER_FILE)
        if lowercase is not None and lowercase != fast_lowercase:
            raise UserError(
                f"{folder}: {SETTINGS_FILE} says do_lower_case "
                f"{lowercase}, {TOKENIZER_FILE} says lowercase "
                f"{fast_lowercase}; find out which is right and change the "
                "other"
            )
        lowercase = fast_lowercase
    if (folder / VOCABULARY_FILE).is_file():
        plain = read_vocabulary(folder / VOCABULARY_FILE)
        if tokens is not None and plain != tokens:
            raise UserError(
                f"{folder}: {VOCABULARY_FILE} ({len(plain)} tokens) and "
                f"{TOKENIZER_FILE} ({len(tokens)}) are two vocabularies; "
                "remove the wrong one"
            )
        tokens = plain
    if tokens is None:
        return None
    # Where nothing is said Hugging Face lower-cases.
    return Vocabulary(tuple(tokens), True if lowercase is None else lowercase)


def _check_settings(path: Path, settings: dict) -> None:
    lowercase = settings.get("do_lower_case", True)
    wanted = {
        "do_lower_case": (True, False),
        "tokenize_chinese_chars": (True,),
        "do_basic_tokenize": (True,),
        "strip_accents": (None, lowercase),
        "never_split": (None, []),
    }
    for name, allowed in wanted.items():
        if name in settings and settings[name] not in allowed:
            raise UserError(
                f"{path}: {name} is {settings[name]!r}; our tokenizer can do "
                f"{' or '.join(map(repr, allowed))} only, and other ids would "
                "spoil the model"
            )
    for role, token in _ROLES.items():
        there = settings.get(role, token)
        there = there.get("content") if isinstance(there, dict) else there
        if there not in (token, None):
            raise UserError(f"{path}: {role} is {there!r}, wanted {token!r}")


def _read_fast(path: Path) -> tuple[list[str], bool]:
    """Tokens and lowercase of a tokenizer.json."""
    content = read_json(path)
    model = content.get("model") or {}
    normalizer = content.get("normalizer") or {}
    splitter = content.get("pre_tokenizer") or {}
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
        "pre_tokenizer.type": (splitter.get("type"), "BertPreTokenizer"),
    }
    if normalizer.get("strip_accents") is not None:
        wanted["normalizer.strip_accents"] = (
            normalizer["strip_accents"],
            lowercase,
        )
    for name, (there, needed) in wanted.items():
        if there != needed:
            raise UserError(
                f"{path}: {name} is {there!r}; a BERT tokenizer has "
                f"{needed!r}, and other ids would spoil the model"
            )
    return _tokens_of(path, content), bool(lowercase)


def _tokens_of(path: Path, content: dict) -> list[str]:
    ids = content["model"].get("vocab")
    added = content.get("added_tokens") or []
    try:
        ids = dict(ids) | {item["content"]: item["id"] for item in added}
        tokens = sorted(ids, key=ids.get)
    except (TypeError, KeyError, ValueError) as error:
        raise UserError(f"{path}: the vocabulary is broken: {error!r}") from (
            error
        )
    if [ids[token] for token in tokens] != list(range(len(tokens))):
        raise UserError(
            f"{path}: the ids of the tokens are not 0, 1, 2, ...; tokens "
            "are missing or two have one id"
        )
    return tokens


def files(
    vocabulary: Vocabulary, max_length: int, max_tokens: int | None = None
) -> dict[str, str]:
    """The tokenizer's files for Hugging Face, name -> text.

    Args:
      vocabulary: tokens and case.
      max_length: longest sequence of the model.
      max_tokens: fewer, where a text shall be cut earlier.
    """
    settings = {
        "do_lower_case": vocabulary.lowercase,
        "do_basic_tokenize": True,
        "never_split": None,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "model_max_length": min(max_length, max_tokens or max_length),
        **_ROLES,
    }
    return {
        VOCABULARY_FILE: "".join(token + "\n" for token in vocabulary.tokens),
        SETTINGS_FILE: as_json(settings),
        "special_tokens_map.json": as_json(_ROLES),
        TOKENIZER_FILE: fast_tokenizer(vocabulary).to_str(pretty=False),
    }


def as_json(content: dict) -> str:
    """JSON text of a file."""
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def fast_tokenizer(vocabulary: Vocabulary) -> tokenizers.Tokenizer:
    """BERT's tokenizer of the library `tokenizers`."""
    ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(
            ids,
            unk_token=UNK,
            max_input_chars_per_word=MAX_WORD_CHARACTERS,
        )
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=True,
        strip_accents=None,
        lowercase=vocabulary.lowercase,
    )
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = tokenizers.decoders.WordPiece(prefix=CONTINUATION)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single=f"{CLS}:0 $A:0 {SEP}:0",
        pair=f"{CLS}:0 $A:0 {SEP}:0 $B:1 {SEP}:1",
        special_tokens=[(CLS, ids[CLS]), (SEP, ids[SEP])],
    )
    tokenizer.add_special_tokens(
        sorted(SPECIAL_TOKENS, key=lambda token: ids[token])
    )
    return tokenizer
