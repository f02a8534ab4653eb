"""Parquet and Arrow files -> the texts of one of their columns.

Read by pyarrow (the extra `arrow`), some rows at a time.
"""

import io
from collections.abc import Iterator

from tfbert.errors import UserError
from tfrecords.text import formats

# Bytes of text, about, and rows at most that are held at once.
_BATCH_BYTES = 4 << 20
_BATCH_ROWS = 1024

_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def texts(
    stream: io.BufferedReader,
    whole,
    kind: str,
    path: str,
    column: str,
    longest: int,
) -> Iterator[tuple[int, bytes | int | None]]:
    """Yields (row from 1, text) of a file; None for null.

    Args:
      stream: its bytes, decompressed, from the first on.
      whole: the file, to be read anywhere; None where it is compressed or a
        pipe.
      kind: `formats.PARQUET`, `ARROW_FILE` or `ARROW_STREAM`.
      path: its name.
      column: what holds the text.
      longest: of a text with more bytes, their number comes in its place.

    Raises:
      UserError: pyarrow is missing, or the file is damaged or has no such
        column of text.
    """
    try:
        import pyarrow
    except ImportError:
        raise UserError(
            f"{path} holds {kind} data, and pyarrow, which reads them, is not "
            "installed: pip install 'tfbert[arrow]'."
        ) from None
    if kind == formats.ARROW_STREAM:
        arrays = _stream(stream, path, column)
    elif whole is None:
        raise UserError(
            f"{path} holds {kind} data, which are not read compressed or from "
            "a pipe. Decompress them into a file and name that."
        )
    else:
        read = _parquet if kind == formats.PARQUET else _arrow_file
        arrays = read(whole, path, column)
    row = 0
    try:
        for array in arrays:
            for text in _values(array, longest):
                row += 1
                yield row, text
    except (pyarrow.ArrowException, OSError, EOFError) as error:
        raise UserError(
            f"{path}, after row {row}: the data are damaged or cut off "
            f"({str(error).rstrip('.')}). Fetch the file again."
        ) from None


def _stream(stream, path: str, column: str) -> Iterator:
    """Yields the column of an Arrow stream, array by array."""
    import pyarrow

    tail = _Tail(stream)
    reader = pyarrow.ipc.open_stream(tail)
    place = _place(reader.schema, path, column)
    for batch in reader:
        yield batch.column(place)
    # pyarrow takes a stream without an end for one that has ended.
    if tail.last != _END_OF_STREAM:
        raise EOFError("the stream has no end mark")


class _Tail(io.RawIOBase):
    """A stream that remembers the last eight bytes that were read."""

    def __init__(self, stream: io.BufferedReader):
        self._stream = stream
        self.last = b""

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        data = self._stream.read(count)
        self.last = (self.last + data[-8:])[-8:]
        return data


def _arrow_file(file, path: str, column: str) -> Iterator:
    """Yields the column of an Arrow file, array by array."""
    import pyarrow

    file.seek(0)
    reader = pyarrow.ipc.open_file(file)
    place = _place(reader.schema, path, column)
    for number in range(reader.num_record_batches):
        yield reader.get_batch(number).column(place)


def _parquet(file, path: str, column: str) -> Iterator:
    """Yields the column of a Parquet file, some rows at a time."""
    import pyarrow.parquet

    file.seek(0)
    reader = pyarrow.parquet.ParquetFile(
        file,
        buffer_size=1 << 20,
        pre_buffer=False,
        page_checksum_verification=True,
    )
    place = _place(reader.schema_arrow, path, column)
    names = [
        reader.schema.column(leaf).path for leaf in range(len(reader.schema))
    ]
    leaf = names.index(reader.schema_arrow.field(place).name)
    for group in range(reader.num_row_groups):
        facts = reader.metadata.row_group(group)
        size = facts.column(leaf).total_uncompressed_size
        rows = facts.num_rows * _BATCH_BYTES // max(1, size)
        for batch in reader.iter_batches(
            batch_size=max(1, min(rows, _BATCH_ROWS)),
            row_groups=[group],
            columns=[column],
            use_threads=False,
        ):
            yield batch.column(0)


def _place(schema, path: str, column: str) -> int:
    """The number of the column; refuses one that is no text."""
    import pyarrow

    places = schema.get_all_field_indices(column)
    if len(places) != 1:
        found = "several columns" if places else "no column"
        raise UserError(
            f"{path} has {found} {column!r}; name the one that holds the text "
            f"by --text_field. The columns are: {', '.join(schema.names)}."
        )
    kind = schema.field(places[0]).type
    value = kind.value_type if pyarrow.types.is_dictionary(kind) else kind
    if value not in (
        pyarrow.string(),
        pyarrow.large_string(),
        pyarrow.string_view(),
    ):
        raise UserError(
            f"{path}: column {column!r} is {kind}, wanted text (string). Name "
            "another by --text_field, or write the table with a column of "
            "strings."
        )
    return places[0]


def _values(array, longest: int) -> list[bytes | int | None]:
    """The texts as bytes; `to_pylist` of strings fails at the first bad one."""
    import pyarrow
    import pyarrow.compute

    if pyarrow.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    array = array.cast(pyarrow.large_binary())
    sizes = pyarrow.compute.binary_length(array).to_pylist()
    if max(filter(None, sizes), default=0) <= longest:
        return array.to_pylist()
    return [
        size if size and size > longest else array[place].as_py()
        for place, size in enumerate(sizes)
    ]
