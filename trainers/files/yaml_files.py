"""YAML files from anybody: what they hold, or one message."""

from pathlib import Path

import yaml

from tfbert.errors import UserError
from tfbert.json_files import read_bytes

# What the constructors of PyYAML's own types let through, as of a date in a
# month 13 or a `!!bool maybe`.
_OF_VALUES = (ValueError, LookupError, AttributeError, TypeError)


def parse(text: str | bytes, source: object) -> object:
    """What a YAML text says.

    Args:
      text: UTF-8, if it is bytes.
      source: where it comes from, for the message.

    Raises:
      UserError: it is not YAML, or nested so deeply that nobody meant it.
    """
    try:
        if isinstance(text, bytes):
            text = text.decode("utf-8")
        return yaml.safe_load(text)
    except RecursionError as error:
        raise UserError(
            f"{source} is not YAML that can be read: it is nested too deeply"
        ) from error
    except (yaml.YAMLError, *_OF_VALUES) as error:
        raise UserError(f"{source} is not YAML: {error}") from error


def read_yaml(path: Path) -> object:
    """What a YAML file says.

    Raises:
      UserError: it cannot be read, or is not YAML.
    """
    return parse(read_bytes(path), path)
