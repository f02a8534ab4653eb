"""A tokenizer's files as Hugging Face keeps them, read and written.

`vocab.txt`, `tokenizer.json` and `tokenizer_config.json` say the same thing
three times; what they say has to agree, and has to be BERT's tokenization.
"""

import json
from pathlib import Path

import tokenizers

from tfbert.errors import UserError
from tfbert.text import tokenizer_settings
from tfbert.text.tokenizer_settings import (
    ROLES,
    SETTINGS_FILE,
    SPECIAL_FILE,
    TOKENIZER_FILE,
    VOCABULARY_FILE,
)
from tfbert.text.vocabulary_case import is_lowercase
from tfbert.text.vocabulary_files import (
    CLS,
    CONTINUATION,
    MAX_WORD_CHARACTERS,
    SEP,
    SPECIAL_TOKENS,
    UNK,
    vocabulary_text,
)
from tfbert.weights.portable_model import Vocabulary


def read(folder: Path) -> tuple[Vocabulary | None, list[str]]:
    """The vocabulary of a Hugging Face folder, and notes on it.

    Raises:
      UserError: the files contradict each other, or describe something else
        than BERT's tokenizer; or nobody says whether a vocabulary that has
        capitals is cased.
    """
    settings = tokenizer_settings.read(folder)
    if settings is None:
        return None, ["the folder has no tokenizer"]
    lowercase = settings.lowercase
    if lowercase is None and is_lowercase(settings.tokens) is False:
        raise UserError(
            f"{folder}: the vocabulary has capitals, and no file says "
            "do_lower_case, where Hugging Face lower-cases; put "
            f'{{"do_lower_case": false}} into {SETTINGS_FILE}, or true if the '
            "model was trained so"
        )
    # Where nothing is said Hugging Face lower-cases.
    return Vocabulary(
        settings.tokens,
        True if lowercase is None else lowercase,
        settings.max_length,
    ), []


def files(
    vocabulary: Vocabulary, longest: int, max_tokens: int | None = None
) -> dict[str, str]:
    """The tokenizer's files for Hugging Face, name -> text.

    Args:
      vocabulary: tokens and case.
      longest: sequence of the model.
      max_tokens: fewer, where a text shall be cut earlier.
    """
    limits = (longest, vocabulary.max_length, max_tokens)
    settings = {
        "do_lower_case": vocabulary.lowercase,
        "do_basic_tokenize": True,
        "never_split": None,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "tokenizer_class": "BertTokenizer",
        "model_max_length": min(filter(None, limits)),
        **ROLES,
    }
    return {
        VOCABULARY_FILE: vocabulary_text(vocabulary.tokens),
        SETTINGS_FILE: as_json(settings),
        SPECIAL_FILE: as_json(ROLES),
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
