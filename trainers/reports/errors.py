"""What an evaluation got wrong, with its text, the words marked.

Made from the predictions file that `tfbert evaluate` wrote
(RUN/predictions-NAME.jsonl).
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfbert.json_files import parse_lines
from tfbert.tag_scheme import TagScheme
from trainers.reports import calibration, marked_text, plots
from trainers.reports.marked_text import Mark
from trainers.reports.page import Html, escape

MOST_ERRORS = 20
_LONGEST_TEXT = 400


@dataclasses.dataclass(frozen=True)
class Mistake:
    """One wrong answer.

    Attributes:
      badness: larger is worse; compared within one file.
      line: its line in the data file.
      body: the input as HTML, its words marked.
      right: what was wanted; "" where the body shows it.
      answer: what came.
      score: how sure the model was, or how far it was off.
    """

    badness: float
    line: int
    body: Html
    right: str
    answer: str
    score: str


def section(
    run_dir: Path,
    evaluations: Mapping[str, Mapping],
    about: Mapping | None = None,
) -> str:
    """Reliability and worst errors of each evaluation, as HTML.

    Args:
      run_dir: folder of the run.
      evaluations: its files "evaluation-NAME.json" by name.
      about: run.json.
    """
    parts = []
    for file, facts in evaluations.items():
        name = file.removeprefix("evaluation-").removesuffix(".json")
        rows = read_predictions(run_dir / f"predictions-{name}.jsonl")
        parts += _reliability(name, rows, facts)
        if _are_scores(rows):
            parts.append(_scatter(name, rows))
        if errors := mistakes(rows, about):
            parts.append(_list(name, errors, len(rows), _are_scores(rows)))
    return '<div class="grid">' + "".join(parts) + "</div>" if parts else ""


def _reliability(
    name: str, rows: Sequence[Mapping], facts: Mapping
) -> list[str]:
    """The reliability diagram, if there are probabilities."""
    temperature, labels = facts.get("temperature"), facts.get("labels") or ()
    pairs = calibration.confidences(rows, labels=labels)
    if not len(pairs):
        return []
    before = None
    if isinstance(temperature, float) and temperature > 0:
        before = calibration.confidences(rows, temperature, labels)
    return [calibration.figure(name, pairs, before)]


def read_predictions(path: Path) -> list[dict]:
    """The whole rows of a predictions file; none where there is no file."""
    if not path.is_file():
        return []
    return parse_lines(path.read_text("utf-8", errors="replace"))


def mistakes(
    rows: Sequence[Mapping], about: Mapping | None = None
) -> list[Mistake]:
    """The wrong answers, and scores that are off, the worst first.

    The worst is the one that the model was surest of; of several labels, the
    one with the label that is farthest off; of scores, the one that is
    farthest off; of answers in words, the one that shares least with a right
    one. Of equals the earlier line comes first.

    Args:
      rows: of a predictions file.
      about: run.json; says what the tags of words mean.
    """
    scheme = _scheme(rows, about or {})
    found = [mistake for row in rows if (mistake := _mistake(row, scheme))]
    return sorted(found, key=lambda mistake: -mistake.badness)


def _scheme(rows: Sequence[Mapping], about: Mapping) -> TagScheme:
    """What the tags of words mean; by their names where run.json is silent."""
    tags = {
        tag
        for row in rows
        if "words" in row
        for tag in [*row["label"], *row["predicted"]]
    }
    scheme = about.get("label_scheme")
    if scheme is None and about.get("has_spans") is False:
        scheme = "plain"
    # Roles, whose run.json names no scheme, are BIO.
    return TagScheme.of(sorted(tags), scheme)


def _mistake(row: Mapping, scheme: TagScheme) -> Mistake | None:
    right, answer = row.get("label"), row.get("predicted")
    if "f1" in row:
        return None if row["f1"] == 1 else _mistaken_answer(row)
    if "log_likelihood_good" in row:
        return None if row["right"] else _mistaken_pair(row)
    if right == answer or right is None:
        return None
    if "words" in row:
        return _mistaken_words(row, scheme)
    line, texts = row.get("line", 0), row.get("text", [])
    body = marked_text.plain(texts, _LONGEST_TEXT)
    if isinstance(answer, float):
        off = answer - right
        shown = f"{right:.4g}", f"{answer:.4g}", f"off by {off:+.4g}"
        return Mistake(abs(off), line, body, *shown)
    if isinstance(answer, list):
        # Of labels that stand side by side the order says nothing.
        if set(right) == set(answer):
            return None
        # Runs of before have no miss, and nothing that tells it.
        miss = row.get("largest_miss")
        shown = [", ".join(some) or "none" for some in (right, answer)]
        score = "" if miss is None else f"farthest label off by {miss:.4f}"
        return Mistake(miss or 0.0, line, body, *shown, score)
    sure = max(row.get("probabilities") or [0.0])
    if "choices" in row:
        right, answer = row["choices"][right], row["choices"][answer]
    return Mistake(sure, line, body, right, answer, _confidence(sure))


def _mistaken_pair(row: Mapping) -> Mistake:
    """A pair of sentences of which the wrong one is the likelier."""
    off = row["log_likelihood_bad"] - row["log_likelihood_good"]
    pair = row["sentence_good"], row["sentence_bad"]
    about = f"{row['phenomenon']}, " if "phenomenon" in row else ""
    score = f"{about}likelier by {off:.2f} nats"
    return Mistake(off, row["line"], Html(""), *pair, score)


def _mistaken_answer(row: Mapping) -> Mistake:
    """A question with the neighbourhood of the answers in its context."""
    gold, given = row.get("gold", []), row.get("answer", "")
    body = Html("")
    if len(texts := row.get("text", [])) == 2:
        question, context = texts
        start, end = row.get("start", -1), row.get("end", -1)
        marks = marked_text.places_of(context, gold, max(start, 0))
        marks += [Mark(start, end, "got")] if start >= 0 else []
        question = f'<p class="text" dir="auto"><b>{escape(question)}</b></p>'
        body = Html(question + marked_text.marked(context, marks))
    return Mistake(
        1 - row["f1"],
        row.get("line", 0),
        body,
        " / ".join(dict.fromkeys(gold)) or "no answer",
        given or "no answer",
        f"F1 {row['f1']:.2f}",
    )


def _mistaken_words(row: Mapping, scheme: TagScheme) -> Mistake:
    """A sentence with its spans, or with its wrong tags."""
    parts = zip(row["label"], row["predicted"], row["scores"], strict=True)
    sure = [score for right, answer, score in parts if right != answer]
    if scheme.has_spans:
        body = marked_text.sentence_of_spans(row, scheme)
    else:
        body = marked_text.sentence_of_tags(row)
    words = "1 word" if len(sure) == 1 else f"{len(sure)} words"
    score = f"{words} wrong, {_confidence(max(sure))}"
    return Mistake(max(sure), row["line"], body, "", "", score)


def _confidence(probability: float) -> str:
    return f"confidence {probability:.1%}"


def _are_scores(rows: Sequence[Mapping]) -> bool:
    return bool(rows) and isinstance(rows[0].get("predicted"), float)


def _scatter(name: str, rows: Sequence[Mapping]) -> str:
    """Predicted over expected numbers."""
    right = [row["label"] for row in rows]
    ends = [min(right), max(right)]
    # As many as can be told apart, from all over the file.
    some = rows[:: max(1, len(rows) // 1000)]
    plot = plots.Plot(
        f"scores-{plots.slug(name)}",
        f"Scores on {name}",
        "expected",
        "predicted",
        [
            plots.Curve("equal", ends, ends, plots.MUTED),
            plots.Curve(
                "examples",
                [row["label"] for row in some],
                [row["predicted"] for row in some],
                line=False,
            ),
        ],
    )
    return f"<figure>{plots.draw(plot)}</figure>"


def _list(
    name: str, errors: Sequence[Mistake], answers: int, scores: bool
) -> str:
    if scores:
        # A score is hardly ever right to all digits, nor need it be.
        shown = min(len(errors), MOST_ERRORS)
        title = f"{name}: the {shown} of {answers:,} scores farthest off"
    else:
        what = "answers are wrong"
        if not errors[0].answer:
            what = "sentences have a wrong label"
        title = f"{name}: {len(errors):,} of {answers:,} {what}"
        if len(errors) > MOST_ERRORS:
            title += f"; the worst {MOST_ERRORS}"
    items = "".join(_item(error) for error in errors[:MOST_ERRORS])
    return (
        f'<div class="card wide"><p class="muted">{escape(title)}</p>'
        f"{items}</div>"
    )


def _item(error: Mistake) -> str:
    facts = [f'<span class="muted">line {error.line:,}</span>']
    for words, value, style in (
        ("expected", error.right, "wanted"),
        ("predicted", error.answer, "got"),
    ):
        if value:
            value = escape(marked_text.short(value, _LONGEST_TEXT))
            facts.append(
                f'<span>{words} <mark class="{style}" dir="auto">{value}'
                "</mark></span>"
            )
    if error.score:
        facts.append(f'<span class="muted">{escape(error.score)}</span>')
    return (
        f'<div class="mistake"><div class="facts">{"".join(facts)}</div>'
        f"{error.body}</div>"
    )
