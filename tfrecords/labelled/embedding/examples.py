"""Texts that are compared: pairs, triples, scored pairs, or texts alone.

Legend: N examples, T texts of one, S sequence.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfrecords.labelled.encoded import (
    Encode,
    Encoded,
    WindowRows,
    encode_texts,
    rows_of,
)
from tfrecords.labelled.files import tables
from tfrecords.labelled.files.scores import read_scores
from tfrecords.labelled.files.text import ending, read_text

# Form -> T.
FORMS = {"pairs": 2, "triples": 3, "scored": 2, "texts": 1}
# What columns are called where nobody says.
TEXT, LABEL = "text", "label"
PAIRS = (
    ("text_a", "text_b"),
    ("sentence1", "sentence2"),
    ("anchor", "positive"),
    ("query", "positive"),
    ("question1", "question2"),
    ("question", "answer"),
)
NEGATIVES = ("text_c", "negative", "hard_negative")
SCORES = (LABEL, "score", "similarity", "similarity_score")


@dataclass(frozen=True)
class Columns:
    """Which columns are read, and as what.

    Attributes:
      form: one of FORMS.
      texts: T names, or numbers from 0 where the file has no header.
      score: that of scored pairs.
    """

    form: str
    texts: tuple[str, ...]
    score: str | None = None


@dataclass(frozen=True)
class Examples:
    """Texts of one file.

    Attributes:
      path: the file they came from.
      lines: the line of each example in it.
      texts: T texts for each.
      scores: float32 [N] of scored pairs, else None.
      columns: what was read.
      form: how the file was read, for the user.
    """

    path: Path
    lines: list[int]
    texts: list[tuple[str, ...]]
    scores: np.ndarray | None
    columns: Columns
    form: str

    def __len__(self) -> int:
        return len(self.lines)

    def inputs(self) -> list[tuple[str, ...]]:
        """The texts of each example, to compare and to print."""
        return self.texts


def read_examples(
    path: str | os.PathLike,
    text_columns: Sequence[str] = (TEXT,),
    label_column: str = LABEL,
    form: str | None = None,
    reading: tables.Reading = tables.BY_LOOKING,
) -> Examples:
    """Reads texts to compare; what is not said is found by the columns.

    Args:
      path: a table, or a .txt file with a text in each line.
      text_columns: of anchor, positive and hard negative. ("text",), or
        columns that the file does not have: by looking, PAIRS and NEGATIVES.
      label_column: of the scores; "label": by looking, SCORES.
      form: one of FORMS; None: by the columns that there are.
      reading: how the file is read.

    Raises:
      UserError: as `tables.read_table`; no columns of that form; a score that
        is no number; with file and line.
    """
    path = Path(path)
    if form is not None and form not in FORMS:
        raise UserError(f"wanted data.form of {', '.join(FORMS)}, got {form!r}")
    if ending(path) == ".txt" and form in (None, "texts"):
        return _lines(path)
    names = tables.column_names(path, reading)
    columns = _columns(path, names, list(text_columns), label_column, form)
    wanted = [*columns.texts, *filter(None, [columns.score])]
    if len(set(wanted)) < len(wanted):
        raise UserError(
            "texts and score should come from different columns, not "
            f"{', '.join(wanted)}."
        )
    table = tables.read_table(path, wanted, reading=reading)
    described = f"{columns.form}; text: {', '.join(columns.texts)}"
    scores = None
    if columns.score is not None:
        scores = read_scores(
            table.columns[columns.score],
            table.where,
            "Pairs without scores are learnt with data.form pairs.",
        )
        described += f"; score: {columns.score}"
    cells = [table.columns[name] for name in columns.texts]
    return Examples(
        path,
        table.lines,
        list(zip(*cells, strict=True)),
        scores,
        columns,
        f"{table.form}; {described}",
    )


def _lines(path: Path) -> Examples:
    """A text in each line that is not empty."""
    found = [
        (number, line.removesuffix("\r"))
        for number, line in enumerate(read_text(path).split("\n"), start=1)
        if line.strip()
    ]
    if not found:
        raise UserError(f"{path}: the file has no lines with text.")
    return Examples(
        path,
        [number for number, _ in found],
        [(line,) for _, line in found],
        None,
        Columns("texts", (TEXT,)),
        f"{path}: texts, one a line",
    )


def _columns(
    path: Path,
    names: Sequence[str],
    texts: list[str],
    label: str,
    form: str | None,
) -> Columns:
    """What is read of a file that has the columns `names`."""
    known = all(name in names or name.isdecimal() for name in texts)
    if texts == [TEXT] and TEXT not in names or not known:
        found = [pair for pair in PAIRS if set(pair) <= set(names)]
        if not found:
            shown = ", ".join(name[:30] for name in names[:20])
            raise UserError(
                f"{path}: wanted the columns {', '.join(texts)}, or those of "
                f"pairs ({' or '.join(' and '.join(p) for p in PAIRS)}), got "
                f"{shown}; name them in data.text_columns, by number from 0 "
                "where there is no header"
            )
        more = [name for name in NEGATIVES if name in names]
        texts = [*found[0], *more[:1]]
    score = _score_column(names, label) if len(texts) == 2 else None
    natural = {1: "texts", 2: "scored" if score else "pairs", 3: "triples"}
    if len(texts) not in natural:
        raise UserError(
            "wanted one to three text columns (a text, a pair, a triple), got "
            f"{len(texts)}: {', '.join(texts)}"
        )
    form = form or natural[len(texts)]
    if form == "scored" and len(texts) == 3:
        texts, score = texts[:2], _score_column(names, label)
    missing = len(texts) < FORMS[form] or (form == "scored" and not score)
    if missing:
        raise UserError(
            f"{path}: data.form {form} wants {FORMS[form]} text columns"
            f"{' and one of scores' * (form == 'scored')}, got "
            f"{', '.join(texts)}; name them in data.text_columns and "
            "data.label_column"
        )
    return Columns(
        form, tuple(texts[: FORMS[form]]), score if form == "scored" else None
    )


def _score_column(names: Sequence[str], label: str) -> str | None:
    """The column of scores, if there is one."""
    if label != LABEL:
        return label if label in names or label.isdecimal() else None
    return next((name for name in SCORES if name in names), None)


def encode(
    examples: Examples,
    encode_text: Encode,
    max_length: int,
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Encoded:
    """Tokenizes all texts.

    Args:
      examples: as read.
      encode_text: a tokenizer's `encode`.
      max_length: longer texts are truncated.
      lowest, highest: the scores that become 0 and 1.

    Returns:
      Columns of tokens [N, T, S], text_keys int32 [N, T] (see `text_keys`)
      and, of scored pairs, scores float32 [N].
    """
    count = len(examples.texts[0])
    texts = [text for some in examples.texts for text in some]
    encoded = encode_texts(texts, None, encode_text, max_length)
    keys = text_keys(encoded.columns["input_ids"])
    encoded = encoded.with_texts(len(examples), count)
    encoded.columns["text_keys"] = keys.reshape(-1, count)
    if examples.scores is not None:
        scores = (examples.scores - lowest) / (highest - lowest)
        encoded.columns["scores"] = scores.astype(np.float32)
    return encoded


def text_keys(input_ids: np.ndarray | WindowRows) -> np.ndarray:
    """A number for each text's ids [N, S], int32 [N]; of equal ones the same.

    So texts are equal where a model cannot tell them apart: in case, for
    one, or behind the last token that is read.
    """
    numbers: dict[bytes, int] = {}
    rows = np.ascontiguousarray(rows_of(input_ids))
    texts = iter(rows)
    if isinstance(input_ids, WindowRows):
        ends = np.cumsum(input_ids.counts)
        texts = np.split(rows, ends[:-1])
    return np.array(
        [numbers.setdefault(text.tobytes(), len(numbers)) for text in texts],
        np.int32,
    )
