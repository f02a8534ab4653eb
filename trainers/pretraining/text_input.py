"""Text in files or in memory -> vocabulary and records for one run."""

import dataclasses
import glob
import hashlib
import json
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from tfbert import files
from tfbert.converters import sources
from tfbert.errors import UserError
from tfbert.text.tokenizer_settings import VOCABULARY_FILE
from tfbert.text.vocabulary_case import check_case, tokens_and_case, write_case
from tfbert.text.vocabulary_files import vocabulary_text
from tfbert.vocabulary.learning import VocabularySettings, learn_vocabulary
from tfbert.vocabulary.mixture import WordMixture
from tfbert.vocabulary.word_counts import WordCounts, count_words
from tfrecords.build.build import BuildSettings, build_records
from tfrecords.layout import MANIFEST_FILE
from tfrecords.text.corpus import Corpus, Reading
from tfrecords.text.files import find_files
from tfrecords.text.remote import is_remote

_log = logging.getLogger(__name__)
_WANTED = (
    "a folder of records, a file, folder or pattern of text files, a list of "
    "these, or a list of texts"
)
# Different words that are counted in memory.
_WORDS = 8_000_000


@dataclasses.dataclass(frozen=True)
class TextInput:
    """How text becomes records; see `pretrain` for the fields."""

    vocab: str | os.PathLike | None = None
    vocab_size: int = 8192
    max_length: int = 128
    lowercase: bool | None = None
    held_out: float | str | os.PathLike | None = None

    @property
    def share(self) -> float:
        """The share of documents that is held out.

        Raises:
          UserError: it is neither a share nor a folder.
        """
        share = self.held_out
        if share is None or isinstance(share, str | os.PathLike):
            return 0.0
        if not isinstance(share, int | float) or not 0 <= share < 1:
            raise UserError(
                "wanted held_out to be a share from 0 to below 1 or a folder "
                f"of records, got {share!r}"
            )
        return float(share)


def records_of(
    data: object, how: TextInput, folder: Path, init_from: str | None
) -> str:
    """The folder of records with what `data` holds.

    Records of text are made in FOLDER, once: of the same text in the same way
    they are there already.

    Args:
      data: see `pretrain`.
      how: how text becomes records.
      folder: where they are made.
      init_from: whose vocabulary to take, if `how` names none.

    Raises:
      UserError: it is nothing of the kind, or empty.
    """
    if isinstance(data, str | os.PathLike):
        path = os.fspath(data)
        if is_remote(path) or is_records(Path(path)):
            return path
    inputs = _inputs(data, folder)
    facts = [inputs, _stamps(inputs), dataclasses.astuple(how), init_from]
    text = json.dumps(facts, default=os.fspath)
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    output = folder / f"records-{digest[:12]}"
    if (output / MANIFEST_FILE).is_file():
        return str(output)
    vocab = _vocabulary(inputs, how, output.with_suffix(".vocab"), init_from)
    tokens, known = tokens_and_case(str(vocab))
    settings = BuildSettings(
        input=inputs,
        vocab=str(vocab),
        output=str(output),
        max_length=how.max_length,
        lowercase=check_case(str(vocab), known, how.lowercase),
        held_out=how.share,
        # Further processes would run a script that calls us once more.
        processes=1,
    )
    _log.info(f"Building records of {how.max_length} tokens in {output}")
    build_records(settings, lambda *_: None, tokens)
    return str(output)


def is_records(path: Path) -> bool:
    """Whether a folder is one of records, also of the 2018 format."""
    if not path.is_dir():
        return False
    if (path / MANIFEST_FILE).is_file():
        return True
    return any("tfrecord" in name for name in os.listdir(path))


def _inputs(data: object, folder: Path) -> list[str]:
    """Names of text files; texts in memory are written into one."""
    if isinstance(data, str | os.PathLike):
        names = [os.fspath(data)]
    elif isinstance(data, Iterable) and not isinstance(data, bytes | dict):
        names = list(data)
    else:
        raise UserError(f"wanted {_WANTED}, got {data!r:.60}")
    if not names:
        raise UserError(f"wanted {_WANTED}, got an empty list")
    for place, name in enumerate(names):
        if not isinstance(name, str | os.PathLike):
            raise UserError(
                f"wanted {_WANTED}, got {name!r:.60} at place {place} of the "
                "list"
            )
    alone = isinstance(data, str | os.PathLike)
    paths = [os.fspath(name) for name in names]
    if alone or any(isinstance(name, os.PathLike) for name in names):
        if alone and not _is_named(paths[0]):
            raise UserError(
                f"there is no file or folder {paths[0]!r:.80}; wanted {_WANTED}"
            )
        return paths
    if all(map(_is_named, paths)):
        return paths
    return [_written(paths, folder)]


def _is_named(name: str) -> bool:
    """Whether a text is the name of files that are there."""
    if len(name) > 4096 or "\n" in name or "\0" in name or not name.strip():
        return False
    return os.path.exists(name) or is_remote(name) or bool(glob.glob(name))


def _written(texts: Sequence[str], folder: Path) -> str:
    lines = [json.dumps({"text": text}) + "\n" for text in texts]
    content = "".join(lines)
    digest = hashlib.sha256(content.encode()).hexdigest()
    path = folder / f"text-{digest[:12]}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        files.write_file(path, content)
    return str(path)


def _stamps(inputs: list[str]) -> list:
    """What tells one state of local files from another."""
    stamps = []
    for path in find_files(inputs):
        if os.path.exists(path):
            about = os.stat(path)
            stamps.append([path, about.st_size, about.st_mtime_ns])
    return stamps


def _vocabulary(
    inputs: list[str], how: TextInput, folder: Path, init_from: str | None
) -> Path:
    """The vocab.txt of records."""
    if how.vocab is not None:
        path = Path(how.vocab)
        return path / VOCABULARY_FILE if path.is_dir() else path
    folder.mkdir(parents=True, exist_ok=True)
    if init_from is not None:
        sources.read_tokenizer(init_from).save(folder)
        return folder / VOCABULARY_FILE
    lowercase = how.lowercase is not False
    settings = VocabularySettings(size=how.vocab_size, lowercase=lowercase)
    corpus = Corpus(find_files(inputs), Reading(), lambda *_: None)
    _log.info(f"Learning a vocabulary of up to {how.vocab_size:,} tokens")
    with WordCounts(_WORDS) as counts:
        texts = (document.text for document in corpus)
        count_words(texts, lowercase, counts)
        mixture = WordMixture({"": counts}, settings.temperature)
        tokens = learn_vocabulary(mixture, settings)
    path = folder / VOCABULARY_FILE
    write_case(path, lowercase)
    files.write_file(path, vocabulary_text(tokens))
    return path
