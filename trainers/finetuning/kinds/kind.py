"""What fine-tuning, evaluation and export ask of a kind of task.

Legend: N examples, R rows (windows of long texts make R >= N).
"""

import abc
import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
import rich.table

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import DEFAULT, Limits

if TYPE_CHECKING:
    from tfbert.config import BertConfig
    from tfbert.serving.graphs.servable import Servable
    from tfbert.tasks.task import Task
    from tfbert.text.tokenizer import Tokenizer
    from trainers.finetuning.metrics.temperature import Scores


class Examples(Protocol):
    """Labelled examples of one file, in its order.

    Attributes:
      path: the file they came from.
      lines: the line of each example in it.
    """

    path: Path
    lines: list[int]

    def __len__(self) -> int:
        """N."""

    def inputs(self) -> list[tuple[str, ...]]:
        """The texts of each example, to compare and to print."""


class Encoded(Protocol):
    """Examples as rows of ids.

    Attributes:
      columns: what batches are made of, [R, ...] each.
      full_rows: how many examples fill the longest sequence, or are cut.
    """

    columns: dict[str, np.ndarray]
    full_rows: int

    def __len__(self) -> int:
        """R."""

    @property
    def sequence_length(self) -> int:
        """S."""

    def with_length(self, length: int) -> Self:
        """The same rows with S = `length`; only padding is cut off."""


class Evaluation(abc.ABC):
    """What was measured on one file.

    Attributes:
      step: the step that the weights are of.
    """

    step: int

    @property
    @abc.abstractmethod
    def figures(self) -> dict[str, float]:
        """The headline measures by name."""

    @abc.abstractmethod
    def to_dict(self) -> dict:
        """All figures, for JSON; "step" and "examples" among them."""

    @abc.abstractmethod
    def table(self, title: str) -> rich.table.Table:
        """The figures for a person."""

    @abc.abstractmethod
    def rows(self) -> Iterable[dict]:
        """A dict for each example: its line, input, gold, answer, scores."""

    @abc.abstractmethod
    def summary(self) -> str:
        """The headline measures in one line."""


