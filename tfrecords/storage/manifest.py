"""manifest.json: what a folder of records says about itself."""

import dataclasses
import json
import os
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.layout import MANIFEST_FILE, Layout
from tfrecords.storage import manifest_check

FORMAT = "tfbert-records"
FORMAT_VERSION = 1


def check_folder(folder: str | os.PathLike) -> None:
    """Raises UserError if what is to hold records is a file, or not there."""
    path = Path(folder)
    if path.is_dir():
        return
    state = f"got the file {path}" if path.exists() else f"{path} is not there"
    raise UserError(
        f"wanted a folder of records, {state}. `tfbert records --input TEXT "
        "--vocab vocab.txt --output records/` makes one."
    )


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of rows.

    Attributes:
      file: its name in the folder.
      rows, records, bytes: its counts and size.
      sha256: of the whole file, hex.
    """

    file: str
    rows: int
    records: int
    bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class Manifest:
    """The content of manifest.json. Counts are of this folder alone.

    Attributes:
      objective: one of `spec.OBJECTIVES`.
      packed: rows may hold several sequences, kept apart by sequence ids.
      sequence_length, label_columns, token_bytes, rows_per_record: see
        `spec.Layout`.
      vocabulary: {"file", "size", "sha256" of the tokens, one a line}.
      tokenizer: the tokenizer's settings, {"lowercase": ...}.
      split: "train" or "held_out".
      held_out_share: the share of documents that went to `held_out`.
      seed: of the build.
      rows, sequences, documents: counts.
      tokens: what is not padding, [CLS] and [SEP] included.
      special_tokens: the [CLS] and [SEP] among them.
      unknown_tokens: the [UNK] among them.
      text_bytes: UTF-8 bytes of the documents.
      document_lengths: how many documents have a length in tokens of
        [2^i, 2^(i+1)), by i as a string.
      longest_documents: [{"file", "line", "tokens"}], longest first.
      rejected: {reason: lines or documents left out}.
      sources: [{"file", "bytes", "lines", "documents", "sha256"}], of the
        whole build.
      shards: the files of rows.
      builder: version of the package that wrote the folder.
    """

    objective: str
    packed: bool
    sequence_length: int
    label_columns: int
    token_bytes: int
    rows_per_record: int
    vocabulary: dict
    tokenizer: dict
    split: str
    held_out_share: float
    seed: int
    rows: int
    sequences: int
    documents: int
    tokens: int
    special_tokens: int
    unknown_tokens: int
    text_bytes: int
    document_lengths: dict
    longest_documents: list
    rejected: dict
    sources: list
    shards: tuple[Shard, ...]
    builder: str

    @property
    def layout(self) -> Layout:
        """Where rows lie in the shards."""
        return Layout(
            self.sequence_length,
            self.label_columns,
            self.token_bytes,
            self.rows_per_record,
        )

    @property
    def packing_efficiency(self) -> float:
        """The share of places in rows that hold a token."""
        places = self.rows * self.sequence_length
        return self.tokens / places if places else 0.0

    @property
    def overhead(self) -> float:
        """Bytes on disk over those of the rows alone, as a share."""
        size = sum(shard.bytes for shard in self.shards)
        rows = self.rows * self.layout.row_bytes
        return size / rows - 1 if rows else 0.0

    def to_json(self) -> str:
        """The file's text; the same manifest gives the same bytes."""
        content = {"format": FORMAT, "format_version": FORMAT_VERSION}
        content.update(dataclasses.asdict(self))
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def read(cls, folder: str | os.PathLike) -> "Manifest":
        """Reads FOLDER/manifest.json.

        Raises:
          UserError: there is none, or it is not one of ours.
        """
        path = Path(folder) / MANIFEST_FILE
        check_folder(folder)
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise UserError(
                f"no records in {folder}: it has no {MANIFEST_FILE}. "
                "`tfbert records --input TEXT --vocab vocab.txt --output "
                f"{folder}` makes them."
            ) from None
        except (ValueError, RecursionError) as error:
            raise UserError(
                f"{path} is not JSON ({error}); build the records again."
            ) from None
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror or error}."
            ) from None
        return cls._of(content, path)

    @classmethod
    def _of(cls, content, path) -> "Manifest":
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise UserError(
                f"{path} is not the manifest of records: its format is not "
                f"{FORMAT!r}. Name a folder that `tfbert records` wrote."
            )
        if content.get("format_version") != FORMAT_VERSION:
            raise UserError(
                f"{path} has format version {content.get('format_version')}; "
                f"this program reads version {FORMAT_VERSION}. Build the "
                "records again, or use the version that wrote them "
                f"({content.get('builder')})."
            )
        names = [field.name for field in dataclasses.fields(cls)]
        missing = [name for name in names if name not in content]
        if missing:
            raise UserError(f"{path} lacks {missing}; build the records again.")
        # Keys of later versions that this one can do without are passed over.
        values = {name: content[name] for name in names}
        manifest_check.check(values, path)
        names = [field.name for field in dataclasses.fields(Shard)]
        values["shards"] = tuple(
            Shard(**{name: shard[name] for name in names})
            for shard in content["shards"]
        )
        return cls(**values)
