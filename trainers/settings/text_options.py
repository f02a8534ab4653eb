"""The options that all verbs which read text have in common."""

import argparse

from tfbert.errors import UserError
from tfrecords.labelled.files import tables
from tfrecords.labelled.files.table_form import TableForm
from tfrecords.text.corpus import Reading
from trainers.settings.parser import Parser

INPUT_HELP = (
    "text files, folders or quoted patterns: .txt, .jsonl, .json, .parquet, "
    ".arrow, also with .gz, .zst, .bz2 or .xz; - is the standard input"
)


def add_reading(parser: Parser) -> None:
    """Adds how text files are read: documents, JSON field, bad text."""
    add = parser.add_argument
    add(
        "--documents",
        type=str,
        default="blank_line",
        help="what separates documents in .txt: blank_line or line",
    )
    add(
        "--text_field",
        type=str,
        default="text",
        help="the field of JSON lines, or the column of a table, with the text",
    )
    add(
        "--format",
        type=str,
        default="auto",
        help="how files are read: auto (by what they hold), text or jsonl",
    )
    add(
        "--max_line",
        type=int,
        default=16,
        help="MiB of a line of JSON, or of a text in a table, at most: it is "
        "read as a whole",
    )
    add(
        "--on_bad_text",
        type=str,
        default="error",
        help="a line that is not UTF-8 or not JSON: error, skip or replace",
    )


def add_table(parser: Parser) -> None:
    """Adds how tables are read, where it should not be found by looking."""
    add = parser.add_argument
    found = "of a table; left out: found by looking"
    add(
        "--separator",
        help=f"tab, comma, semicolon, pipe or a character, {found}",
    )
    add(
        "--header",
        type=bool | None,
        default=None,
        help=f"whether the first line names the columns, {found}",
    )
    add("--quoting", choices=("csv", "none"), help=f"csv or none, {found}")
    add(
        "--bad_rows",
        choices=("error", "skip"),
        help="of a table, rows with other cells than the header, or without "
        "text: error, or skip to leave them out",
    )


def table_reading(values: argparse.Namespace) -> tables.Reading:
    """How a table is read, by the values of `add_table`'s options."""
    given = asked_table(values)
    bad_rows = given.pop("bad_rows", "error")
    return tables.Reading(TableForm(**given), bad_rows)


def asked_table(values: argparse.Namespace) -> dict[str, str | bool]:
    """What the options of `add_table` say, without those left out."""
    names = ("separator", "header", "quoting", "bad_rows")
    given = {name: getattr(values, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def add_case(parser: Parser) -> None:
    """Adds whether capitals and accents are kept, in two spellings."""
    add = parser.add_argument
    add(
        "--lowercase",
        type=bool | None,
        default=None,
        help="true: lower case, no accents; false keeps both (a cased model); "
        "left out: as a given vocabulary says, else true",
    )
    add("--cased", action="store_true", help="the same as --lowercase false")


def asked_case(values) -> bool | None:
    """What --lowercase and --cased say together; None: nothing.

    Raises:
      UserError: they contradict each other.
    """
    if values.cased and values.lowercase:
        raise UserError("--cased and --lowercase true contradict each other")
    return False if values.cased else values.lowercase


def reading(values: argparse.Namespace) -> Reading:
    """How files are read, by the values of `add_reading`'s options."""
    return Reading(
        documents=values.documents,
        text_field=values.text_field,
        on_bad_text=values.on_bad_text,
        format=values.format,
        max_line=values.max_line,
    )