class Kind(abc.ABC):
    """A kind of task, with what was learnt from the training file.

    A subclass is a frozen dataclass whose fields are what run.json says of
    it: settings of the data (under their names in FinetuningData) and what
    the training file taught, such as labels.

    Attributes:
      name: its name in settings and in run.json.
      metrics: the figures of an evaluation that may choose the best weights;
        of each, higher is better. The first does unless data.metric says
        which.
      outputs: the task's outputs that an evaluation needs, [R, ...] each.
      reads_long_texts: whether it has data.long_texts (kinds/text_kind.py).
      max_length: longest sequence in tokens.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    reads_long_texts: ClassVar[bool] = False
    max_length: int

    @classmethod
    @abc.abstractmethod
    def read(cls, path: str | os.PathLike, data: Any) -> Examples:
        """Reads a labelled file.

        Args:
          path: the file.
          data: FinetuningData, or a Kind: its fields have the same names.

        Raises:
          UserError: the file is not as it should be; with file and line.
        """

    @classmethod
    @abc.abstractmethod
    def from_training(cls, data: Any, train: Examples) -> Self:
        """Learns labels and the like from the training file."""

    @classmethod
    def from_about(cls, about: Mapping[str, Any]) -> Self:
        """Rebuilds from run.json.

        Raises:
          KeyError: a field without default is not there.
          TypeError, ValueError: a field is not as it should be.
        """
        given = {}
        for field in dataclasses.fields(cls):
            if field.name in about or field.default is dataclasses.MISSING:
                given[field.name] = about[field.name]
        return cls(**given)

    def about(self) -> dict:
        """The facts for run.json."""
        facts = dataclasses.asdict(self)
        # It is of weights, and lies with them.
        facts.pop("temperature", None)
        return facts

    def with_validation(self, figures: Mapping[str, float]) -> Self:
        """The kind with what validation chose, such as a threshold.

        Args:
          figures: validation figures of the best weights; none where there
            was no validation.
        """
        return self

    def scores(
        self, examples: Examples, outputs: Mapping[str, np.ndarray]
    ) -> "Scores | None":
        """What a temperature is fitted on; None: answers have no probability.

        Args:
          examples: what was predicted.
          outputs: of the task, [R, ...] each.
        """
        return None

    def with_temperature(self, temperature: float) -> Self:
        """The kind that divides logits by it where it says probabilities.

        Answers and figures stay as they are. Only for kinds with `scores`.
        """
        return dataclasses.replace(self, temperature=temperature)

    @property
    def measured(self) -> tuple[str, ...]:
        """Those of `metrics` that evaluations of this training file have."""
        return self.metrics

    @property
    def best_metric(self) -> str:
        """The figure that chooses the best weights by default."""
        return self.measured[0]

    def read_as(self, reading: Mapping[str, str | bool]) -> Self:
        """The same kind, for files of another form.

        Args:
          reading: separator, header, quoting or bad_rows.

        Raises:
          UserError: its files are no tables.
        """
        raise UserError(
            f"files of the task {self.name} are no tables; leave "
            f"{', '.join(f'--{name}' for name in reading)} out"
        )

    def with_class_weights(
        self, setting: str | Mapping[str, float], train: Examples
    ) -> Self:
        """The same kind with weights of the classes in the loss.

        Args:
          setting: optimization.class_weights.
          train: the training examples.

        Raises:
          UserError: the kind has none, or not such classes.
        """
        raise UserError(
            f"the task {self.name} has no optimization.class_weights; leave "
            "them out"
        )

    def check_settings(self, config: "BertConfig", settings: Any) -> None:
        """Refuses an encoder or settings that the kind cannot learn with.

        Args:
          config: the encoder's shape.
          settings: FinetuningSettings.

        Raises:
          UserError: so it is.
        """
        return

    def least_length(self) -> int:
        """The shortest max_length that leaves room for a token of each text."""
        return 3

    @abc.abstractmethod
    def check(self, examples: Examples) -> None:
        """Raises UserError for labels unseen in training and the like."""

    def golds(self, examples: Examples) -> list:
        """What is to be learnt from each example; to count contradictions."""
        return examples.labels

    @abc.abstractmethod
    def describe(self) -> str:
        """What is learnt, in a few words: "3 classes"."""

    def remarks(self, examples: Examples, encoded: Encoded) -> list[str]:
        """What a user should know about a file, a line each."""
        if not encoded.full_rows:
            return []
        return [
            f"{examples.path}: {encoded.full_rows:,} of {len(examples):,} "
            f"texts fill data.max_length = {self.max_length} tokens or were "
            "truncated to it"
        ]

    def length_remarks(self, examples: Examples, encoded: Encoded) -> list[str]:
        """What becomes of texts that are longer than a row, a line each."""
        return []

    def decided(self, encoded: Encoded) -> tuple[Self, Encoded]:
        """What was left open until the training texts are counted.

        Args:
          encoded: the training examples, as this kind encodes them.

        Returns:
          (the kind, the examples as that encodes them)
        """
        return self, encoded

    def label_remarks(
        self, train: Examples, validation: Examples | None
    ) -> list[str]:
        """How often each label occurs, and what is suspicious, a line each."""
        return []

    @abc.abstractmethod
    def encode(self, examples: Examples, tokenizer: "Tokenizer") -> Encoded:
        """Tokenizes examples, as in training."""

    @abc.abstractmethod
    def make_task(
        self,
        config: "BertConfig",
        dtype: str | None = None,
        seed: int = 0,
        task_class: "Callable[..., Task] | None" = None,
    ) -> "Task":
        """Builds the task with new weights.

        Args:
          config: the encoder's shape.
          dtype: Keras policy.
          seed: of the weights.
          task_class: in the place of the kind's own, and called as that is.
        """

    @abc.abstractmethod
    def evaluate(
        self,
        examples: Examples,
        encoded: Encoded,
        outputs: Mapping[str, np.ndarray],
        step: int,
    ) -> Evaluation:
        """Measures predictions.

        Args:
          examples: as read.
          encoded: their rows.
          outputs: name -> [R, ...], those that `outputs` names.
          step: the step that the weights are of.
        """

    @abc.abstractmethod
    def servable(
        self, task: "Task", tokenizer: "Tokenizer", limits: Limits = DEFAULT
    ) -> tuple["Servable", dict]:
        """What is exported, and the facts of its card.

        The card has "kind", "inputs" (names of the inputs of
        `serving_default` in the order of a command line), "max_length", and
        those of the limits that hold for the kind.
        """
