"""The options that all verbs which read text have in common."""

from tfbert.errors import UserError
from trainers import command


def add_reading(parser: command.Parser) -> None:
    """Adds how text files are read: documents, JSON field, bad text."""
    add = parser.add_argument
    add(
        "--documents",
        type=str,
        default="blank_line",
        help="what separates documents in .txt: blank_line or line",
    )
    add("--text_field", type=str, default="text", help="in .jsonl")
    add(
        "--on_bad_text",
        type=str,
        default="error",
        help="a line that is not UTF-8 or not JSON: error, skip or replace",
    )


def add_case(parser: command.Parser) -> None:
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
