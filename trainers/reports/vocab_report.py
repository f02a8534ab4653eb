"""What `tfbert vocab` prints: how a vocabulary fits each language."""

import logging

from tfbert.text.vocabulary_files import CONTINUATION
from tfbert.vocabulary.learning import VocabularyReport, VocabularySettings
from tfbert.vocabulary.mixture import WordMixture

_log = logging.getLogger(__name__)

# A name, and the figure as text.
_FIGURES = (
    ("character coverage", lambda report: f"{report.character_coverage:.4%}"),
    ("[UNK] words", lambda report: f"{report.unknown_rate:.4%}"),
    ("pieces per word", lambda report: f"{report.pieces_per_word:.3f}"),
)

_Reports = dict[str, VocabularyReport]


def print_report(
    tokens: list[str],
    old: list[str],
    settings: VocabularySettings,
    mixture: WordMixture,
    before: _Reports,
    after: _Reports,
) -> None:
    """Prints the figures, a column for each language.

    Args:
      tokens: the vocabulary.
      old: the tokens that it extends, if any.
      settings: what was asked for.
      mixture: the words that it was learnt from.
      before: how the old tokens fit each language; {} without them.
      after: how the new ones do.
    """
    rows = {"tokens": [_tokens(tokens, old, settings)]}
    if any(after):
        rows["language"] = list(after)
    rows["words"] = [f"{report.words:,}" for report in after.values()]
    rows["different words"] = [
        f"{report.distinct_words:,}" for report in after.values()
    ]
    if len(after) > 1:
        rows["share of words"] = [
            f"{mixture.share(language):.2%}" for language in after
        ]
        rows["share learnt from"] = [
            f"{mixture.weighted_share(language):.2%}" for language in after
        ]
    for name, show in _FIGURES:
        if before:
            rows[f"{name}, before"] = list(map(show, before.values()))
        rows[name] = list(map(show, after.values()))
    for line in aligned(rows):
        _log.info(line)


def _tokens(
    tokens: list[str], old: list[str], settings: VocabularySettings
) -> str:
    continuations = sum(token.startswith(CONTINUATION) for token in tokens)
    text = f"{len(tokens):,} ({continuations:,} continue a word"
    if old:
        text += f"; the first {len(old):,} as they were"
    text += ")"
    if len(tokens) < settings.size:
        text += (
            "; the text has no more pieces that occur "
            f"{settings.min_frequency} times"
        )
    return text


def aligned(rows: dict[str, list[str]]) -> list[str]:
    """Lines of a name and its columns; rows of several have equal columns."""
    wide = max(map(len, rows))
    columns = [row for row in rows.values() if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*columns, strict=True)]
    lines = []
    for name, row in rows.items():
        if len(row) > 1:
            row = [
                text.rjust(width)
                for text, width in zip(row, widths, strict=True)
            ]
        lines.append(f"  {name:<{wide}}  {'  '.join(row)}")
    return lines
