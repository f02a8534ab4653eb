"""What a folder says about its tokenizer: one strict reader for all.

`vocab.txt`, `tokenizer.json`, `tokenizer_config.json` and the smaller files
of Hugging Face say the same thing several times. What they say has to agree,
and has to be BERT's tokenization as `tfbert.Tokenizer` does it: anything else
would give other ids, and nobody would notice.

Hugging Face's `BertTokenizer` makes its normalizer from
tokenizer_config.json, and does not look at the one of tokenizer.json; the
classes that only wrap the library `tokenizers` do the opposite. So a setting
that is missing in one of them is not always said by the other.
"""

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE
from tfbert.json_files import read_json
from tfbert.text import tokenizer_json
from tfbert.text.tokenizer_json import refuse_added
from tfbert.text.vocabulary_files import (
    CLS,
    CONTINUATION,
    MASK,
    PAD,
    SEP,
    UNK,
    read_vocabulary,
    vocabulary_text,
)

VOCABULARY_FILE = "vocab.txt"
SETTINGS_FILE = "tokenizer_config.json"
TOKENIZER_FILE = "tokenizer.json"
ADDED_FILE = "added_tokens.json"
SPECIAL_FILE = "special_tokens_map.json"
ROLES = {
    "unk_token": UNK,
    "sep_token": SEP,
    "pad_token": PAD,
    "cls_token": CLS,
    "mask_token": MASK,
}
# Classes of transformers that tokenize as BERT's, by tokenizer_config.json.
_BERT_CLASSES = tuple(
    name + suffix
    for name in ("Bert", "DistilBert", "Electra", "MobileBert")
    for suffix in ("Tokenizer", "TokenizerFast")
)
# Those that do what tokenizer.json says, and need one.
_FILE_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")
# Setting -> what BERT's tokenization has; None where nothing is said.
_WANTED = {
    "tokenize_chinese_chars": (True, None),
    "do_basic_tokenize": (True, None),
    "clean_text": (True, None),
    "never_split": (None, []),
    "wordpieces_prefix": (CONTINUATION, None),
    "word_tokenizer_type": ("basic", None),
    "subword_tokenizer_type": ("wordpiece", None),
    "truncation_side": ("right", None),
}
# transformers' "no limit" is 1e30.
_NO_LIMIT = 1 << 31


@dataclasses.dataclass(frozen=True)
class TokenizerSettings:
    """What a folder's files say.

    Attributes:
      tokens: in the order of their ids.
      lowercase: lower case and no accents; None where no file says it.
      max_length: tokens of a sequence that are read; None: no limit.
      special_tokens_in_text: ours: a literal "[MASK]" is the special token.
    """

    tokens: tuple[str, ...]
    lowercase: bool | None
    max_length: int | None = None
    special_tokens_in_text: bool = False


def write(
    folder: str | os.PathLike,
    tokens: Sequence[str],
    settings: Mapping[str, bool],
) -> None:
    """Writes vocab.txt and tokenizer_config.json into `folder`.

    Args:
      settings: as `Tokenizer.settings`.
    """
    folder = Path(folder)
    files.write_file(folder / VOCABULARY_FILE, vocabulary_text(tokens))
    content = dict(settings)
    content["do_lower_case"] = content.pop("lowercase")
    text = json.dumps(content, indent=2) + "\n"
    files.write_file(folder / SETTINGS_FILE, text)


