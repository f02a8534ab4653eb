"""The options that all verbs which read text have in common."""

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
        type=bool,
        default=True,
        help="false keeps capitals and accents (a cased model)",
    )
    add("--cased", action="store_true", help="the same as --lowercase false")
