"""Rows and their answers as lines of .jsonl, .csv or .tsv."""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tfbert.errors import UserError

FORMATS = (".jsonl", ".csv", ".tsv")
# Before the name of a column of answers that the input has already.
PREFIX = "predicted_"


class RowFormat:
    """Lines of a file: the input's columns, then those of the answers.

    Args:
      output: the file; its ending says the form.
      plain: whether cells of .tsv are written without quoting, as those of
        the input are.
      names: what an earlier one had under `names`; None: the first row says.

    Attributes:
      names: None before the first row; then {"columns": those of the input,
        "answers": name of an answer's column -> its name in the file}.

    Raises:
      UserError: another ending.
    """

    def __init__(self, output: Path, plain: bool, names: dict | None = None):
        self._ending = output.suffix.lower()
        if self._ending not in FORMATS:
            raise UserError(
                f"{output}: wanted an --output that ends in "
                f"{', '.join(FORMATS)}"
            )
        self._plain = plain and self._ending == ".tsv"
        self.names = names

    @property
    def renamed(self) -> dict[str, str]:
        """The columns of answers whose names the input has already."""
        answers = (self.names or {}).get("answers", {})
        return {old: new for old, new in answers.items() if old != new}

    def lines(
        self,
        where: Sequence[str],
        rows: Sequence[Mapping],
        answers: Sequence[Mapping],
    ) -> bytes:
        """The lines of rows, behind a header where they are the first.

        Args:
          where: each stands in the input, for messages.
          rows: all columns of each.
          answers: to each.

        Raises:
          UserError: a row has other columns than the first one.
        """
        if self._ending == ".jsonl":
            return b"".join(self._objects(where, rows, answers))
        text = io.StringIO()
        writer = self._writer(text)
        if self.names is None:
            first = _flat(answers[0])
            self._set_names(where[0], rows[0], first)
            writer.writerow(
                [*self.names["columns"], *self.names["answers"].values()]
            )
        columns, named = self.names["columns"], list(self.names["answers"])
        for place, row, answer in zip(where, rows, answers, strict=True):
            if list(row) != columns and set(row) != set(columns):
                raise UserError(
                    f"{place}: the columns {', '.join(row)}, but the first "
                    f"row has {', '.join(columns)}; write .jsonl, in which "
                    "rows may differ."
                )
            answer = _flat(answer)
            cells = [_cell(row[name]) for name in columns]
            cells += [_cell(answer[name]) for name in named]
            self._check_plain(place, cells)
            writer.writerow(cells)
        return text.getvalue().encode("utf-8", "backslashreplace")

    def _objects(self, where, rows, answers) -> Iterator[bytes]:
        if self.names is None:
            self._set_names(where[0], rows[0], answers[0])
        named = self.names["answers"]
        for place, row, answer in zip(where, rows, answers, strict=True):
            found = {named[name]: value for name, value in answer.items()}
            twice = sorted(row.keys() & found.keys())
            if twice:
                raise UserError(
                    f"{place}: has {twice[0]!r}, a column of the answers, "
                    "which the first row has not; rename it."
                )
            try:
                line = json.dumps({**row, **found}, ensure_ascii=False)
                yield line.encode("utf-8") + b"\n"
            except UnicodeEncodeError:  # Half of a surrogate pair.
                yield json.dumps({**row, **found}).encode() + b"\n"

    def _set_names(self, where: str, row: Mapping, answer: Mapping) -> None:
        columns = list(row)
        named = {n: PREFIX + n if n in row else n for n in answer}
        for name in named.values():
            if name in row:
                raise UserError(
                    f"{where}: the input has the columns "
                    f"{name.removeprefix(PREFIX)!r} and {name!r}, the names "
                    "of the answers; rename one."
                )
        self.names = {"columns": columns, "answers": named}

    def _writer(self, text: io.StringIO):
        if self._plain:
            return csv.writer(
                text,
                delimiter="\t",
                lineterminator="\n",
                quoting=csv.QUOTE_NONE,
                quotechar=None,
            )
        mark = "\t" if self._ending == ".tsv" else ","
        return csv.writer(text, delimiter=mark, lineterminator="\n")

    def _check_plain(self, where: str, cells: Sequence[str]) -> None:
        if not self._plain:
            return
        for cell in cells:
            if "\t" in cell or "\n" in cell or "\r" in cell:
                raise UserError(
                    f"{where}: a tab or line break in {cell[:40]!r}, which "
                    ".tsv without quoting cannot hold; write .csv or .jsonl."
                )


def _flat(answer: Mapping) -> dict:
    """{"probabilities": {"bad": x}} as {"probabilities.bad": x}."""
    flat = {}
    for name, value in answer.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": part for key, part in value.items()}
        else:
            flat[name] = value
    return flat


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
