"""Answers of exported models, for programs (JSON) and for people (a table).

One entry of FORMS for each kind of export; of others every output is shown
as it is.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

_SHOWN_CLASSES = 3


@dataclasses.dataclass(frozen=True)
class Form:
    """How one kind of answer is shown.

    Attributes:
      columns: heads of the table's columns.
      cells: answer for JSON -> the text of each column.
      readable: (outputs of one example, card) -> answer for JSON.
    """

    columns: tuple[str, ...]
    cells: Callable[[Mapping], Sequence[str]]
    readable: Callable[[Mapping, Mapping], dict]


def form_of(card: Mapping, outputs: Sequence[str]) -> Form:
    """The form of a model's answers.

    Args:
      card: of the export; {} if it has none.
      outputs: names of the outputs of its `serving_default`.
    """
    kind = card.get("kind")
    if kind not in FORMS and set(outputs) == {"label", "probabilities"}:
        kind = "classification"
    return FORMS.get(kind) or Form(
        tuple(outputs), lambda answer: _texts(answer, outputs), plain
    )


def plain(outputs: Mapping[str, np.ndarray], card: Mapping = {}) -> dict:
    """Every output under its own name: text, numbers, and lists of them."""
    return {name: _value(value) for name, value in outputs.items()}


def _value(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, np.ndarray):
        return [_value(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _texts(answer: Mapping, names: Sequence[str]) -> list[str]:
    return [str(answer[name]) for name in names]


def named_probabilities(outputs: Mapping, card: Mapping) -> dict:
    """ "probabilities" as {label: probability}, the rest as it is."""
    answer = plain(outputs)
    values = answer["probabilities"]
    names = card.get("labels") or map(str, range(len(values)))
    answer["probabilities"] = dict(zip(names, values, strict=True))
    return answer


def _class_cells(answer: Mapping) -> list[str]:
    ranked = sorted(answer["probabilities"].items(), key=lambda x: -x[1])
    others = ", ".join(
        f"{name} {value:.3f}" for name, value in ranked[1:_SHOWN_CLASSES]
    )
    return [answer["label"], f"{ranked[0][1]:.4f}", others]


def _embedding_cells(answer: Mapping) -> list[str]:
    first = ", ".join(f"{x:.3f}" for x in answer["embedding"][:4])
    return [f"{first}, ..."]


FORMS = {
    "classification": Form(
        ("label", "probability", "next"), _class_cells, named_probabilities
    ),
    "embedding": Form(("embedding",), _embedding_cells, plain),
}
