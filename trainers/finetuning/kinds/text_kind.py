"""What the kinds share that read texts of any length.

Legend: N examples, R rows (windows of long texts make R >= N).
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from tfbert.errors import UserError
from tfbert.serving.graphs.request_bounds import Limits
from tfbert.text.windows.long_texts import (
    HEAD,
    HEAD_TAIL,
    HOW,
    MAX_WINDOWS,
    WINDOWS,
    LongTexts,
    check_overlap,
    default_overlap,
)
from tfrecords.labelled.encoded import rows_of
from trainers.finetuning.kinds.kind import Encoded, Examples
from trainers.finetuning.kinds.table_kind import TableKind

if TYPE_CHECKING:
    from tfbert.text.windows.texts import TextReader

_POOLING = "mean_vectors"
_OF_WINDOWS = ("window_overlap", "window_pooling", "max_windows")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextKind(TableKind):
    """A kind whose texts may be longer than a row.

    Attributes:
      long_texts: windows, head or head_tail (see tfbert.text.windows.texts);
        None: not decided before the training texts are counted.
      window_overlap, max_windows: see LongTexts; None without windows.
      window_pooling: how windows become an answer; likewise.
      max_length: of a row, in tokens.
    """

    reads_long_texts: ClassVar[bool] = True
    # What data.window_pooling may be.
    poolings: ClassVar[tuple[str, ...]] = (
        "mean_vectors",
        "mean_logits",
        "max_logits",
        "attention",
    )

    long_texts: str | None = HEAD
    window_overlap: int | None = None
    window_pooling: str | None = None
    max_windows: int | None = None

    @classmethod
    def settings_of(cls, data: Any) -> dict:
        """The fields above, from FinetuningData.

        Raises:
          UserError: they do not go together.
        """
        given = {name: getattr(data, name) for name in _OF_WINDOWS}
        how = data.long_texts
        if how in (HEAD, HEAD_TAIL):
            check_no_windows(given, f"data.long_texts {how} makes none")
            return {**super().settings_of(data), "long_texts": how, **given}
        pooling = given["window_pooling"] or _POOLING
        if pooling not in cls.poolings:
            raise UserError(
                f"wanted data.window_pooling of {', '.join(cls.poolings)} for "
                f"{cls.name}, got {pooling!r}"
            )
        overlap = given["window_overlap"]
        if overlap is None:
            overlap = default_overlap(data.max_length)
        else:
            check_overlap(overlap, data.max_length)
        return {
            **super().settings_of(data),
            "long_texts": how,
            "window_overlap": overlap,
            "window_pooling": pooling,
            "max_windows": given["max_windows"] or MAX_WINDOWS,
        }

    @property
    def in_windows(self) -> bool:
        """Whether a text may have several rows."""
        return self.long_texts in (None, WINDOWS)

    @property
    def reading_long(self) -> LongTexts:
        """How texts are read that are longer than a row."""
        if not self.in_windows:
            return LongTexts(self.long_texts)
        return LongTexts(WINDOWS, self.window_overlap, self.max_windows)

    def reader(self, tokenizer) -> "TextReader":
        """Texts -> rows, as in training."""
        # Imported here: settings are looked at before TensorFlow starts.
        from tfbert.text.windows.texts import TextReader

        return TextReader(tokenizer, self.reading_long)

    def decided(self, encoded: Encoded) -> tuple[Self, Encoded]:
        if self.long_texts is not None:
            return self, encoded
        if (encoded.lengths > self.max_length).any():
            return dataclasses.replace(self, long_texts=WINDOWS), encoded
        none = dict.fromkeys(_OF_WINDOWS)
        kind = dataclasses.replace(self, long_texts=HEAD, **none)
        return kind, encoded.in_single_rows()

    def task_options(self) -> dict:
        """What the task's constructor is told of windows."""
        if not self.in_windows:
            return {}
        return {"window_pooling": self.window_pooling}

    def remarks(self, examples: Examples, encoded: Encoded) -> list[str]:
        lengths = self.length_remarks(examples, encoded)
        return [examples.form, *lengths]

    def length_remarks(self, examples: Examples, encoded: Encoded) -> list[str]:
        lengths = encoded.lengths
        longer = lengths > self.max_length
        if not longer.any():
            return []
        said = (
            f"{examples.path}: {longer.sum():,} of {len(lengths):,} texts are "
            f"longer than a row of {self.max_length} tokens, the longest has "
            f"{lengths.max():,}"
        )
        if not self.in_windows:
            lost = np.maximum(lengths - self.max_length, 0).sum()
            kept = {HEAD: "first", HEAD_TAIL: "first and last"}
            return [
                f"{said}; they are CUT to their {kept[self.long_texts]} "
                f"tokens, {lost / lengths.sum():.1%} of all tokens are not "
                "read: data.long_texts windows reads them"
            ]
        rows = len(rows_of(encoded.columns["input_mask"]))
        lines = [
            f"{said}; they are read in windows, which share up to "
            f"{self.window_overlap} tokens: {rows:,} rows in all"
        ]
        if encoded.full_rows:
            lines.append(
                f"{examples.path}: {encoded.full_rows:,} texts are CUT: behind "
                f"data.max_windows = {self.max_windows}, or the shorter one of "
                "a pair behind half a row"
            )
        return lines

    def served_long_texts(self, limits: Limits) -> LongTexts:
        """How an export reads texts that are longer than a row.

        Raises:
          UserError: windows are to be bounded where there are none.
        """
        reading = self.reading_long
        if limits.max_windows is not None:
            if not self.in_windows:
                raise UserError(
                    f"this run reads texts by data.long_texts "
                    f"{self.long_texts}, not in windows; leave --max_windows "
                    "out"
                )
            reading = dataclasses.replace(
                reading, max_windows=limits.max_windows
            )
        return dataclasses.replace(reading, refuse=limits.refuse_longer)

    def long_text_card(self, limits: Limits) -> dict:
        """The facts of an export's card about long texts."""
        reading = self.served_long_texts(limits)
        facts = {"long_texts": reading.how, "refuse_longer": reading.refuse}
        if self.in_windows:
            facts |= {name: getattr(self, name) for name in _OF_WINDOWS}
            facts["max_windows"] = reading.max_windows
        return facts


