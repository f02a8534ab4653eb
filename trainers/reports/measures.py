"""What is measured of each kind of run, and what the figures are called."""

import math
from collections.abc import Iterable, Mapping

# The figures that a reader looks for, by the kind of run, the first one
# first. (The kinds' own order, `Kind.metrics`, chooses the best weights.)
MEASURES = {
    "pretraining": ("loss", "masked_lm_accuracy", "next_sentence_accuracy"),
    "classification": ("accuracy", "macro_f1"),
    "multi_label": ("micro_f1", "macro_f1"),
    "regression": ("pearson", "spearman"),
    "embedding": ("spearman", "mrr", "ndcg_at_10", "recall_at_10"),
    "multiple_choice": ("accuracy",),
    "question_answering": ("f1", "exact_match"),
    "token_labelling": ("f1", "precision", "recall", "accuracy"),
    "role_labelling": ("f1", "precision", "recall", "predicate_f1"),
}
# Of runs of another kind: the first of these that they have.
_ANY = ("accuracy", "micro_f1", "pearson", "f1", "loss")
KIND_TITLES = {
    "embedding": "vectors of texts",
    "question_answering": "question answering",
    "token_labelling": "labels of words",
    "role_labelling": "semantic roles",
    "multi_label": "several labels",
    "multiple_choice": "multiple choice",
}
TITLES = {
    "masked_lm_accuracy": "Masked-LM accuracy",
    "masked_lm_loss": "Masked-LM loss",
    "next_sentence_accuracy": "Next-sentence accuracy",
    "next_sentence_loss": "Next-sentence loss",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "predicate_f1": "Predicate F1",
    "has_answer_f1": "F1 where there is an answer",
    "has_answer_exact_match": "Exact match where there is an answer",
    "no_answer_f1": "F1 where there is no answer",
    "no_answer_exact_match": "Exact match where there is no answer",
    "f1": "F1",
    "matthews": "Matthews correlation",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "mrr": "Mean reciprocal rank",
    "ndcg_at_10": "nDCG@10",
    "recall_at_1": "Recall@1",
    "recall_at_5": "Recall@5",
    "recall_at_10": "Recall@10",
    "recall_at_100": "Recall@100",
    "mse": "Mean squared error",
    "subset_accuracy": "All labels right",
    "majority_baseline": "Accuracy of always the commonest",
    "majority_label": "Commonest label",
    "variance": "Squared error of always the mean",
    "chance": "Accuracy by chance",
    "calibration_error": "Calibration error, not calibrated",
    "calibrated_error": "Calibration error",
    "learning_rate": "Learning rate",
    "gradient_norm": "Gradient norm",
}
_TITLES_OF_KINDS = {
    ("token_labelling", "f1"): "Span F1",
    ("token_labelling", "precision"): "Span precision",
    ("token_labelling", "recall"): "Span recall",
    ("token_labelling", "macro_f1"): "Macro F1 over the types",
    ("token_labelling", "accuracy"): "Accuracy of words",
    ("role_labelling", "f1"): "Argument F1",
    ("role_labelling", "precision"): "Argument precision",
    ("role_labelling", "recall"): "Argument recall",
    ("pretraining", "loss"): "Loss",
    ("embedding", "accuracy"): "First found is right",
}
_LOWER_IS_BETTER = ("loss", "mse", "calibration_error", "calibrated_error")
# What a loss is counted in; a regression's is a squared error.
_LOSS_UNITS = {
    "regression": "squared error, scaled",
    "pretraining": "nats per prediction",
}


def title_of(name: str, kind: str = "") -> str:
    """The name of a value for people: "Masked-LM accuracy"."""
    known = _TITLES_OF_KINDS.get((kind, name)) or TITLES.get(name)
    return known or name.replace("_", " ").capitalize()


def title_of_kind(kind: str) -> str:
    """What a run of a kind learns, in words: "Question answering"."""
    words = KIND_TITLES.get(kind, kind.replace("_", " "))
    return words[:1].upper() + words[1:]


def measures_of(
    kind: str, known: Iterable[str], chosen: str | None = None
) -> list[str]:
    """The figures to show of a run, that of the task first.

    Args:
      kind: of the run; "" where it is not known.
      known: the figures that there are.
      chosen: data.metric of the run, which goes before the task's own.
    """
    known = set(known)
    if kind in MEASURES:
        wanted = MEASURES[kind]
    else:
        wanted = [name for name in _ANY if name in known][:1]
    wanted = dict.fromkeys([chosen, *wanted] if chosen else wanted)
    return [name for name in wanted if name in known]


def is_better(name: str, value: float, other: float) -> bool:
    """Whether `value` of a figure is better than `other`."""
    if name.endswith(_LOWER_IS_BETTER):
        return value < other
    return value > other


def best_row(rows: Iterable[Mapping], name: str) -> Mapping | None:
    """The first row with the best finite value of a figure, if any."""
    best = None
    for row in rows:
        if not is_finite(row.get(name)):
            continue
        if best is None or is_better(name, row[name], best[name]):
            best = row
    return best


def unit_of_loss(kind: str) -> str:
    """What the loss of a run is counted in."""
    return _LOSS_UNITS.get(kind, "nats per prediction" if not kind else "nats")


def is_finite(value: object) -> bool:
    """Whether a value is a number that can be drawn."""
    return isinstance(value, int | float) and math.isfinite(value)
