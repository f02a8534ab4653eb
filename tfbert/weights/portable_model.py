"""PortableModel: what all converters read into and write out of."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.text.vocabulary_files import SPECIAL_TOKENS
from tfbert.weights.names import PARTS, Row, part_of

# Task -> whether its head reads the pooled output. Those of HEADLESS
# have none.
TASKS = {
    "encoder": True,
    "pretraining": True,
    "classification": True,
    "multi_label": True,
    "regression": True,
    "multiple_choice": True,
    "embedding": True,
    "token_labelling": False,
    "role_labelling": False,
    "question_answering": False,
}
HEADLESS = ("encoder", "pretraining", "embedding")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """What turns text into ids.

    Attributes:
      tokens: in the order of their ids.
      lowercase: lower case and no accents (an uncased model), or text as is.
      max_length: tokens of a sequence that the source reads; None where that
        is what the position table allows.
    """

    tokens: tuple[str, ...]
    lowercase: bool
    max_length: int | None = None

    def within(self, longest: int) -> "Vocabulary":
        """The same, without a limit that is none for that many positions."""
        if self.max_length is None or self.max_length < longest:
            return self
        return dataclasses.replace(self, max_length=None)


# What a source says without its weights: config, vocabulary, notes.
Outline = tuple[BertConfig, Vocabulary | None, list[str]]


@dataclasses.dataclass(frozen=True)
class Pooling:
    """How a sentence-transformers model makes one vector of a text.

    Attributes:
      mode: "cls", "mean" or "max" over the tokens.
      normalize: whether it is brought to length 1.
      max_length: tokens that are read; None: all.
    """

    mode: str = "mean"
    normalize: bool = True
    max_length: int | None = None


@dataclasses.dataclass(frozen=True)
class PortableModel:
    """A model between two formats.

    Attributes:
      kind: the format that it came from, for example "huggingface".
      source: file or folder.
      config: shape of the encoder.
      tensors: float32 by the names of our variables; "encoder/..." and the
        heads'.
      task: key of TASKS.
      vocabulary: None where the source has none.
      labels: names of the head's outputs; None where nobody says.
      pooling: None where the source does not make sentence vectors.
      rows: the map of names that was used.
      notes: what a person should know about the conversion.
      run: what run.json of a run of ours says, columns of files and the like;
        None for others.
      own_task: name of a task of somebody's own, whose head nobody here knows
        and which is not among the tensors; None for all other models.
    """

    kind: str
    source: Path
    config: BertConfig
    tensors: dict[str, np.ndarray]
    task: str = "encoder"
    vocabulary: Vocabulary | None = None
    labels: tuple[str, ...] | None = None
    pooling: Pooling | None = None
    rows: Sequence[Row] = ()
    notes: tuple[str, ...] = ()
    run: Mapping[str, object] | None = None
    own_task: str | None = None

    @property
    def parts(self) -> frozenset[str]:
        """The optional parts (names.PARTS) that the model has."""
        return frozenset(
            part for name in self.tensors if (part := part_of(name)) in PARTS
        )

    @property
    def outputs(self) -> int | None:
        """Width of the task's head; None without one."""
        bias = self.tensors.get("classifier/bias")
        return None if bias is None else len(bias)


def check(model: PortableModel) -> PortableModel:
    """Returns `model` if its pieces fit each other.

    Raises:
      UserError: vocabulary, labels or head contradict config or weights, or
        a number is not finite.
    """
    source, config = model.source, model.config
    vocabulary = model.vocabulary
    size = len(vocabulary.tokens) if vocabulary else config.vocab_size
    if size > config.vocab_size:
        raise UserError(
            f"{source}: the config says vocab_size {config.vocab_size}, the "
            f"vocabulary has {size} tokens, and "
            f"{vocabulary.tokens[config.vocab_size]!r} is the first without a "
            "row in the token table; these weights belong to another "
            "vocabulary"
        )
    if size < config.vocab_size:
        # Tables are padded to a multiple of 8, 64 or 128, for speed.
        note = (
            f"the token table has {config.vocab_size} rows for {size} tokens; "
            "the rows behind stand for no token"
        )
        notes = (*(n for n in model.notes if n != note), note)
        model = dataclasses.replace(model, notes=notes)
    if vocabulary:
        missing = set(SPECIAL_TOKENS) - set(vocabulary.tokens)
        if missing:
            raise UserError(
                f"{source}: the vocabulary lacks {', '.join(sorted(missing))}"
            )
    has_head = "head" in model.parts
    if has_head == (model.task in HEADLESS):
        raise UserError(
            f"{source}: a model for {model.task} "
            + ("has no head to classify with" if has_head else "needs a head")
        )
    if model.labels and model.outputs and len(model.labels) != model.outputs:
        raise UserError(
            f"{source}: {len(model.labels)} label names for a head of "
            f"{model.outputs} outputs"
        )
    broken = [
        name
        for name, value in model.tensors.items()
        if not np.isfinite(value).all()
    ]
    if broken:
        raise UserError(
            f"{source}: numbers that are not finite in {', '.join(broken)}"
        )
    return model