def check_no_windows(given: dict, why: str) -> None:
    """Refuses settings of windows where there are none.

    Args:
      given: settings of the data by name; None: not given.
      why: there are none.

    Raises:
      UserError: one is given.
    """
    named = [name for name, value in given.items() if value is not None]
    if named:
        names = " and ".join(f"data.{name}" for name in named)
        raise UserError(
            f"{names}: there are no windows of texts, as {why}; leave "
            f"{'it' if len(named) == 1 else 'them'} out"
        )


def for_task(data: Any, task_class: Callable | None) -> Any:
    """The data for a task of the user's own, which may know rows alone.

    Args:
      data: FinetuningData.
      task_class: in the place of the kind's own; None: that.

    Returns:
      The same, but cut to the head where nobody has asked for windows.

    Raises:
      UserError: somebody has.
    """
    if task_class is None or _reads_windows(task_class):
        return data
    if data.long_texts == WINDOWS:
        name = getattr(task_class, "__name__", task_class)
        raise UserError(
            f"{name} has a call of its own, and windows of long texts are "
            "tokens [B, W, S]: set reads_windows = True in it if it takes "
            "them, or give data.long_texts head or head_tail"
        )
    return dataclasses.replace(data, long_texts=data.long_texts or HEAD)


def _reads_windows(task_class: Callable) -> bool:
    """Whether who defines the call of a class says that it takes windows."""
    for owner in getattr(task_class, "__mro__", ()):
        if vars(owner).keys() & {"call", "head_outputs", "reads_windows"}:
            return bool(vars(owner).get("reads_windows", False))
    return False


def check_served(kind, options: Any) -> None:
    """Refuses options of an export that the run's kind of task has not.

    Args:
      kind: of the run.
      options: ExportOptions.

    Raises:
      UserError: one is given.
    """
    if options.long_texts is not None:
        raise UserError(
            "--long_texts is for the vectors of a pretraining run; a "
            "fine-tuned one is served as it was trained; leave it out"
        )
    limits = options.limits
    if kind.reads_long_texts:
        return
    if limits.max_windows is not None or limits.refuse_longer:
        raise UserError(
            "--max_windows and --refuse_longer are for tasks that answer for "
            f"a whole text, not for {kind.name}; leave them out"
        )


def check_reads_long_texts(kind_class, data: Any) -> None:
    """Refuses settings of long texts for a kind that has none.

    Raises:
      UserError: one is given.
    """
    if kind_class.reads_long_texts:
        return
    names = ("long_texts", *_OF_WINDOWS)
    named = [name for name in names if getattr(data, name) is not None]
    if named:
        raise UserError(
            f"data.{named[0]} is for tasks that answer for a whole text, not "
            f"for {kind_class.name}, which reads all of a text in windows of "
            f"its own; leave it out (data.long_texts has {', '.join(HOW)})"
        )
