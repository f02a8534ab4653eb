"""Whether a vocabulary is for uncased text, and the file that says so.

`tfbert vocab` writes tokenizer_config.json beside the vocabulary, as Hugging
Face does. Where others left it out, the tokens tell: text that is lower-cased
never gives a capital, and a cased text hardly ever gives none.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from tfbert import files
from tfbert.errors import UserError
from tfbert.json_files import read_json
from tfbert.text import tokenizer_settings
from tfbert.text.vocabulary_files import SPECIAL_TOKENS, read_vocabulary

# Published uncased vocabularies have no capitals, or a stray one.
_CASED_SHARE = 0.01
# So many tokens of letters that have a case, all of them small, are no chance.
_MANY_LETTERS = 1000


def is_lowercase(tokens: Sequence[str]) -> bool | None:
    """Whether tokens are of an uncased vocabulary; None where they do not say.

    They do not where hardly any token has a letter with a case, as in Thai.
    """
    small = capitals = 0
    for token in tokens:
        if token in SPECIAL_TOKENS or token.startswith("[unused"):
            continue
        capitals += token != token.lower()
        small += token != token.upper() and token == token.lower()
    if capitals > _CASED_SHARE * len(tokens):
        return False
    return True if small >= _MANY_LETTERS else None


def tokens_and_case(path: str | os.PathLike) -> tuple[list[str], bool | None]:
    """Tokens of a vocabulary, and whether they are for uncased text.

    Args:
      path: a vocab.txt, or a folder that has one; a tokenizer_config.json
        beside it counts more than the tokens.

    Returns:
      (tokens, True for uncased, False for cased, None where nobody says).

    Raises:
      UserError: the vocabulary or the settings beside it cannot be read.
    """
    path = Path(path)
    file, folder = path, path.parent
    if path.is_dir():
        file, folder = path / tokenizer_settings.VOCABULARY_FILE, path
    settings = None
    if file.name == tokenizer_settings.VOCABULARY_FILE:
        settings = tokenizer_settings.read(folder)
    if settings is not None:
        tokens, lowercase = list(settings.tokens), settings.lowercase
    else:
        tokens = read_vocabulary(file)
        lowercase = tokenizer_settings.read_case(folder)
    return tokens, is_lowercase(tokens) if lowercase is None else lowercase


def check_case(
    path: str | os.PathLike, lowercase: bool | None, asked: bool | None
) -> bool:
    """The case that text is to be given for a vocabulary.

    Args:
      path: of the vocabulary, for the message.
      lowercase: what the vocabulary says, see `tokens_and_case`.
      asked: what the user says; None: nothing.

    Returns:
      True for lower case without accents; also where nobody says.

    Raises:
      UserError: the two contradict each other.
    """
    if None not in (lowercase, asked) and lowercase != asked:
        is_now, cure = (
            ("uncased", "leave --cased out (and --lowercase at true)")
            if lowercase
            else ("cased", "give --cased, or leave --lowercase out")
        )
        raise UserError(
            f"{path} is a vocabulary for {is_now} text, and the text would "
            f"not be: {cure}, or take another vocabulary"
        )
    known = lowercase if asked is None else asked
    return True if known is None else known


def check_case_file(vocabulary: Path, lowercase: bool) -> None:
    """Looks whether the case of a new vocabulary can be written beside it.

    Raises:
      UserError: tokenizer_config.json is there and says otherwise, of another
        vocabulary.
    """
    said = tokenizer_settings.read_case(vocabulary.parent)
    if said not in (None, lowercase):
        raise UserError(
            f"{vocabulary.parent / tokenizer_settings.SETTINGS_FILE} says "
            f"do_lower_case {str(said).lower()} of another vocabulary, and "
            f"{vocabulary.name} is to be "
            f"{'uncased' if lowercase else 'cased'}. Give an --output in "
            "another folder"
        )


def write_case(vocabulary: Path, lowercase: bool) -> None:
    """Writes tokenizer_config.json beside a vocabulary, or leaves what is so.

    What others have written into the file stays.
    """
    folder = vocabulary.parent
    if tokenizer_settings.read_case(folder) == lowercase:
        return
    path, settings = folder / tokenizer_settings.SETTINGS_FILE, {}
    if path.is_file():
        settings = read_json(path)
    settings["do_lower_case"] = lowercase
    files.write_file(path, json.dumps(settings, indent=2) + "\n")
