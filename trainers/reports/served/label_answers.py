"""Answers of token and role labelling models, without their filling."""

from collections.abc import Mapping

import numpy as np


def labels(outputs: Mapping[str, np.ndarray], card: Mapping) -> dict:
    """{"words": [...], "spans": [...]}, an object for each word and span."""
    answer = {
        "words": _objects(
            outputs,
            {
                "word": "words",
                "start": "starts",
                "end": "ends",
                "label": "labels",
                "score": "scores",
            },
        )
    }
    if "span_labels" in outputs:
        names = ("text", "start", "end", "label", "score")
        answer["spans"] = _objects(
            outputs, {name: f"span_{name}s" for name in names}
        )
    return answer


def roles(outputs: Mapping[str, np.ndarray], card: Mapping) -> dict:
    """{"predicates": [...]}, an object for each, with its arguments."""
    found = []
    for place, word in enumerate(outputs["predicates"]):
        if word < 0:
            continue
        own = {
            name: value[place]
            for name, value in outputs.items()
            if name.startswith("role_")
        }
        names = ("text", "start", "end", "label", "score")
        found.append(
            {
                "word": int(word),
                "text": _plain(outputs["words"][word]),
                "start": int(outputs["starts"][word]),
                "end": int(outputs["ends"][word]),
                "score": float(outputs["predicate_scores"][place]),
                "arguments": _objects(
                    own, {name: f"role_{name}s" for name in names}
                ),
            }
        )
    return {"predicates": found}


def label_cells(answer: Mapping) -> list[str]:
    """Of spans text and type; of plain labels each word's."""
    if "spans" in answer:
        return [
            "; ".join(f"{s['text']} ({s['label']})" for s in answer["spans"])
        ]
    return [" ".join(f"{w['word']}/{w['label']}" for w in answer["words"])]


def role_cells(answer: Mapping) -> list[str]:
    """A line for each predicate."""
    return [
        "\n".join(
            f"{p['text']}: "
            + "; ".join(f"{a['label']} {a['text']!r}" for a in p["arguments"])
            for p in answer["predicates"]
        )
    ]


def _objects(outputs: Mapping, names: Mapping[str, str]) -> list[dict]:
    """A dict for each place up to the filling; key -> output."""
    starts = outputs[names["start"]]
    return [
        {key: _plain(outputs[output][place]) for key, output in names.items()}
        for place in range(int((starts >= 0).sum()))
    ]


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value.item() if isinstance(value, np.generic) else value