def read(folder: Path) -> TokenizerSettings | None:
    """Reads a folder of ours or of Hugging Face; None without a vocabulary.

    Raises:
      UserError: the files are broken, contradict each other, or describe
        something else than BERT's tokenizer; the message names file and
        setting.
    """
    settings, uses_file = _check_settings(folder)
    lowercase = _boolean(folder / SETTINGS_FILE, settings, "do_lower_case")
    tokens = None
    if (folder / TOKENIZER_FILE).is_file():
        tokens, fast = tokenizer_json.read(
            folder / TOKENIZER_FILE, obeyed=uses_file
        )
        lowercase = _one_case(folder, lowercase, fast, uses_file)
    if (folder / VOCABULARY_FILE).is_file():
        tokens = _one_vocabulary(folder, tokens)
    if tokens is None:
        return None
    _check_accents(folder / SETTINGS_FILE, settings, lowercase)
    return TokenizerSettings(
        tuple(tokens),
        lowercase,
        _max_length(folder / SETTINGS_FILE, settings),
        _boolean(folder / SETTINGS_FILE, settings, "special_tokens_in_text")
        or False,
    )


def read_case(folder: Path) -> bool | None:
    """do_lower_case beside a vocabulary of another name; None: not said.

    Raises:
      UserError: the settings are broken, or describe something else than
        BERT's tokenizer.
    """
    settings, _ = _check_settings(folder)
    path = folder / SETTINGS_FILE
    lowercase = _boolean(path, settings, "do_lower_case")
    _check_accents(path, settings, lowercase)
    return lowercase


def _check_settings(folder: Path) -> tuple[dict, bool]:
    """tokenizer_config.json, checked; whether tokenizer.json is obeyed."""
    path, settings = folder / SETTINGS_FILE, {}
    if path.is_file():
        try:
            settings = read_json(path)
        except UserError as error:
            raise UserError(
                f"{error}. The file says whether the vocabulary is uncased: "
                '{"do_lower_case": true} or false'
            ) from error
    for name, allowed in _WANTED.items():
        value = settings.get(name)
        if not _is_one_of(value, allowed):
            said = [repr(item) for item in allowed if item is not None]
            raise UserError(
                f"{path}: {name} is {value!r}; our tokenizer can do "
                f"{' or '.join(said)} only, and other ids would spoil the "
                "model"
            )
    _check_roles(path, settings)
    for file in (SPECIAL_FILE, ADDED_FILE):
        if (folder / file).is_file():
            content = read_json(folder / file)
            if file == SPECIAL_FILE:
                _check_roles(folder / file, content)
            else:
                refuse_added(folder / file, content)
    return settings, _check_class(folder, path, settings)


def _is_one_of(value: object, allowed: Iterable) -> bool:
    # 1 == True, and "1.0" would be another thing again.
    return any(type(value) is type(x) and value == x for x in allowed)


def _check_roles(path: Path, settings: dict) -> None:
    """The special tokens are BERT's five, and there are no others."""
    for role, token in ROLES.items():
        there = _content(settings.get(role, token))
        if there not in (token, None):
            raise UserError(f"{path}: {role} is {there!r}, wanted {token!r}")
    others = [
        _content(value)
        for name, value in settings.items()
        if name.endswith("_token") and isinstance(value, str | dict)
    ]
    for name in ("additional_special_tokens", "extra_special_tokens"):
        value = settings.get(name) or []
        items = value.values() if isinstance(value, dict) else value
        if not isinstance(value, list | dict):
            raise UserError(f"{path}: {name} is {value!r}, wanted a list")
        others += map(_content, items)
    decoder = settings.get("added_tokens_decoder") or {}
    if not isinstance(decoder, dict):
        raise UserError(
            f"{path}: added_tokens_decoder is {decoder!r}, wanted an object"
        )
    refuse_added(path, [*others, *map(_content, decoder.values())])


def _content(item: object) -> object:
    """The text of a token that may be spelt with its options."""
    return item.get("content") if isinstance(item, dict) else item


