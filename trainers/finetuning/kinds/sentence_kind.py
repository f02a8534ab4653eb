"""What the kinds share that learn a label column of one or two texts."""

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import rich.table
import rich.text

from tfbert.serving.graphs.request_bounds import Limits
from tfrecords.labelled import sentences
from trainers.finetuning.kinds.text_kind import TextKind

if TYPE_CHECKING:
    from tfbert.config import BertConfig


@dataclasses.dataclass(frozen=True)
class SentenceKind(TextKind):
    """A label for a sentence or a pair of sentences.

    Attributes:
      text_columns: one column (sentences) or two (pairs), names or numbers.
      label_column: the label's column, likewise.
      max_length: longest sequence in tokens.
    """

    text_columns: list[str]
    label_column: str
    max_length: int

    @classmethod
    def read(cls, path: str | os.PathLike, data: Any) -> sentences.Examples:
        return sentences.read_examples(
            path,
            data.text_columns,
            data.label_column,
            reading=cls.reading_of(data),
        )

    @classmethod
    def settings_of(cls, data: Any) -> dict:
        """The fields above, from FinetuningData."""
        return {
            **super().settings_of(data),
            "text_columns": list(data.text_columns),
            "label_column": data.label_column,
            "max_length": data.max_length,
        }

    def check_model(self, config: "BertConfig") -> None:
        """Raises UserError where a model cannot tell a pair's texts apart."""
        from tfbert.tasks.task import check_segments

        if self.pairs:
            check_segments(config, f"{self.name} of pairs")

    @property
    def pairs(self) -> bool:
        """Whether the input is two sentences."""
        return len(self.text_columns) == 2

    def least_length(self) -> int:
        # [CLS] and a [SEP] for each text, and at least one token of each.
        return 1 + 2 * len(self.text_columns)

    def card(self, limits: Limits) -> dict:
        """The facts that the cards of these kinds share."""
        return {
            "kind": self.name,
            "inputs": ["text_a", "text_b"] if self.pairs else ["text"],
            "text_columns": self.text_columns,
            "max_length": self.max_length,
            **self.long_text_card(limits),
        }


def rounded(values) -> list[float]:
    """Numbers as a predictions file has them: eight digits."""
    return [float(f"{value:.8g}") for value in values]


def figures_table(title: str, values: Mapping[str, Any]) -> rich.table.Table:
    """The numbers among `values`, one a line."""
    table = rich.table.Table(title=rich.text.Text(title))
    table.add_column("figure", overflow="fold")
    table.add_column("value", justify="right", overflow="fold")
    for name, value in values.items():
        if isinstance(value, float):
            table.add_row(name.replace("_", " "), f"{value:.4f}")
    return table
