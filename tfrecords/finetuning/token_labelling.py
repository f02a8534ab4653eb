"""Sentences with a tag for each word: CoNLL columns and JSON Lines."""

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfbert.tag_scheme import SCHEMES
from tfrecords.finetuning import tables
from tfrecords.finetuning.tag_schemes import (
    IllegalTag,
    detect_scheme,
    to_bio,
)

SEPARATORS = ("whitespace", "tab")
_DOCUMENT = "-DOCSTART-"
# "# O" is a word with its tag; but no cell of a word begins with "# ", and
# "# sent_id = 1" is how CoNLL-U comments.
_COMMENT = {"whitespace": re.compile("# \\S+ ="), "tab": re.compile("# ")}

# Line of the first word, words, tags.
_Sentence = tuple[int, list[str], list[str]]


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences of one file.

    Attributes:
      path: the file.
      lines: the line of each sentence's first word.
      words: the words of each sentence.
      tags: a tag for each word, BIO, or plain tags.
      scheme: what the tags were written in, one of `tag_scheme.SCHEMES`.
      lines_per_word: 1 where each word has a line of its own, else 0.
    """

    path: Path
    lines: list[int]
    words: list[list[str]]
    tags: list[list[str]]
    scheme: str
    lines_per_word: int = 1

    def __len__(self) -> int:
        return len(self.words)

    @property
    def has_spans(self) -> bool:
        """Whether the tags are BIO."""
        return self.scheme != "plain"

    def inputs(self) -> list[tuple[str, ...]]:
        """The words of each sentence, to compare and to print."""
        return [tuple(words) for words in self.words]

    def where(self, sentence: int, word: int = 0) -> str:
        """`file:line` of a word, for messages."""
        line = self.lines[sentence] + self.lines_per_word * word
        return f"{self.path}:{line}"


def read_sentences(
    path: str | os.PathLike,
    token_column: int | str = 0,
    tag_column: int | str = -1,
    separator: str = "whitespace",
    scheme: str | None = None,
) -> TaggedSentences:
    """Reads a file of CoNLL columns, or of JSON Lines (.jsonl).

    Columns: a word a line, an empty line after each sentence. A line with
    the word -DOCSTART- is left out, and so are, before a sentence, lines
    that begin with "#" and have not as many columns as the file, or look
    like "# key = value" (columns apart by tabs: begin with "# ").

    JSON Lines: {"tokens": [...], "tags": [...]} a line; other keys are
    ignored. Where the columns are names, they are the keys.

    Args:
      path: the file, UTF-8.
      token_column: the word's column, from 0; negative: from the last.
      tag_column: the tag's column, or key.
      separator: "whitespace" (spaces and tabs) or "tab".
      scheme: of the tags, one of SCHEMES; None: what they look like.

    Raises:
      UserError: no such file, not UTF-8, no sentence, a line with other
        columns than the first, an empty word or tag, a tag that is illegal
        in the scheme, a setting that does not exist; with file and line.
    """
    path = Path(path)
    if scheme is not None and scheme not in SCHEMES:
        raise UserError(
            f"wanted a scheme of {', '.join(SCHEMES)} or none, got {scheme!r}"
        )
    json_lines = path.suffix == ".jsonl"
    if json_lines:
        keys = (
            token_column if isinstance(token_column, str) else "tokens",
            tag_column if isinstance(tag_column, str) else "tags",
        )
        sentences = list(_json_sentences(path, *keys))
    else:
        columns = (token_column, tag_column)
        sentences = list(_column_sentences(path, columns, separator))
    if not sentences:
        raise UserError(f"{path}: the file has no sentence.")
    lines, words, tags = map(list, zip(*sentences, strict=True))
    scheme = scheme or detect_scheme(tags)
    step = 0 if json_lines else 1
    raw = TaggedSentences(path, lines, words, tags, scheme, step)
    bio = [_bio(raw, index) for index in range(len(raw))]
    return TaggedSentences(path, lines, words, bio, scheme, step)


def _bio(sentences: TaggedSentences, index: int) -> list[str]:
    try:
        return to_bio(sentences.tags[index], sentences.scheme)
    except IllegalTag as error:
        raise UserError(
            f"{sentences.where(index, error.place)}: illegal tag: {error}. "
            "Mend the tag, or say the file's scheme with data.tag_scheme "
            f"({', '.join(SCHEMES)})."
        ) from error


def read_blocks(
    path: Path, separator: str
) -> Iterator[tuple[int, list[list[str]]]]:
    """The sentences of a file of columns: (line of the first word, rows).

    Raises:
      UserError: an unknown separator; see `tables.read_text`.
    """
    if separator not in SEPARATORS:
        raise UserError(
            f"wanted a separator of {', '.join(SEPARATORS)}, got {separator!r}"
        )
    rows: list[list[str]] = []
    width, first = None, 1
    lines = tables.read_text(path).split("\n")
    lines.append("")
    for number, line in enumerate(lines, start=1):
        line = line.removesuffix("\r")
        if not line.strip(" \t"):
            if rows:
                yield first, rows
            rows = []
            continue
        cells = _cells(line, separator)
        if line.startswith("#") and not rows:
            width = width or _width(lines, separator)
            if len(cells) != width or _COMMENT[separator].match(line):
                continue
        if not rows:
            first = number
        rows.append(cells)


def _cells(line: str, separator: str) -> list[str]:
    if separator == "tab":
        return line.split("\t")
    # Not str.split(): it also parts at no-break and ideographic spaces,
    # which may be part of a word.
    return re.split("[ \t]+", line.strip(" \t"))


def _width(lines: Sequence[str], separator: str) -> int:
    """Columns of the first line that is certainly none of comment."""
    for line in lines:
        line = line.removesuffix("\r")
        if line.strip(" \t") and not line.startswith("#"):
            return len(_cells(line, separator))
    return 0


def _column_sentences(
    path: Path, columns: tuple[int | str, int | str], separator: str
) -> Iterator[_Sentence]:
    for column in columns:
        if not isinstance(column, int):
            raise UserError(
                f"{path}: columns have numbers, from 0; got {column!r}. Only "
                ".jsonl files have names."
            )
    width = None
    for first, rows in read_blocks(path, separator):
        words: list[str] = []
        tags: list[str] = []
        start = first
        for line, cells in enumerate(rows, start=first):
            if width is None:
                width = len(cells)
                _check_columns(path, line, columns, width)
            if cells[0] == _DOCUMENT:
                if words:
                    yield start, words, tags
                words, tags, start = [], [], line + 1
                continue
            if len(cells) != width:
                raise UserError(
                    f"{path}:{line}: {len(cells)} columns, but the first line "
                    f"has {width}. Mend the line; an empty line ends a "
                    "sentence."
                )
            word, tag = (cells[column] for column in columns)
            if not word.strip() or not tag.strip():
                raise UserError(
                    f"{path}:{line}: the {'tag' if word.strip() else 'word'} "
                    "is empty. Mend the line."
                )
            words.append(word)
            tags.append(tag)
        if words:
            yield start, words, tags


def _check_columns(
    path: Path, line: int, columns: tuple[int, int], width: int
) -> None:
    for column in columns:
        if not -width <= column < width:
            raise UserError(
                f"{path}:{line}: there is no column {column}; the line has "
                f"{width}, from 0 on. Set data.token_column, data.tag_column "
                "and data.separator."
            )
    if columns[0] % width == columns[1] % width:
        raise UserError(
            f"{path}:{line}: word and tag would both come from column "
            f"{columns[0] % width} of {width}. Set data.token_column, "
            "data.tag_column and data.separator."
        )


def json_objects(path: Path) -> Iterator[tuple[int, dict]]:
    """(line, object) for each line of a .jsonl file that is not empty.

    Raises:
      UserError: a line is no JSON object; see `tables.read_text`.
    """
    for line, source in enumerate(tables.read_text(path).split("\n"), start=1):
        if not source.strip():
            continue
        try:
            row = json.loads(source)
        except (json.JSONDecodeError, RecursionError) as error:
            raise UserError(
                f"{path}:{line}: not a JSON object: {error}."
            ) from error
        if not isinstance(row, dict):
            raise UserError(
                f"{path}:{line}: a JSON object was wanted, not {source[:40]!r}."
            )
        yield line, row


def string_list(where: str, row: dict, key: str) -> list[str]:
    """The list of strings under `key`.

    Raises:
      UserError: there is none, or a string is empty or no text.
    """
    value = row.get(key)
    if not isinstance(value, list) or not value:
        near = ", ".join(tables.nearest_first(key, list(row))[:5])
        raise UserError(
            f"{where}: {key!r} should be a list of strings; the keys are "
            f"{near or 'none'}."
        )
    for place, item in enumerate(value):
        if not isinstance(item, str) or not item.strip():
            raise UserError(
                f"{where}: {key}[{place}] should be a string that is not "
                f"empty, not {json.dumps(item)[:40]}."
            )
        if re.search("[\ud800-\udfff]", item):
            raise UserError(
                f"{where}: {key}[{place}] holds half of a surrogate pair "
                "(such as \\ud83d alone), which no UTF-8 text can."
            )
    return value


def _json_sentences(
    path: Path, token_key: str, tag_key: str
) -> Iterator[_Sentence]:
    for line, row in json_objects(path):
        where = f"{path}:{line}"
        words = string_list(where, row, token_key)
        tags = string_list(where, row, tag_key)
        if len(words) != len(tags):
            raise UserError(
                f"{where}: {len(words)} {token_key}, but {len(tags)} "
                f"{tag_key}. Each word has one tag."
            )
        yield line, words, tags