def _check_class(folder: Path, path: Path, settings: dict) -> bool:
    """Whether the class does what tokenizer.json says."""
    config = {}
    if (folder / CONFIG_FILE).is_file():
        config = read_json(folder / CONFIG_FILE)
    name = settings.get("tokenizer_class")
    if name is None and config.get("tokenizer_class") is not None:
        path, name = folder / CONFIG_FILE, config["tokenizer_class"]
    if name is not None and not _is_one_of(
        name, (*_BERT_CLASSES, *_FILE_CLASSES)
    ):
        raise UserError(
            f"{path}: tokenizer_class is {name!r}; our tokenizer is that of "
            f"{', '.join(_BERT_CLASSES[:2])}, and other ids would spoil the "
            "model"
        )
    for file, content in ((SETTINGS_FILE, settings), (CONFIG_FILE, config)):
        code = content.get("auto_map")
        if isinstance(code, dict) and "AutoTokenizer" in code:
            raise UserError(
                f"{folder / file}: auto_map has a tokenizer of its own, in "
                "code, which we do not run"
            )
    return name in _FILE_CLASSES


def _boolean(path: Path, settings: dict, name: str) -> bool | None:
    value = settings.get(name)
    if name in settings and type(value) is not bool:
        raise UserError(
            f"{path}: {name} is {value!r}, wanted {name} true or false"
        )
    return value


def _one_case(
    folder: Path, said: bool | None, fast: bool, uses_file: bool
) -> bool:
    """do_lower_case, which tokenizer.json and its settings have to agree on."""
    if said is not None and said != fast:
        raise UserError(
            f"{folder}: {SETTINGS_FILE} says do_lower_case {said}, "
            f"{TOKENIZER_FILE} says lowercase {fast}; find out which is right "
            "and change the other"
        )
    if said is None and not fast and not uses_file:
        # BertTokenizer lower-cases here, the library tokenizers does not.
        raise UserError(
            f"{folder}: {TOKENIZER_FILE} says lowercase False, and "
            f"{SETTINGS_FILE} says nothing, where Hugging Face's "
            "BertTokenizer lower-cases all the same; find out which is right "
            f"and put do_lower_case true or false into {SETTINGS_FILE}"
        )
    return fast


def _one_vocabulary(folder: Path, fast: list[str] | None) -> list[str]:
    plain = read_vocabulary(folder / VOCABULARY_FILE)
    if fast is not None and plain != fast:
        raise UserError(
            f"{folder}: {VOCABULARY_FILE} ({len(plain)} tokens) and "
            f"{TOKENIZER_FILE} ({len(fast)}) are two vocabularies; "
            "remove the wrong one"
        )
    return plain


def _check_accents(path: Path, settings: dict, lowercase: bool | None) -> None:
    """Accents go exactly where text is lower-cased."""
    value = settings.get("strip_accents")
    # Where nothing is said Hugging Face lower-cases.
    wanted = True if lowercase is None else lowercase
    if not _is_one_of(value, (None, wanted)):
        raise UserError(
            f"{path}: strip_accents is {value!r}; our tokenizer can do "
            f"{wanted} only where do_lower_case is {wanted}, and other ids "
            "would spoil the model"
        )


def _max_length(path: Path, settings: dict) -> int | None:
    for name in ("model_max_length", "max_len"):
        value = settings.get(name)
        if value is None:
            continue
        if type(value) not in (int, float) or not value >= 2:
            raise UserError(
                f"{path}: {name} is {value!r}, wanted a number of tokens"
            )
        return int(value) if value < _NO_LIMIT else None
    return None


def require_case(settings: TokenizerSettings, folder: Path) -> bool:
    """Whether text is lower-cased, which a file has to say.

    Raises:
      UserError: none does.
    """
    if settings.lowercase is None:
        path = folder / SETTINGS_FILE
        missing = (
            ""
            if path.exists()
            else (
                ", but there is no such file: copy the one that `tfbert vocab` "
                'wrote beside the vocabulary, or write {"do_lower_case": true} '
                "(or false) into it"
            )
        )
        raise UserError(
            f"{path}: wanted do_lower_case true or false; it says whether the "
            f"vocabulary is uncased{missing}"
        )
    return settings.lowercase
