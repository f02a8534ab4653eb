"""The names in records and batches, and where a row lies in a shard.

No other module spells a feature's or a batch key's name.

A shard is a TFRecord file. Each of its records is a `tf.train.Example` with
one bytes feature, `token_ids`, that holds up to `rows_per_record` rows one
after the other. A row is `sequence_length` token ids (and `label_columns`
labels behind them), little-endian, `token_bytes` wide. All records of a shard
but the last hold the same number of rows, so the place of row r is

    (r // rows_per_record) * record_bytes
        + 12                       length (8) and its checksum (4)
        + header_bytes             the Example's own framing
        + (r % rows_per_record) * row_bytes

and a shard can be memory-mapped and read at random, while it remains a file
that any TFRecord reader reads.
"""

import dataclasses
import functools

import numpy as np

# The one feature of a record.
TOKEN_IDS = "token_ids"

# The keys of a batch (B rows, S tokens, P predictions), int32 unless said.
INPUT_IDS = "input_ids"  # [B, S]
INPUT_MASK = "input_mask"  # [B, S], 1 = token, 0 = padding
SEGMENT_IDS = "segment_ids"  # [B, S], 0 = first segment, 1 = second
MASKED_LM_POSITIONS = "masked_lm_positions"  # [B, P]
MASKED_LM_IDS = "masked_lm_ids"  # [B, P]
MASKED_LM_WEIGHTS = "masked_lm_weights"  # float32 [B, P]
NEXT_SENTENCE_LABELS = "next_sentence_labels"  # [B]
SEQUENCE_IDS = "sequence_ids"  # [B, S], 1, 2, ... in a row; 0 = padding
POSITION_IDS = "position_ids"  # [B, S], counted from each sequence's start
IS_REAL_EXAMPLE = "is_real_example"  # [B], 0 = only fills up a last batch

# Files of a records folder.
MANIFEST_FILE = "manifest.json"
REJECTED_FILE = "rejected.jsonl"
HELD_OUT_FOLDER = "held_out"
SHARD_PATTERN = "rows-{:05d}.tfrecord"
SHARD_GLOB = "rows-*.tfrecord"

# Objectives. The last two keep one label per row.
MASKED_LM = "masked_lm"
NEXT_SENTENCE = "next_sentence"
SENTENCE_ORDER = "sentence_order"
OBJECTIVES = (MASKED_LM, NEXT_SENTENCE, SENTENCE_ORDER)

# A TFRecord frames its data with a length, the length's checksum, and the
# data's checksum.
LENGTH_BYTES = 12
CHECKSUM_BYTES = 4

# Rows share a record so that the framing (about 45 bytes) is under 1 %.
RECORD_PAYLOAD_BYTES = 8192


def rows_per_record(row_bytes: int) -> int:
    """How many rows of `row_bytes` a record holds."""
    return max(1, RECORD_PAYLOAD_BYTES // row_bytes)


def _field(number: int, data_bytes: int) -> bytes:
    """The start of a protocol buffer field of `data_bytes` bytes."""
    start = bytearray([number << 3 | 2])
    while data_bytes >= 0x80:
        start.append(data_bytes & 0x7F | 0x80)
        data_bytes >>= 7
    start.append(data_bytes)
    return bytes(start)


@functools.lru_cache(maxsize=1024)
def example_header(payload_bytes: int) -> bytes:
    """What stands before the payload in a record's serialised Example.

    The payload is the last thing in it, so header + payload is the record.
    """
    header, size = b"", payload_bytes
    # From the inside out: BytesList.value, Feature.bytes_list, and the value
    # of the map entry.
    for number in (1, 1, 2):
        header = _field(number, size) + header
        size = len(header) + payload_bytes
    name = TOKEN_IDS.encode()
    header = _field(1, len(name)) + name + header
    # The map entry itself, then Example.features.
    for number in (1, 1):
        header = _field(number, len(header) + payload_bytes) + header
    return header


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where rows lie in a shard.

    Attributes:
      sequence_length: S, token ids of a row, padding included.
      label_columns: labels behind a row's tokens (0 or 1).
      token_bytes: 2 (uint16) or 4 (uint32).
      rows_per_record: rows in every record of a shard but the last.
    """

    sequence_length: int
    label_columns: int
    token_bytes: int
    rows_per_record: int

    @classmethod
    def make(cls, sequence_length, label_columns, vocab_size) -> "Layout":
        """The layout for rows of such a length over such a vocabulary."""
        token_bytes = 2 if vocab_size <= 1 << 16 else 4
        row_bytes = (sequence_length + label_columns) * token_bytes
        return cls(
            sequence_length,
            label_columns,
            token_bytes,
            rows_per_record(row_bytes),
        )

    @property
    def row_width(self) -> int:
        """Numbers in a row."""
        return self.sequence_length + self.label_columns

    @property
    def dtype(self) -> np.dtype:
        """The type of a number in a row, little-endian."""
        return np.dtype("<u2" if self.token_bytes == 2 else "<u4")

    @property
    def row_bytes(self) -> int:
        return self.row_width * self.token_bytes

    def data_offset(self, rows: int) -> int:
        """Bytes of a record of `rows` rows that stand before its rows."""
        return LENGTH_BYTES + len(example_header(rows * self.row_bytes))

    def record_bytes(self, rows: int) -> int:
        """The size of a record of `rows` rows, framing included."""
        return self.data_offset(rows) + rows * self.row_bytes + CHECKSUM_BYTES

    def num_records(self, rows: int) -> int:
        """Records in a shard of `rows` rows."""
        return -(-rows // self.rows_per_record)

    def shard_bytes(self, rows: int) -> int:
        """The size of a shard of `rows` rows."""
        full, rest = divmod(rows, self.rows_per_record)
        size = full * self.record_bytes(self.rows_per_record)
        return size + (self.record_bytes(rest) if rest else 0)

    def row_offsets(self, places: np.ndarray, rows: int) -> np.ndarray:
        """Byte offsets of the rows at `places` of a shard of `rows` rows.

        Args:
          places: int64, any shape, in [0, rows).
          rows: rows of the whole shard; its last record may be a short one.
        """
        full = self.rows_per_record
        record, place = np.divmod(places, full)
        rest = rows % full
        last = self.data_offset(rest) if rest else self.data_offset(full)
        offset = np.where(
            record == self.num_records(rows) - 1, last, self.data_offset(full)
        )
        return (
            record * self.record_bytes(full) + offset + place * self.row_bytes
        )
