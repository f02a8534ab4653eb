"""Retrieval sets: queries, a corpus, and which document answers which query.

The folders of BEIR (Thakur et al. 2021): queries.jsonl and corpus.jsonl, an
object a line with "_id" and "text" (and "title"), and qrels/NAME.tsv with a
head and the columns query, document and grade.

Legend: Q queries, C documents, R = Q + C rows, S sequence.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.embedding.examples import text_keys
from tfrecords.labelled.encoded import Encode, Encoded, encode_texts
from tfrecords.labelled.files import json_lines
from tfrecords.labelled.files.text import read_text

QUERIES, CORPUS, QRELS = "queries.jsonl", "corpus.jsonl", "qrels"
# Of several files of answers.
_FIRST = "test.tsv"


@dataclass(frozen=True)
class Retrieval:
    """What is searched, and what should be found.

    Attributes:
      path: the file of answers.
      query_ids: of the queries that have an answer.
      queries: their texts.
      lines: their lines in queries.jsonl.
      document_ids: of the corpus.
      documents: their texts, the title before.
      relevant: for each query, place of a document -> its grade, above 0.
      form: what was read, for the user.
    """

    path: Path
    query_ids: list[str]
    queries: list[str]
    lines: list[int]
    document_ids: list[str]
    documents: list[str]
    relevant: list[dict[int, float]]
    form: str

    def __len__(self) -> int:
        return len(self.queries)

    def inputs(self) -> list[tuple[str, ...]]:
        """The queries, to compare and to print."""
        return [(text,) for text in self.queries]


def is_retrieval(path: str | os.PathLike) -> bool:
    """Whether a path is such a folder, or a file of answers in one."""
    path = Path(path)
    return path.is_dir() or path.parent.name == QRELS


def read_retrieval(path: str | os.PathLike) -> Retrieval:
    """Reads a folder, with qrels/test.tsv or the one file that there is.

    Args:
      path: the folder; or one of its files in qrels/.

    Raises:
      UserError: a file is missing or broken, or ids do not meet; with file
        and line.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent.parent
    answers = _answers_file(folder) if path.is_dir() else path
    queries = _read_texts(folder / QUERIES)
    corpus = _read_texts(folder / CORPUS)
    places = {name: place for place, name in enumerate(corpus)}
    relevant: dict[str, dict[int, float]] = {}
    for line, cells in _rows(answers):
        where = f"{answers}:{line}"
        query, document, grade = _row(where, cells)
        for name, known, file in (
            (query, queries, QUERIES),
            (document, places, CORPUS),
        ):
            if name not in known:
                raise UserError(
                    f"{where}: the id {name!r} is not in {folder / file}, "
                    f"whose ids are such as {next(iter(known))!r}; the files "
                    "of a folder belong together"
                )
        if grade > 0:
            relevant.setdefault(query, {})[places[document]] = grade
    if not relevant:
        raise UserError(f"{answers}: no row with a grade above 0")
    return Retrieval(
        answers,
        list(relevant),
        [queries[name][1] for name in relevant],
        [queries[name][0] for name in relevant],
        list(corpus),
        [text for _, text in corpus.values()],
        list(relevant.values()),
        f"{answers}: {len(relevant):,} queries with answers among "
        f"{len(corpus):,} documents",
    )


def _answers_file(folder: Path) -> Path:
    found = sorted((folder / QRELS).glob("*.tsv"))
    if folder / QRELS / _FIRST in found:
        return folder / QRELS / _FIRST
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise UserError(
            f"wanted {QUERIES}, {CORPUS} and {QRELS}/{_FIRST} in {folder}, "
            f"got the files of answers {names}; give one of them, as "
            f"{folder / QRELS / 'NAME.tsv'}"
        )
    return found[0]


def _read_texts(path: Path) -> dict[str, tuple[int, str]]:
    """Id -> (line, text)."""
    if not path.is_file():
        raise UserError(
            f"there is no file {path}; wanted {QUERIES}, {CORPUS} and "
            f"{QRELS}/ in a folder for retrieval"
        )
    found: dict[str, tuple[int, str]] = {}
    for line, row in json_lines.read_objects(path):
        where, name, text = f"{path}:{line}", row.get("_id"), row.get("text")
        title = row.get("title") or ""
        if not all(isinstance(value, str) for value in (name, text, title)):
            raise UserError(
                f"{where}: wanted strings under _id and text, got the keys "
                f"{', '.join(row)}"
            )
        if name in found:
            raise UserError(f"{where}: the id {name!r} occurs twice")
        whole = json_lines.check_text(where, "text", f"{title} {text}")
        found[name] = (line, whole.strip())
    if not found:
        raise UserError(f"{path}: the file has no lines")
    return found


def _rows(path: Path):
    """(line, cells) of all lines but the head."""
    if not path.is_file():
        raise UserError(f"there is no file {path}")
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if line > 1 and text.strip():
            yield line, text.removesuffix("\r").split("\t")


def _row(where: str, cells: list[str]) -> tuple[str, str, float]:
    try:
        query, document, grade = cells
        return query, document, float(grade)
    except ValueError:
        raise UserError(
            f"{where}: wanted query, document and a number apart by tabs, got "
            f"{' | '.join(cells)[:60]!r}"
        ) from None


def encode(
    examples: Retrieval, encode_text: Encode, max_length: int
) -> Encoded:
    """Tokenizes queries and documents, in this order.

    Returns:
      Columns of tokens [R, 1, S] and text_keys int32 [R, 1].
    """
    texts = [*examples.queries, *examples.documents]
    encoded = encode_texts(texts, None, encode_text, max_length)
    keys = text_keys(encoded.columns["input_ids"])
    encoded = encoded.with_texts(len(texts), 1)
    encoded.columns["text_keys"] = keys[:, None]
    return encoded
