"""Paths of this machine, told apart from addresses such as gs://bucket/run.

What is written appears by a rename, and what is read may be mapped into
memory, so both are files that the operating system knows. An address taken
for a path would be a folder named "gs:" under the current one.
"""

import os
import re
from pathlib import Path

from tfbert.errors import UserError

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# What pathlib makes of an address; one letter is a drive.
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


def has_scheme(value: str) -> bool:
    """Whether a text is an address, `scheme://...`."""
    return bool(_SCHEME.match(value))


def local_path(path: str | os.PathLike, name: str) -> Path:
    """Returns `path` as a Path.

    Args:
      path: what was given.
      name: of the setting or the thing, for the message.

    Raises:
      UserError: `path` is an address.
    """
    text = os.fspath(path)
    if has_scheme(text) or _COLLAPSED.match(text):
        raise UserError(
            f"wanted a path of this machine in {name}, got {text}; mount the "
            "bucket as a folder and give that (gcsfuse, s3fs or rclone; "
            "docs/cluster.md), or copy what is there to a disk"
        )
    return Path(path)
