"""Sentences with a tag for each word: CoNLL columns and JSON Lines."""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tfbert.errors import UserError
from tfbert.tag_scheme import SCHEMES
from tfrecords.labelled.files import json_lines
from tfrecords.labelled.files.columns import ragged, read_blocks
from tfrecords.labelled.files.tags import IllegalTag, detect_scheme, to_bio
from tfrecords.labelled.files.text import ending

# The line of each word, words, tags.
_Sentence = tuple[list[int], list[str], list[str]]


@dataclass(frozen=True)
class TaggedSentences:
    """Sentences of one file.

    Attributes:
      path: the file.
      words: the words of each sentence.
      tags: a tag for each word, BIO, or plain tags.
      scheme: what the tags were written in, one of `tag_scheme.SCHEMES`.
      word_lines: the line of each word.
    """

    path: Path
    word_lines: list[list[int]]
    words: list[list[str]]
    tags: list[list[str]]
    scheme: str

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def lines(self) -> list[int]:
        """The line of each sentence's first word."""
        return [lines[0] for lines in self.word_lines]

    @property
    def has_spans(self) -> bool:
        """Whether the tags are BIO."""
        return self.scheme != "plain"

    def inputs(self) -> list[tuple[str, ...]]:
        """The words of each sentence, to compare and to print."""
        return [tuple(words) for words in self.words]

    def where(self, sentence: int, word: int = 0) -> str:
        """`file:line` of a word, for messages."""
        return f"{self.path}:{self.word_lines[sentence][word]}"


def read_sentences(
    path: str | os.PathLike,
    token_column: int | str = 0,
    tag_column: int | str = -1,
    separator: str = "whitespace",
    scheme: str | None = None,
) -> TaggedSentences:
    """Reads a file of CoNLL columns, or of JSON Lines (.jsonl).

    Columns: a word a line, an empty line after each sentence; see
    `tfrecords.labelled.files.columns` for what is left out.

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
    is_json = ending(path) in json_lines.ENDINGS
    if is_json:
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
    raw = TaggedSentences(path, lines, words, tags, scheme)
    bio = [_bio(raw, index) for index in range(len(raw))]
    return replace(raw, tags=bio)


def _bio(sentences: TaggedSentences, index: int) -> list[str]:
    try:
        return to_bio(sentences.tags[index], sentences.scheme)
    except IllegalTag as error:
        raise UserError(
            f"{sentences.where(index, error.place)}: illegal tag: {error}. "
            "Mend the tag, or say the file's scheme with data.tag_scheme "
            f"({', '.join(SCHEMES)})."
        ) from error


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
    for rows in read_blocks(path, separator, columns[0]):
        found: _Sentence = ([], [], [])
        for line, cells in rows:
            if width is None:
                width = len(cells)
                _check_columns(path, line, columns, width)
            if len(cells) != width:
                raise ragged(path, (line, cells), width, "the first line")
            word, tag = (cells[column].strip(" \t") for column in columns)
            if not word or not tag:
                raise UserError(
                    f"{path}:{line}: the {'tag' if word else 'word'} is "
                    "empty. Mend the line."
                )
            for part, value in zip(found, (line, word, tag), strict=True):
                part.append(value)
        yield found


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


def _json_sentences(
    path: Path, token_key: str, tag_key: str
) -> Iterator[_Sentence]:
    for line, row in json_lines.read_objects(path):
        where = f"{path}:{line}"
        words = json_lines.string_list(where, row, token_key)
        tags = json_lines.string_list(where, row, tag_key)
        if len(words) != len(tags):
            raise UserError(
                f"{where}: {len(words)} {token_key}, but {len(tags)} "
                f"{tag_key}. Each word has one tag."
            )
        yield [line] * len(words), words, tags
