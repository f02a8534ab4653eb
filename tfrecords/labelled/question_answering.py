"""Questions, contexts and answers of SQuAD's JSON and of JSON Lines.

SQuAD's form (Rajpurkar et al. 2016, 2018; DRCD, XQuAD, MLQA and others have
it): {"data": [{"title", "paragraphs": [{"context", "qas": [{"id", "question",
"answers": [{"text", "answer_start"}], "is_impossible"}]}]}]}. JSON Lines have
an object for each question: {"question", "context", "answers", "id"}.

An offset counts characters, that is code points, from the context's start.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tfbert.errors import UserError
from tfrecords.labelled.files.json_lines import (
    check_text,
    is_list,
    parse,
    read_objects,
    shown,
)
from tfrecords.labelled.files.text import ending, read_text

FORMATS = (".json", ".jsonl")


class Answer(NamedTuple):
    """A right answer: its words, and where they begin in the context."""

    text: str
    start: int

    @property
    def end(self) -> int:
        """The place after its last character."""
        return self.start + len(self.text)


@dataclass(frozen=True)
class Examples:
    """The questions of one file.

    Attributes:
      path: the file they came from.
      lines: the line of each question in JSON Lines; in SQuAD's form, which
        has no lines to speak of, its number in the file, from 1.
      ids: the id of each question.
      questions: what is asked.
      contexts: where the answer stands.
      answers: the right answers; none where the context holds none.
      misplaced: answers that were left out because they are not in their
        context at their offset.
      dropped: questions that were left out because no answer was left.
    """

    path: Path
    lines: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    answers: list[list[Answer]] = field(default_factory=list)
    misplaced: int = 0
    dropped: int = 0

    def __len__(self) -> int:
        return len(self.lines)

    def inputs(self) -> list[tuple[str, ...]]:
        """Question and context of each example, to compare and to print."""
        return list(zip(self.questions, self.contexts, strict=True))

    @property
    def unanswerable(self) -> int:
        """How many questions have no answer."""
        return sum(not answers for answers in self.answers)


class _Question(NamedTuple):
    """A question as it stands in a file: where, line, context and object."""

    where: str
    line: int
    context: object
    fields: Mapping[str, object]


def read_examples(
    path: str | os.PathLike, skip_misplaced: bool = False
) -> Examples:
    """Reads a .json file of SQuAD's form or a .jsonl file.

    Args:
      path: the file.
      skip_misplaced: leave answers out, and count them, that are not in their
        context at their offset, instead of stopping at the first.

    Raises:
      UserError: the file cannot be read or has another form; a question has
        no text or comes twice; an answer is not where it is said to be. It
        names the file and the line, or article, paragraph and question.
    """
    path = Path(path)
    form = ending(path)
    if form not in FORMATS:
        raise UserError(
            f"{path}: questions are read from files that end in .json (SQuAD's "
            "form, or a list) or .jsonl (an object for each question), not "
            f"{form or 'without an ending'!r}."
        )
    text = read_text(path)
    is_squad = form == ".json" and not is_list(path, text)
    read = _squad_questions if is_squad else _line_questions
    found = Examples(path)
    seen: dict[str, str] = {}
    misplaced = dropped = 0
    questions = list(read(path, text))
    ids = {str(q.fields["id"]) for q in questions if "id" in q.fields}
    for question in questions:
        where, fields = question.where, question.fields
        name = fields.get("id", _free_id(question.line, ids))
        _check_id(where, name, seen)
        seen[str(name)] = where
        asked = _text(where, "question", fields.get("question"))
        context = _text(where, "context", question.context)
        answers, given = _answers(where, fields, context, skip_misplaced)
        misplaced += given - len(answers)
        if given and not answers:
            dropped += 1
            continue
        found.lines.append(question.line)
        found.ids.append(str(name))
        found.questions.append(asked)
        found.contexts.append(context)
        found.answers.append(answers)
    if not found.lines:
        raise UserError(f"{path}: the file has no question to use.")
    return Examples(
        **{**vars(found), "misplaced": misplaced, "dropped": dropped}
    )


def _squad_questions(path: Path, text: str) -> Iterator[_Question]:
    whole = parse(f"{path}", text, of_lines=True)
    number = 0
    for i, article in enumerate(_list(f"{path}", whole, "data"), 1):
        where = f"{path}: article {i}"
        for j, paragraph in enumerate(_list(where, article, "paragraphs"), 1):
            place = f"{where}, paragraph {j}"
            for k, fields in enumerate(_list(place, paragraph, "qas"), 1):
                number += 1
                name = fields.get("id", k) if isinstance(fields, dict) else k
                _object(f"{place}, question {name}", fields)
                yield _Question(
                    f"{place}, question {name}",
                    number,
                    paragraph.get("context"),
                    fields,
                )


def _line_questions(path: Path, text: str) -> Iterator[_Question]:
    for line, fields in read_objects(path, text):
        yield _Question(f"{path}:{line}", line, fields.get("context"), fields)


def _check_id(where: str, name: object, seen: Mapping[str, str]) -> None:
    if not isinstance(name, str | int) or str(name) in seen:
        raise UserError(
            f"{where}: every question needs an id of its own, but "
            f"{shown(name)} "
            + (
                f"is that of {seen[str(name)]} too."
                if str(name) in seen
                else "is neither a string nor a whole number."
            )
        )


def _free_id(line: int, taken: set[str]) -> str:
    """An id for a question without one, other than those of the others."""
    name = str(line)
    while name in taken:
        name = f"without id {name}"
    return name


def _object(where: str, value: object) -> dict:
    if not isinstance(value, dict):
        raise UserError(
            f"{where}: a JSON object was wanted, not {shown(value)}."
        )
    return value


def _list(where: str, parent: object, key: str) -> list:
    value = _object(where, parent).get(key)
    if not isinstance(value, list):
        raise UserError(
            f'{where}: a list "{key}" was wanted, as in SQuAD\'s files; the '
            f"keys are: {', '.join(parent) or 'none'}."
        )
    return value


def _text(where: str, key: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f'{where}: "{key}" should be text, not {shown(value)}.')
    return check_text(where, f'"{key}"', value)


def _answers(
    where: str, fields: Mapping[str, object], context: str, skip: bool
) -> tuple[list[Answer], int]:
    """The answers that are in the context, and how many were given."""
    given = fields.get("answers")
    if isinstance(given, dict):
        # A column of each: the form of Hugging Face's data sets.
        texts, starts = given.get("text"), given.get("answer_start")
        given = None
        if isinstance(texts, list) and isinstance(starts, list):
            if len(texts) == len(starts):
                given = [
                    {"text": text, "answer_start": start}
                    for text, start in zip(texts, starts, strict=True)
                ]
    impossible = fields.get("is_impossible", False)
    if not isinstance(given, list) or (impossible and given):
        raise UserError(
            f'{where}: "answers" should be a list of objects with "text" and '
            '"answer_start", empty where there is no answer (and only there '
            '"is_impossible" may be true).'
        )
    found = []
    for answer in given:
        answer = _object(where, answer)
        text = _text(where, "text", answer.get("text"))
        start = answer.get("answer_start")
        if type(start) is not int:
            raise UserError(
                f'{where}: "answer_start" should be a whole number, not '
                f"{shown(start)}."
            )
        if start >= 0 and context.startswith(text, start):
            found.append(Answer(text, start))
        elif not skip:
            raise _misplaced(where, text, start, context)
    return found, len(given)


def _misplaced(where: str, text: str, start: int, context: str) -> UserError:
    there = context[max(start, 0) :][: len(text)]
    place = context.find(text)
    elsewhere = (
        "the context does not hold the answer at all"
        if place < 0
        else f"the answer stands at {place}"
    )
    return UserError(
        f"{where}: the answer {text[:40]!r} is not in its context at offset "
        f"{start}, where {there[:40]!r} stands; {elsewhere}. Mend the offset "
        "(it counts characters, not bytes), or leave such answers out and "
        "count them when training, with data.skip_misplaced_answers true."
    )
