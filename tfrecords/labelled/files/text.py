"""The text of labelled files, and what is said of those that hold none."""

import difflib
import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

from tfbert.errors import UserError

_COMPRESSED = ".gz"
# What begins a file that is no text: (bytes, what it is, what to do).
_NO_TEXT = (
    (
        b"PAR1",
        "a Parquet file",
        "pandas writes it as JSON Lines: read_parquet(...)"
        '.to_json("data.jsonl", orient="records", lines=True)',
    ),
    (b"PK\x03\x04", "a zip archive or a spreadsheet", "Export it as CSV UTF-8"),
    (b"\x28\xb5\x2f\xfd", "compressed (Zstandard)", "Unpack it: zstd -d"),
    (b"BZh", "compressed (bzip2)", "Unpack it: bunzip2"),
    (b"\xfd7zXZ", "compressed (xz)", "Unpack it: unxz"),
    *(
        (mark, "UTF-16, as Excel writes it", "Convert it: iconv -f utf-16")
        for mark in (b"\xff\xfe", b"\xfe\xff")
    ),
)


def ending(path: Path) -> str:
    """The ending that says a file's form, in small letters, without .gz."""
    name = path.name.lower()
    return Path(name.removesuffix(_COMPRESSED)).suffix


def refused(path: Path, formats: Sequence[str]) -> UserError:
    """That a file's ending is none of `formats`."""
    found = ending(path)
    advice = {
        ".parquet": "; of Parquet make JSON Lines, with pandas: "
        'to_json(..., orient="records", lines=True)',
        ".xlsx": "; export the sheet as CSV UTF-8",
        ".xls": "; export the sheet as CSV UTF-8",
    }.get(found, "")
    return UserError(
        f"{path}: labelled data is read from files that end in "
        f"{', '.join(formats)}, not {found or 'without an ending'!r} (a "
        f"{_COMPRESSED} behind it is unpacked){advice}."
    )


def read_text(path: Path) -> str:
    """The whole of a UTF-8 file, without a byte order mark.

    A file whose name ends in .gz is unpacked.

    Raises:
      UserError: it cannot be read, or is not UTF-8; with the line.
    """
    data = _read_bytes(path)
    check_is_text(path, data)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise no_utf8(f"{path}:{line}", error) from None


def check_is_text(path: Path, data: bytes) -> None:
    """Refuses what begins as files of other kinds do.

    Raises:
      UserError: it does; says what to do.
    """
    for begin, what, advice in _NO_TEXT:
        if data.startswith(begin):
            raise UserError(f"{path}: not UTF-8 text but {what}. {advice}.")


def no_utf8(where: str, error: UnicodeDecodeError) -> UserError:
    """That a line is not UTF-8."""
    return UserError(
        f"{where}: not UTF-8 (byte 0x{error.object[error.start]:02x}). Convert "
        "the file, for example with `iconv -f latin1 -t utf-8`."
    )


def unreadable(path: Path, error: OSError) -> UserError:
    """That a file cannot be opened or read."""
    if isinstance(error, FileNotFoundError):
        return UserError(f"{path}: there is no such file.")
    if isinstance(error, IsADirectoryError):
        return UserError(f"{path} is a folder; a file was wanted: name one.")
    return UserError(f"{path}: cannot be read: {error.strerror or error}.")


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    if path.suffix.lower() != _COMPRESSED:
        return data
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(
            f"{path}: not a sound gzip file ({error}). Copy it again."
        ) from None


def nearest_first(name: str, names: Sequence[str]) -> list[str]:
    """`names` by likeness to `name`, for messages."""

    def distance(other: str) -> float:
        return -difflib.SequenceMatcher(
            None, name.lower(), other.lower()
        ).ratio()

    return sorted(names, key=distance)
