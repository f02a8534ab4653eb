"""Sentences with predicates and their arguments (PropBank, CoNLL-2005/2012).

Columns, apart by tabs or spaces: word, lemma of the predicate ("-" where the
word is none), and then, from some column on, one column of bracketed spans for
each predicate of the sentence, in the order of the predicates:

    Birds   -      (ARG0*)
    sing    sing   (V*)
    old     -      (ARG1*
    songs   -      *)

Or JSON Lines, an object for each sentence:

    {"tokens": ["Birds", "sing"],
     "predicates": [{"index": 1, "tags": ["B-ARG0", "B-V"]}]}
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files.columns import (
    Row,
    ragged,
    read_blocks,
    separator_of,
)
from tfrecords.labelled.files.json_lines import (
    ENDINGS,
    read_objects,
    string_list,
)
from tfrecords.labelled.files.tags import IllegalTag, to_bio
from tfrecords.labelled.files.text import ending

_SPAN = re.compile(r"(?:\(([^\s()*]+))?\*(\)?)")
_NO_PREDICATE = ("-", "_", "")

# A predicate: place of its word, BIO tags of the sentence.
_Predicate = tuple[int, list[str]]
# The line of each word, words, predicates.
_Sentence = tuple[list[int], list[str], list[_Predicate]]


@dataclass(frozen=True)
class RoleExamples:
    """An example for each predicate of each sentence.

    Attributes:
      path: the file.
      sentence_lines: the line of each sentence's first word.
      words: the words of each sentence, those without predicates included.
      sentences: for each example the place of its sentence in `words`.
      predicates: for each example the place of the predicate's word.
      tags: for each example a BIO tag for each word, "V" for the predicate.
      lines: for each example the line of its predicate.
    """

    path: Path
    sentence_lines: list[int]
    words: list[list[str]]
    sentences: list[int]
    predicates: list[int]
    tags: list[list[str]]
    lines: list[int]

    def __len__(self) -> int:
        return len(self.tags)

    def inputs(self) -> list[tuple[str, ...]]:
        """Place of the predicate and words of each example, to compare."""
        return [
            (str(predicate), *self.words[sentence])
            for sentence, predicate in zip(
                self.sentences, self.predicates, strict=True
            )
        ]

    def predicate_tags(self) -> list[list[str]]:
        """For each sentence B-V at its predicates, O elsewhere."""
        tags = [["O"] * len(words) for words in self.words]
        for sentence, predicate in zip(
            self.sentences, self.predicates, strict=True
        ):
            tags[sentence][predicate] = "B-V"
        return tags


def read_roles(
    path: str | os.PathLike,
    token_column: int = 0,
    predicate_column: int = 1,
    first_role_column: int = 2,
) -> RoleExamples:
    """Reads a file of columns, or of JSON Lines (.jsonl).

    Columns as in the module's docstring, apart by tabs if the first line has
    one, else by white space; further ones are not read. What else is left out
    says `tfrecords.labelled.files.columns`.

    Args:
      path: the file, UTF-8.
      token_column: the word's column, from 0.
      predicate_column: the column that is "-" where the word is no predicate.
      first_role_column: the first predicate's column of spans.

    Raises:
      UserError: no such file, not UTF-8, no predicate; a line with other
        columns than its sentence, another number of predicates than of
        columns, brackets that do not match, a predicate that is no word of
        the sentence, an illegal tag; with file and line.
    """
    path = Path(path)
    if ending(path) in ENDINGS:
        sentences = list(_json_sentences(path))
    else:
        columns = (token_column, predicate_column, first_role_column)
        blocks = read_blocks(path, separator_of(path), token_column)
        sentences = [_column_sentence(path, rows, columns) for rows in blocks]
    examples = RoleExamples(path, [], [], [], [], [], [])
    for sentence, (lines, words, predicates) in enumerate(sentences):
        examples.sentence_lines.append(lines[0])
        examples.words.append(words)
        for place, tags in predicates:
            examples.sentences.append(sentence)
            examples.predicates.append(place)
            examples.tags.append(tags)
            examples.lines.append(lines[place])
    if not len(examples):
        raise UserError(f"{path}: the file has no predicate.")
    return examples


def _column_sentence(
    path: Path, rows: list[Row], columns: tuple[int, int, int]
) -> _Sentence:
    token, predicate, role = columns
    least = max(token, predicate, role - 1) + 1
    first, width = rows[0][0], len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            of = "the sentence's first line"
            raise ragged(path, (line, cells), width, of)
        if width < least:
            raise UserError(
                f"{path}:{line}: {width} columns, but at least {least} were "
                "wanted. Set data.token_column, data.predicate_column and "
                "data.first_role_column."
            )
        if not cells[token].strip(" \t"):
            raise UserError(f"{path}:{line}: the word is empty.")
    places = [
        place
        for place, (_, cells) in enumerate(rows)
        if cells[predicate].strip() not in _NO_PREDICATE
    ]
    if len(places) != width - role:
        raise UserError(
            f"{path}:{first}: the sentence has {len(places)} predicates in "
            f"column {predicate}, but {width - role} columns of spans from "
            f"column {role} on."
        )
    return (
        [line for line, _ in rows],
        [cells[token] for _, cells in rows],
        [
            (place, _span_tags(path, [(n, c[column]) for n, c in rows]))
            for column, place in enumerate(places, start=role)
        ],
    )


def _span_tags(path: Path, rows: list[tuple[int, str]]) -> list[str]:
    """BIO tags of a column of bracketed spans, (line, cell) each."""
    tags: list[str] = []
    label = None
    for line, cell in rows:
        match = _SPAN.fullmatch(cell.strip())
        if (
            match is None
            or (match[1] and label)
            or (match[2] and not (match[1] or label))
        ):
            raise UserError(
                f"{path}:{line}: {cell!r} is no part of a column of spans "
                "here: (ROLE* begins one, * goes on, *) ends it, (ROLE*) is "
                "a span of one word; spans do not cross or nest."
            )
        begins = match[1] is not None
        label = match[1] or label
        tags.append(f"{'B' if begins else 'I'}-{label}" if label else "O")
        if match[2]:
            label = None
    if label:
        raise UserError(
            f"{path}:{rows[-1][0]}: the span {label} is not "
            "closed when its sentence ends."
        )
    return tags


def _json_sentences(path: Path) -> Iterator[_Sentence]:
    for line, row in read_objects(path):
        where = f"{path}:{line}"
        words = string_list(where, row, "tokens")
        given = row.get("predicates")
        if not isinstance(given, list):
            raise UserError(
                f"{where}: 'predicates' should be a list of objects with the "
                "keys index and tags."
            )
        predicates = [
            _json_predicate(f"{where}: predicates[{number}]", words, item)
            for number, item in enumerate(given)
        ]
        yield [line] * len(words), words, predicates


def _json_predicate(where: str, words: list[str], item) -> _Predicate:
    if not isinstance(item, dict):
        raise UserError(f"{where} should be an object with index and tags.")
    place = item.get("index")
    if (
        not isinstance(place, int)
        or isinstance(place, bool)
        or not 0 <= place < len(words)
    ):
        raise UserError(
            f"{where}: index {place!r} is out of range; the sentence has "
            f"{len(words)} words, 0 to {len(words) - 1}."
        )
    tags = string_list(where, item, "tags")
    if len(tags) != len(words):
        raise UserError(f"{where}: {len(tags)} tags for {len(words)} words.")
    try:
        return place, to_bio(tags, "IOB2")
    except IllegalTag as error:
        raise UserError(
            f"{where}: tags[{error.place}] is illegal: {error}."
        ) from error
