"""JSON files from anybody: what they hold, or one message."""

import json
from pathlib import Path

from tfbert.errors import UserError


def parse(text: str | bytes, source: object) -> object:
    """What a JSON text says.

    Args:
      text: UTF-8, if it is bytes.
      source: where it comes from, for the message.

    Raises:
      UserError: it is not JSON, or nested so deeply that nobody meant it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UserError(
            f"{source} is not JSON that can be read: its brackets are nested "
            "too deeply"
        ) from error
    except ValueError as error:
        raise UserError(f"{source} is not JSON: {error}") from error


def parse_lines(text: str) -> list[dict]:
    """The objects in lines of JSON; a line that holds none is left out.

    So is one that a crash cut, which makes it the reader of our own logs.
    """
    rows = []
    # Not `splitlines`, as JSON may hold other separators of lines as they are.
    for line in text.split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def read_bytes(path: Path) -> bytes:
    """What is in a file.

    Raises:
      UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error


def read_value(path: Path) -> object:
    """What a JSON file says.

    Raises:
      UserError: it cannot be read, or is not JSON.
    """
    return parse(read_bytes(path), path)


def read_json(path: Path) -> dict:
    """The object in a JSON file.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    content = read_value(path)
    if not isinstance(content, dict):
        raise UserError(
            f"wanted a JSON object in {path}, got {type(content).__name__}"
        )
    return content
