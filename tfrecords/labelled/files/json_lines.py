"""JSON of labelled files, a message with file and line where it is none."""

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.labelled.files.text import ending, nearest_first, read_text
from tfrecords.text import json_list

ENDINGS = (".jsonl", ".ndjson", ".json")

_HALF_A_PAIR = re.compile("[\ud800-\udfff]")


def parse(
    where: str, source: str, wanted: str = "JSON", of_lines: bool = False
) -> object:
    """The value of JSON text, whatever it is.

    Args:
      where: it stands, for messages.
      source: the text.
      wanted: what it should be.
      of_lines: whether it is a whole file, so that the line is to be named.

    Raises:
      UserError: it is no JSON, is nested too deeply, or has a whole number
        of thousands of digits.
    """
    try:
        return json.loads(source)
    except RecursionError:
        raise UserError(f"{where}: not {wanted}: nested too deeply.") from None
    except ValueError as error:
        # json.JSONDecodeError is one, and so are numbers of many digits.
        if of_lines and isinstance(error, json.JSONDecodeError):
            where = f"{where}:{error.lineno}"
        reason = str(error).split(";")[0]
        raise UserError(f"{where}: not {wanted}: {reason}.") from None


def read_objects(
    path: Path, text: str | None = None, wanted: str = "a JSON object"
) -> Iterator[tuple[int, dict]]:
    """(line, object) for each line of a .jsonl file that is not empty.

    Of a .json file that is one list, (number, object) for each of its items.

    Args:
      path: the file.
      text: what is in it, where that was read.
      wanted: what a line should be, for messages.

    Raises:
      UserError: a line is no JSON object; see `files.read_text`.
    """
    if text is None:
        text = read_text(path)
    if is_list(path, text):
        data = io.BufferedReader(io.BytesIO(text.encode("utf-8")))
        lines = io.TextIOWrapper(
            json_list.as_lines(data, str(path)), "utf-8", newline="\n"
        )
        yield from objects_of(path, lines, wanted, json_list.Record)
        return
    # Not splitlines: that also breaks at U+2028, which may be in a string.
    yield from objects_of(path, text.split("\n"), wanted)


def objects_of(
    path: Path,
    lines: Iterable[str],
    wanted: str = "a JSON object",
    number_of: Callable[[int], int] = int,
) -> Iterator[tuple[int, dict]]:
    """(line, object) for each line that is not empty; see `read_objects`.

    Args:
      number_of: the number of a line as it is to be told.
    """
    for place, source in enumerate(lines, start=1):
        if not source.strip():
            continue
        line = number_of(place)
        row = parse(f"{path}:{line}", source, "a JSON object")
        if not isinstance(row, dict):
            raise UserError(
                f"{path}:{line}: {wanted} was wanted, not "
                f"{source.strip()[:40]!r}."
            )
        yield line, row


def is_list(path: Path, text: str) -> bool:
    """Whether a file whose text begins so is one JSON list."""
    return ending(path) == ".json" and text.lstrip().startswith("[")


def check_text(where: str, name: str, text: str) -> str:
    """The text.

    Raises:
      UserError: it cannot be written as UTF-8.
    """
    if _HALF_A_PAIR.search(text):
        raise UserError(
            f"{where}: {name} holds half of a surrogate pair (such as "
            "\\ud83d alone), which no UTF-8 text can."
        )
    return text


def shown(value: object) -> str:
    """The beginning of a value, for messages."""
    return json.dumps(value)[:40]


def string_list(where: str, row: dict, key: str) -> list[str]:
    """The list of strings under `key`.

    Raises:
      UserError: there is none, or a string is empty or no text.
    """
    value = row.get(key)
    if not isinstance(value, list) or not value:
        near = ", ".join(nearest_first(key, list(row))[:5])
        raise UserError(
            f"{where}: {key!r} should be a list of strings; the keys are "
            f"{near or 'none'}."
        )
    for place, item in enumerate(value):
        if not isinstance(item, str) or not item:
            raise UserError(
                f"{where}: {key}[{place}] should be a string that is not "
                f"empty, not {shown(item)}."
            )
        check_text(where, f"{key}[{place}]", item)
    return value
