"""What the kinds share that read tables: how their files are read."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self

from tfrecords.labelled.files.table_form import TableForm
from tfrecords.labelled.files.tables import Reading
from trainers.finetuning.kinds.kind import Encoded, Examples, Kind

READING = ("separator", "header", "quoting", "bad_rows")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableKind(Kind):
    """A kind whose files are tables.

    Attributes:
      separator, header, quoting: see TableForm; None: by looking.
      bad_rows: error or skip.
    """

    separator: str | None = None
    header: bool | None = None
    quoting: str | None = None
    bad_rows: str = "error"

    @classmethod
    def reading_of(cls, data: Any) -> Reading:
        """How files are read, by FinetuningData or a Kind.

        Raises:
          UserError: in no such way.
        """
        form = TableForm(data.separator, data.header, data.quoting)
        return Reading(form, data.bad_rows)

    @classmethod
    def settings_of(cls, data: Any) -> dict:
        """The fields above, from FinetuningData."""
        return {name: getattr(data, name) for name in READING}

    def read_as(self, reading: Mapping[str, str | bool]) -> Self:
        return dataclasses.replace(self, **reading)

    def remarks(self, examples: Examples, encoded: Encoded) -> list[str]:
        return [examples.form, *super().remarks(examples, encoded)]
