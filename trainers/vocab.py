"""`tfbert vocab`: text -> WordPiece vocabulary."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import rich.progress

from tfbert import atomic
from tfbert.errors import UserError
from tfbert.vocabulary import CONTINUATION
from tfbert.vocabulary_learning import (
    VocabularyReport,
    VocabularySettings,
    learn_vocabulary,
    report_vocabulary,
)
from tfrecords.corpus import Corpus, Reading
from tfrecords.files import find_files
from trainers import command

EXAMPLE = "tfbert vocab --input 'corpus/*.txt' --output vocab.txt --size 8192"


def build_parser() -> command.Parser:
    """The verb's settings."""
    parser = command.make_parser(
        "vocab",
        "Learns a WordPiece vocabulary from text of any size. The same text "
        "gives the same file, whatever the order of the files.",
        EXAMPLE,
    )
    add = parser.add_argument
    add(
        "--input",
        type=str,
        nargs="+",
        required=True,
        help="text files, folders or quoted patterns: .txt, .jsonl, also with "
        ".gz or .zst; - is the standard input",
    )
    add("--output", type=str, required=True, help="the vocab.txt to write")
    add("--size", type=int, default=30522, help="tokens to learn")
    add(
        "--lowercase",
        type=bool,
        default=True,
        help="false keeps capitals and accents (a cased model)",
    )
    add("--cased", action="store_true", help="the same as --lowercase false")
    add(
        "--exclude",
        type=str,
        nargs="*",
        default=[],
        help="files, folders or quoted patterns to leave out of --input",
    )
    add(
        "--min_frequency",
        type=int,
        default=2,
        help="words and pairs that occur less often are not learnt from",
    )
    add(
        "--character_coverage",
        type=float,
        default=0.9999,
        help="share of the text that the kept characters make up",
    )
    add(
        "--documents",
        type=str,
        default="blank_line",
        help="what separates documents in .txt: blank_line or line",
    )
    add("--text_field", type=str, default="text", help="in .jsonl")
    add(
        "--on_bad_text",
        type=str,
        default="error",
        help="a line that is not UTF-8 or not JSON: error, skip or replace",
    )
    add("--overwrite", action="store_true", help="replace an existing file")
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb.

    Raises:
      UserError: the text cannot be read or holds no words, the size is too
        small for its characters, or the output exists.
    """
    values = build_parser().parse_args(argv)
    settings = VocabularySettings(
        size=values.size,
        lowercase=values.lowercase and not values.cased,
        min_frequency=values.min_frequency,
        character_coverage=values.character_coverage,
    )
    output = Path(values.output)
    if output.is_dir() or (output.exists() and not values.overwrite):
        raise UserError(
            f"{output} is there already. Give another --output"
            + ("." if output.is_dir() else ", or --overwrite to replace it.")
        )
    paths = _input_files(values.input, values.exclude)
    rejected: dict[str, int] = {}

    def reject(reason: str, file: str, line: int) -> None:
        rejected[reason] = rejected.get(reason, 0) + 1

    corpus = Corpus(
        paths,
        Reading(values.documents, values.text_field, values.on_bad_text),
        reject,
    )
    command.console.print(
        f"Learning {settings.size:,} tokens from {len(paths):,} files "
        f"({corpus.total_bytes / 1e6:,.1f} MB), "
        f"{'uncased' if settings.lowercase else 'cased'}."
    )
    # TensorFlow starts slowly: --help and mistakes do not wait for it.
    from tfbert.word_counts import WordCounts, count_words

    start = time.perf_counter()
    with WordCounts() as counts, _progress_bar() as progress:
        count_words(_watched(corpus, progress), settings.lowercase, counts)
        task = progress.add_task("Learning pieces", total=None)
        tokens = learn_vocabulary(counts, settings)
        progress.update(task, total=1, completed=1)
        report = _report(tokens, settings, counts, progress)
    text = "".join(token + "\n" for token in tokens)
    atomic.write_file(output, text)
    _print_report(tokens, settings, report, rejected)
    command.console.print(
        f"Wrote {output} in {time.perf_counter() - start:.1f} s.",
        markup=False,
    )


def _input_files(inputs: list[str], exclude: list[str]) -> list[str]:
    paths = find_files(inputs)
    if exclude:
        left_out = {os.path.realpath(path) for path in find_files(exclude)}
        paths = [
            path for path in paths if os.path.realpath(path) not in left_out
        ]
        if not paths:
            raise UserError(
                "--exclude leaves out every file of --input. Name fewer files "
                "in --exclude."
            )
    return paths


def _watched(
    corpus: Corpus, progress: rich.progress.Progress
) -> Iterator[bytes]:
    task = progress.add_task("Counting words", total=corpus.total_bytes)
    for document in corpus:
        yield document.text
        progress.update(task, completed=corpus.bytes_read)
    progress.update(task, completed=corpus.total_bytes)


def _report(tokens, settings, counts, progress) -> VocabularyReport:
    from tfbert.tokenization import Tokenizer

    task = progress.add_task("Measuring", total=None)
    tokenizer = Tokenizer(tokens, lowercase=settings.lowercase)
    report = report_vocabulary(
        tokenizer, counts, lambda words: progress.advance(task, words)
    )
    progress.update(
        task, total=report.distinct_words, completed=report.distinct_words
    )
    return report


def _print_report(
    tokens: list[str],
    settings: VocabularySettings,
    report: VocabularyReport,
    rejected: dict[str, int],
) -> None:
    continuations = sum(token.startswith(CONTINUATION) for token in tokens)
    lines = {
        "tokens": f"{len(tokens):,} ({continuations:,} continue a word)",
        "words": f"{report.words:,} ({report.distinct_words:,} different)",
        "character coverage": f"{report.character_coverage:.4%}",
        "[UNK] words": f"{report.unknown_rate:.4%}",
        "pieces per word": f"{report.pieces_per_word:.3f}",
    }
    if len(tokens) < settings.size:
        lines["tokens"] += (
            f"; the text has no more pieces that occur "
            f"{settings.min_frequency} times"
        )
    for reason, number in sorted(rejected.items()):
        lines[f"rejected lines, {reason}"] = f"{number:,}"
    width = max(map(len, lines))
    for name, value in lines.items():
        command.console.print(f"  {name:<{width}}  {value}", markup=False)


@contextlib.contextmanager
def _progress_bar() -> Iterator[rich.progress.Progress]:
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=command.console,
        transient=True,
        disable=not command.console.is_terminal,
    ) as progress:
        yield progress


if __name__ == "__main__":
    sys.exit(command.run(main))
