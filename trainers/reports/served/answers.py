"""Answers of exported models, for programs (JSON) and for people (a table).

One entry of FORMS for each kind of export; of others every output is shown
as it is.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from trainers.reports.served import label_answers

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
      outputs: names of the outputs of the signature that is asked.
    """
    by_outputs = {
        ("embedding",): "embedding",
        ("similarity",): "similarity",
        ("masks", "scores", "tokens"): "fill_mask",
        ("log_likelihood", "tokens"): "score",
        ("label", "probabilities"): card.get("kind", "classification"),
    }
    kind = by_outputs.get(tuple(sorted(outputs)), card.get("kind"))
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


def _fills(outputs: Mapping, card: Mapping) -> dict:
    """A list of tokens and scores for each mask that the text has."""
    rows = zip(outputs["tokens"], outputs["scores"], strict=True)
    fills = [
        [
            {"token": _value(token), "score": _value(score)}
            for token, score in zip(*row, strict=True)
        ]
        for row in rows
    ]
    return {"masks": fills[: outputs["masks"]]}


def _fill_cells(answer: Mapping) -> list[str]:
    masks = [
        ", ".join(f"{fill['token']} {fill['score']:.3f}" for fill in fills)
        for fills in answer["masks"]
    ]
    return ["; ".join(masks) or "no [MASK] in the text"]


def _score_cells(answer: Mapping) -> list[str]:
    return [f"{answer['score']:.4f}"]


def _likelihood_cells(answer: Mapping) -> list[str]:
    return [f"{answer['log_likelihood']:.4f}", str(answer["tokens"])]


def _similarity_cells(answer: Mapping) -> list[str]:
    return [f"{answer['similarity']:.4f}"]


def _labels(outputs: Mapping, card: Mapping) -> dict:
    """Without the empty strings that fill "labels" up."""
    answer = named_probabilities(outputs, card)
    answer["labels"] = [label for label in answer["labels"] if label]
    return answer


def _labels_cells(answer: Mapping) -> list[str]:
    found = answer["probabilities"]
    shown = [f"{name} {found[name]:.3f}" for name in answer["labels"]]
    return [", ".join(shown) or "none"]


def _choice_cells(answer: Mapping) -> list[str]:
    place = answer["choice"]
    return [answer["answer"], f"{answer['probabilities'][place]:.4f}"]


FORMS = {
    "classification": Form(
        ("label", "probability", "next"), _class_cells, named_probabilities
    ),
    "embedding": Form(("embedding",), _embedding_cells, plain),
    "fill_mask": Form(("at each [MASK]",), _fill_cells, _fills),
    "score": Form(("log-likelihood", "tokens"), _likelihood_cells, plain),
    "similarity": Form(("similarity",), _similarity_cells, plain),
    "regression": Form(("score",), _score_cells, plain),
    "multi_label": Form(("labels",), _labels_cells, _labels),
    "multiple_choice": Form(("answer", "probability"), _choice_cells, plain),
    "token_labelling": Form(
        ("labels",), label_answers.label_cells, label_answers.labels
    ),
    "role_labelling": Form(
        ("predicates and arguments",),
        label_answers.role_cells,
        label_answers.roles,
    ),
}
