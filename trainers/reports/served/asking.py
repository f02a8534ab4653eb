"""Asks a model's signature on strings, loaded or still in memory."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfbert.errors import UserError
from tfbert.serving.package import versions
from trainers.reports.served import answers

if TYPE_CHECKING:
    from tfbert.serving.graphs.servable import Servable

# Texts of one call of the model.
_BATCH = 64

# The inputs for one answer: texts; of multiple choice a text and a list.
Input = tuple[str | list[str], ...]


class Session(Protocol):
    """What runs signatures.

    Attributes:
      inputs: signature -> input -> its NumPy dtype, object for strings; None
        if it is not known.
      outputs: signature -> names of its outputs.
    """

    inputs: Mapping[str, Mapping[str, np.dtype | None]]
    outputs: Mapping[str, Iterable[str]]

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray]
    ) -> Mapping[str, np.ndarray]:
        """The outputs, by name."""


class Asked:
    """A signature on strings, and the form of its answers.

    Args:
      session: what runs it.
      card: facts of the export; {} if it has none.
      signature: which is asked.
      where: it comes from, for messages.

    Attributes:
      inputs: names of its inputs: ["text"], ["text_a", "text_b"], or what
        the export's card says.
      card: what the export says of itself.
      form: how its answers are shown.

    Raises:
      UserError: there is no such signature, or it is on something else.
    """

    def __init__(
        self, session: Session, card: Mapping, signature: str, where: object
    ):
        self._session, self.card, self._signature = session, card, signature
        self._dtypes = session.inputs.get(signature)
        if self._dtypes is None:
            raise UserError(
                f"{where}: there is no signature {signature!r}; wanted one "
                f"of {', '.join(session.inputs) or 'none'}."
            )
        self.inputs = sorted(self._dtypes)
        known = card.get("inputs", [])
        if sorted(known) == self.inputs:
            self.inputs = known
        elif self.inputs not in (["text"], ["text_a", "text_b"]):
            raise UserError(
                f"{where}: an export with the inputs text, or text_a and "
                f"text_b, was wanted, not with {', '.join(self.inputs) or 0}."
            )
        self.form = answers.form_of(card, sorted(session.outputs[signature]))

    @property
    def has_choices(self) -> bool:
        """Whether the second input is a list of choices."""
        return self.inputs == ["question", "choices"]

    def choices_column(self, columns: Sequence[str] = ()) -> str | None:
        """The column of a file that lists choices; "": each has its own.

        Args:
          columns: that are read; () for those of the training data.

        Returns:
          None where the model reads no choices.
        """
        if not self.has_choices:
            return None
        columns = columns or self.card.get("text_columns", ())
        return columns[1] if len(columns) == 2 else ""

    def check(self, inputs: Sequence[Input]) -> None:
        """Refuses sentences where pairs are wanted, and pairs elsewhere.

        Raises:
          UserError: so it is.
        """
        for texts in inputs:
            if self.has_choices:
                if len(texts) != 2 or isinstance(texts[1], str):
                    raise UserError(
                        "this model chooses: give a question, and two or "
                        "more choices with --choice."
                    )
            elif len(texts) < len(self.inputs):
                raise UserError(
                    f"this model reads pairs ({' and '.join(self.inputs)}): "
                    "give the second one with --text_b."
                )
            elif len(texts) > len(self.inputs):
                raise UserError(
                    "this model reads single sentences: leave --text_b out, "
                    "and --choice."
                )
            elif not isinstance(texts[-1], str):
                raise UserError(
                    "this model reads pairs: give --text_b, not --choice."
                )

    def _column(self, name: str, column: Sequence[str | list[str]]):
        """An array for the input `name`: bytes of texts, or numbers."""
        # Of a dtype that is not known here the model says what it wants.
        dtype = self._dtypes[name] or np.dtype(np.int32)
        if dtype.hasobject:
            return np.array(_utf8(column), object)
        try:
            return np.array([int(text) for text in column], dtype)
        except (ValueError, OverflowError) as error:
            raise UserError(
                f"the model's input {name} is a whole number: {error}"
            ) from error

    def answer(self, inputs: Sequence[Input]) -> Iterator[dict]:
        """Yields a dict for each of `inputs`, in its kind's form."""
        for start in range(0, len(inputs), _BATCH):
            yield from self.answer_batch(inputs[start : start + _BATCH])

    def answer_batch(self, inputs: Sequence[Input]) -> list[dict]:
        """The answers of one call of the model.

        Raises:
          UserError: the model refuses it.
        """
        columns = zip(*inputs, strict=True)
        batch = {
            name: self._column(name, column)
            for name, column in zip(self.inputs, columns, strict=True)
        }
        outputs = self._session.run(self._signature, batch)
        answers = []
        for row in range(len(next(iter(outputs.values())))):
            one = {name: value[row] for name, value in outputs.items()}
            answer = self.form.readable(one, self.card)
            if self.has_choices:
                # Without those that only filled the batch up.
                count = len(inputs[row][1])
                answer["probabilities"] = answer["probabilities"][:count]
            answers.append(answer)
        return answers


def load_model(
    version: str | os.PathLike, signature: str = "serving_default"
) -> Asked:
    """An export's signature on strings.

    Args:
      version: folder of the SavedModel.
      signature: name of the signature that is asked.

    Raises:
      UserError: the folder holds some other kind of SavedModel.
    """
    from tfbert.serving.package import c_session
    from tfbert.serving.package.operations import check_only_computes

    # A damaged card is told before what takes longer.
    card = versions.read_card(version)
    check_only_computes(version)
    return Asked(c_session.Session(version), card, signature, version)


def asked(
    servable: "Servable",
    card: Mapping,
    signature: str = "serving_default",
    where: object = "the model",
) -> Asked:
    """A servable in memory, asked as its export would be.

    Args:
      servable: what would be exported.
      card: facts of the export.
      signature: which is asked.
      where: it comes from, for messages.

    Raises:
      UserError: it has no such signature.
    """
    from trainers.reports.served.session import ServedSession

    return Asked(ServedSession(servable, signature), card, signature, where)


def _utf8(column: Sequence[str | list[str]]) -> list:
    """The bytes of texts, or of lists of texts, filled up to equal length."""
    most = max(len(text) for text in column)
    return [
        # Bytes of the command line that are no UTF-8 came in as surrogates;
        # the model answers for them too.
        text.encode("utf-8", "surrogateescape")
        if isinstance(text, str)
        else _utf8(text + [""] * (most - len(text)))
        for text in column
    ]


def as_inputs(texts: object) -> list[Input]:
    """Texts as the inputs of a signature, a tuple for each answer.

    Args:
      texts: texts; or tuples of what one answer needs.

    Raises:
      UserError: they are something else.
    """
    if isinstance(texts, str):
        texts = [texts]
    if texts is None or not isinstance(texts, Iterable):
        raise UserError(f"wanted a list of texts, got {texts!r}")
    inputs = []
    for place, text in enumerate(texts):
        one = (text,) if isinstance(text, str) else text
        if not isinstance(one, tuple | list) or not all(
            isinstance(part, str | list | tuple) for part in one
        ):
            raise UserError(
                f"wanted texts, or a tuple of them for each answer, got "
                f"{text!r} at place {place}"
            )
        inputs.append(
            tuple(part if isinstance(part, str) else list(part) for part in one)
        )
    return inputs
