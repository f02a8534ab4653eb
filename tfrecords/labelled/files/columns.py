"""Files of columns, a word a line, as the CoNLL tasks and treebanks have them.

A line with the word -DOCSTART-, however many columns it has, ends a sentence.
Before a sentence, comment is what begins with "#" and has not as many columns
as the file, or looks like "# key = value" or "# id NAME ..." (columns apart by
tabs: begins with "# ").

Where words are numbered in the first column, as in CoNLL-U (Universal
Dependencies, "Format"), lines of other numbers are no words: "3-4", a token
that the words 3 and 4 make up, and "3.1", a word that is not in the text.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files.text import read_text

SEPARATORS = ("whitespace", "tab")
_DOCUMENT = "-DOCSTART-"
# "# O" is a word with its tag; but no cell of a word begins with "# ", and
# "# sent_id = 1" is how CoNLL-U comments, "# id 0d1e domain=train" MultiCoNER.
_COMMENT = {
    "whitespace": re.compile("# (\\S+ =|id [^ \t]+[ \t])"),
    "tab": re.compile("# "),
}
_NO_WORD = re.compile(r"[0-9]+[-.][0-9]+")

# A line of the file, and its cells.
Row = tuple[int, list[str]]


def read_blocks(
    path: Path, separator: str, token_column: int = 0
) -> Iterator[list[Row]]:
    """The sentences of a file of columns, none of them empty.

    Args:
      path: the file.
      separator: "whitespace" (spaces and tabs) or "tab".
      token_column: the column that holds words, not their numbers.

    Raises:
      UserError: an unknown separator; see `files.read_text`.
    """
    if separator not in SEPARATORS:
        raise UserError(
            f"wanted a separator of {', '.join(SEPARATORS)}, got {separator!r}"
        )
    lines = read_text(path).split("\n")
    rows: list[Row] = []
    width = None
    for number, line in enumerate([*lines, ""], start=1):
        line = line.removesuffix("\r")
        cells = _cells(line, separator)
        if not line.strip(" \t") or cells[0] == _DOCUMENT:
            if rows:
                yield _words(rows, token_column)
            rows = []
            continue
        if line.startswith("#") and not rows:
            width = width or _width(lines, separator)
            if len(cells) != width or _COMMENT[separator].match(line):
                continue
        rows.append((number, cells))


def separator_of(path: Path) -> str:
    """ "tab" where the file's first line of words has one."""
    for line in read_text(path).split("\n"):
        if line.strip(" \t\r") and not line.startswith("#"):
            return "tab" if "\t" in line else "whitespace"
    return "tab"


def _words(rows: list[Row], token_column: int) -> list[Row]:
    """The rows of words, without those of tokens made up of words."""
    width = len(rows[0][1])
    if not token_column % width:
        return rows
    words = [row for row in rows if not _NO_WORD.fullmatch(row[1][0])]
    numbers = [cells[0] for _, cells in words]
    # Only where words are numbered is "3-4" a number.
    if numbers == [str(number) for number in range(1, len(words) + 1)]:
        return words or rows
    return rows


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
            cells = _cells(line, separator)
            if cells[0] != _DOCUMENT:
                return len(cells)
    return 0


def ragged(path: Path, row: Row, width: int, of: str) -> UserError:
    """That a row has another number of columns than `of`, which has `width`."""
    line, cells = row
    return UserError(
        f"{path}:{line}: {len(cells)} columns, but {of} has {width}. Mend the "
        "line; an empty line ends a sentence. Where columns are apart by tabs "
        "and cells hold spaces, set data.separator to tab."
    )
