"""What a file of text holds: told by its content before its name.

The one table of what is read, and of what is refused with advice; `vocab`,
`records` and the pipeline of Apache Beam all read through it.
"""

import codecs
import json
import os
import re

from tfbert.errors import UserError
from tfrecords.text import json_list
from tfrecords.text.compression import compression_of, without_compression

TEXT, JSON_LINES, JSON_LIST = "text", "jsonl", "json_list"
PARQUET, ARROW_FILE, ARROW_STREAM = "parquet", "arrow", "arrow_stream"

# What `--format` takes: told by the content, or said.
AUTO = "auto"
CHOICES = (AUTO, TEXT, JSON_LINES)

TEXT_ENDINGS = (".txt",)
JSON_ENDINGS = (".jsonl", ".ndjson", ".json")
ARROW_ENDINGS = (".parquet", ".arrow")
ENDINGS = TEXT_ENDINGS + JSON_ENDINGS + ARROW_ENDINGS

# Of a folder's files, those of these endings are looked into: they may hold
# JSON lines (`part-00000`, `wiki_00`), or settings and notes.
_UNSURE_ENDINGS = (".json", "")

# Bytes that the content is judged by.
HEAD_BYTES = 1 << 16

_JSON_BEGIN = re.compile(rb'\{\s*"(?:[^"\\\n]|\\.)*"\s*:')

_BINARY = (
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a ZIP archive (or a document of an office program)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"ORC", "an ORC table"),
    (b"Obj\x01", "an Avro table"),
    (b"FEA1", "a Feather table of version 1"),
    (b"\x89HDF", "HDF5 data"),
    (b"SQLite format 3", "a SQLite database"),
)
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_MARKUP = (
    (b"warc/", "a WARC archive of the web"),
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<?xml", "XML"),
    (b"<mediawiki", "a dump of a wiki in XML"),
    (b"<doc id=", "the <doc> elements of wikiextractor"),
)
_TABLES = {".csv": "CSV", ".tsv": "TSV", ".tab": "TSV"}

_TAKE_TEXT_OUT = "Take the text out of it first"
_AS_JSON_LINES = 'write its texts as JSON lines, {"text": "..."} on a line each'


def ending_of(path: str) -> str:
    """The ending of a file's name without compression, in lower case."""
    stem, _ = without_compression(path)
    return os.path.splitext(stem)[1].lower()


def belongs(path: str) -> bool | None:
    """Whether a file of a folder is read; None: its content decides."""
    ending = ending_of(path)
    return None if ending in _UNSURE_ENDINGS else ending in ENDINGS


def is_table_or_json_lines(head: bytes) -> bool:
    """Whether data that begin with `head` can be nothing but texts."""
    return bool(_arrow_of(head)) or _begins_json_lines(_begin(head))


def format_of(head: bytes, path: str, wanted: str = AUTO) -> str:
    """How a file is read.

    Args:
      head: its first bytes, decompressed: `HEAD_BYTES`, or all it has.
      path: its name, which decides where the content does not.
      wanted: one of `CHOICES`.

    Returns:
      `TEXT`, `JSON_LINES`, `JSON_LIST`, `PARQUET`, `ARROW_FILE` or
      `ARROW_STREAM`.

    Raises:
      UserError: it holds something that is not read; says what to do.
    """
    if wanted != AUTO:
        return wanted
    arrow = _arrow_of(head)
    if arrow:
        return arrow
    _refuse_binary(head, path)
    begin = _begin(head)
    ending = ending_of(path)
    if _begins_json_lines(begin):
        return JSON_LINES
    if ending == ".json":
        if json_list.begins(begin):
            return JSON_LIST
        _refuse_json_over_lines(begin, path)
    if ending in JSON_ENDINGS:
        return JSON_LINES
    _refuse_markup(begin, path)
    if ending in _TABLES:
        raise UserError(
            f"{path} holds {_TABLES[ending]}, whose columns are not text to "
            f"learn from. {_as_json_lines(path)} (--format text reads "
            "it as it is, columns and all.)"
        )
    return TEXT


def _begin(head: bytes) -> bytes:
    return head.removeprefix(codecs.BOM_UTF8).lstrip()


def _arrow_of(head: bytes) -> str:
    if head.startswith(b"PAR1"):
        return PARQUET
    if head.startswith(b"ARROW1\0\0"):
        return ARROW_FILE
    # A stream begins with a schema: its mark, then its length in bytes.
    mark, length = head[:4], int.from_bytes(head[4:8], "little")
    if mark == b"\xff\xff\xff\xff" and 0 < length < 1 << 24:
        return ARROW_STREAM
    return ""


def _begins_json_lines(begin: bytes) -> bool:
    """Whether the first line is a JSON object, as far as it is there."""
    if not begin.startswith(b"{"):
        return False
    line, newline, _ = begin.partition(b"\n")
    if not newline and len(begin) > HEAD_BYTES // 2:
        return bool(_JSON_BEGIN.match(line))
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _refuse_json_over_lines(begin: bytes, path: str) -> None:
    """Raises UserError for one JSON object instead of one a line."""
    if begin.partition(b"\n")[0].strip() == b"{":
        raise UserError(
            f"{path} holds one JSON object over many lines, not one on a line "
            "each, nor a list of them. Turn it into JSON lines: jq -c '.' "
            "FILE.json > FILE.jsonl"
        )


def _refuse_binary(head: bytes, path: str) -> None:
    for begin, what in _BINARY:
        if head.startswith(begin):
            raise UserError(f"{path} holds {what}. {_as_json_lines(path)}")
    if head[257:262] == b"ustar":
        raise UserError(
            f"{path} holds a tar archive. Unpack it first: tar -xf FILE "
            "--directory FOLDER; then name the folder."
        )
    if compression_of(head):
        raise UserError(
            f"{path} is compressed twice. Decompress it once and name that."
        )
    if head.startswith(_UTF_16):
        raise UserError(
            f"{path} is in UTF-16. Text is UTF-8: iconv -f UTF-16 -t UTF-8 "
            "FILE > OTHER"
        )
    # Random bytes under the name of a text are bad lines, told one by one.
    if ending_of(path) not in TEXT_ENDINGS + JSON_ENDINGS and _is_binary(head):
        raise UserError(
            f"{path} holds binary data, not text. Leave it out, or if it is "
            "a table or an archive of texts: " + _as_json_lines(path)
        )


def _is_binary(head: bytes) -> bool:
    """Whether one byte in a hundred is a control character, or any a NUL."""
    controls = sum(byte < 9 or 13 < byte < 27 for byte in head)
    return b"\0" in head or 100 * controls > len(head)


def _refuse_markup(begin: bytes, path: str) -> None:
    lower = begin[:32].lower()
    for first, what in _MARKUP:
        if lower.startswith(first):
            how = _TAKE_TEXT_OUT
            if "wikiextractor" in what:
                how = "Run wikiextractor with --json"
            elif "HTML" in what or "WARC" in what:
                how += ", with trafilatura for instance"
            raise UserError(
                f"{path} holds {what}. {how}, and {_AS_JSON_LINES}. "
                "(--format text reads it as it is, markup and all.)"
            )


def _as_json_lines(path: str) -> str:
    return f"{_TAKE_TEXT_OUT}: {_AS_JSON_LINES}."
