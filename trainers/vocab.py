"""`tfbert vocab`: text -> WordPiece vocabulary."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import rich.progress

from tfbert import __version__
from tfbert.errors import UserError
from tfbert.files import check_folder, write_file
from tfbert.text.vocabulary_case import check_case_file, write_case
from tfbert.text.vocabulary_files import vocabulary_text
from tfbert.vocabulary.extension import extend_vocabulary, read_old_vocabulary
from tfbert.vocabulary.learning import (
    VocabularyReport,
    VocabularySettings,
    learn_vocabulary,
    report_vocabulary,
)
from tfbert.vocabulary.mixture import DEFAULT_TEMPERATURE, WordMixture
from tfrecords.text.corpus import Corpus, Reading
from tfrecords.text.files import can_be_read_again, find_files
from trainers import command
from trainers.files.console import console
from trainers.files.text import duration
from trainers.files.text import size as size_text
from trainers.reports import vocab_report
from trainers.settings import text_options

EXAMPLE = "tfbert vocab --input 'corpus/*.txt' --output vocab.txt --size 8192"


def build_parser() -> command.Parser:
    """The verb's settings."""
    parser = command.make_parser(
        "vocab",
        "Learns a WordPiece vocabulary from text of any size, or adds pieces "
        "to one. The same text gives the same file, whatever the order of "
        "the files.",
        EXAMPLE,
        may_be_addresses=("input", "language", "exclude"),
    )
    _add_text(parser.add_argument)
    text_options.add_reading(parser)
    _add_vocabulary(parser.add_argument)
    text_options.add_case(parser)
    return parser


def _add_text(add) -> None:
    add(
        "--input",
        type=str,
        nargs="+",
        default=[],
        help=text_options.INPUT_HELP,
    )
    add(
        "--language",
        type=str,
        action="append",
        default=[],
        help="instead of --input, once for each language: NAME=FILES, as in "
        "en='corpus/en/*.txt'; several for a language add up",
    )
    add(
        "--temperature",
        type=float,
        default=DEFAULT_TEMPERATURE,
        help="exponent of the languages' shares: 1 takes them as they are in "
        "the text, 0 all alike",
    )
    add(
        "--exclude",
        type=str,
        nargs="*",
        default=[],
        help="files, folders or quoted patterns to leave out",
    )


def _add_vocabulary(add) -> None:
    add("--output", type=str, required=True, help="the vocab.txt to write")
    add(
        "--size",
        type=int,
        default=30522,
        help="tokens of the vocabulary, with the old ones of --extend",
    )
    add(
        "--extend",
        type=str,
        default="",
        help="a vocab.txt to append new pieces to; its ids stay the same",
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
        help="share of each language's text that the kept characters make up",
    )
    add("--overwrite", action="store_true", help="replace an existing file")


def main(argv: list[str] | None = None) -> None:
    """Runs the verb.

    Raises:
      UserError: the text cannot be read or holds no words, the size is too
        small, or the output exists.
    """
    values = build_parser().parse_args(argv)
    old, lowercase = [], text_options.asked_case(values)
    if values.extend:
        old, lowercase = read_old_vocabulary(
            values.extend, values.size, lowercase
        )
    settings = VocabularySettings(
        size=values.size,
        lowercase=lowercase is not False,
        min_frequency=values.min_frequency,
        character_coverage=values.character_coverage,
        temperature=values.temperature,
    )
    output = Path(values.output)
    if output.is_dir() or (output.exists() and not values.overwrite):
        raise UserError(
            f"{output} is there already. Give another --output"
            + ("." if output.is_dir() else ", or --overwrite to replace it.")
        )
    check_folder(output.parent)
    if not output.exists():
        check_case_file(output, settings.lowercase)
    rejected: dict[str, int] = {}

    def reject(reason: str, file: str, line: int = 0) -> None:
        rejected[reason] = rejected.get(reason, 0) + 1

    paths = _files_of_languages(
        values.input, values.language, values.exclude, reject
    )
    reading = text_options.reading(values)
    texts = {
        language: Corpus(files, reading, reject)
        for language, files in paths.items()
    }
    size = sum(corpus.total_bytes for corpus in texts.values())
    console.print(
        f"Learning {settings.size - len(old):,} "
        f"{'more ' if old else ''}tokens from "
        f"{sum(map(len, paths.values())):,} files ({size_text(size)}), "
        f"{'uncased' if settings.lowercase else 'cased'}."
    )
    start = time.perf_counter()
    kept = _kept_counts(paths, settings.lowercase, reading, output)
    _learn(texts, old, settings, output, kept)
    for reason, number in sorted(rejected.items()):
        console.print(f"  left out, {reason}: {number:,}")
    console.print(
        f"Wrote {output}, and beside it tokenizer_config.json with its case, "
        f"in {duration(time.perf_counter() - start)}. Next: tfbert records "
        f"--input TEXT --vocab {output} --output records/",
        markup=False,
    )


def _learn(
    texts: dict[str, Corpus],
    old: list[str],
    settings: VocabularySettings,
    output: Path,
    kept: Mapping[str, tuple[Path, dict[str, str]]],
) -> None:
    """Counts, learns, writes the vocabulary and prints how it fits.

    Args:
      texts: of each language.
      old: tokens that there are already.
      settings: of the vocabulary.
      output: its file.
      kept: language -> file of its counts while they are made, and what they
        depend on beside the text.
    """
    # TensorFlow starts slowly: --help and mistakes do not wait for it.
    from tfbert.vocabulary.saved_counts import SavedCounts
    from tfbert.vocabulary.word_counts import WordCounts, count_words

    memory = 8_000_000  # Different words, for all languages together.
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_progress_bar())
        languages, books = {}, []
        for language, corpus in texts.items():
            counts = stack.enter_context(WordCounts(memory // len(texts)))
            watched = _watched(corpus, progress, language)
            if language in kept:
                books.append(SavedCounts(*kept[language], counts))
                if books[-1].texts:
                    console.print(
                        f"Going on with {counts.total:,} words that an "
                        "earlier start has counted."
                    )
                texts_left, counted = books[-1].left(watched), books[-1].counted
                count_words(texts_left, settings.lowercase, counts, counted)
            else:
                count_words(watched, settings.lowercase, counts)
            languages[language] = counts
        mixture = WordMixture(languages, settings.temperature)
        task = progress.add_task("Learning pieces", total=None)
        if old:
            tokens = extend_vocabulary(old, mixture, settings)
        else:
            tokens = learn_vocabulary(mixture, settings)
        progress.update(task, total=1, completed=1)
        after = _reports(tokens, settings, mixture, progress)
        before = _reports(old, settings, mixture, progress) if old else {}
    write_case(output, settings.lowercase)
    write_file(output, vocabulary_text(tokens))
    for book in books:
        book.remove()
    vocab_report.print_report(tokens, old, settings, mixture, before, after)


def _kept_counts(
    paths: Mapping[str, list[str]],
    lowercase: bool,
    reading: Reading,
    output: Path,
) -> dict[str, tuple[Path, dict[str, str]]]:
    """Where the counts of each language are kept, and what they depend on.

    Of text that cannot be read again none are.
    """
    kept = {}
    for number, (language, found) in enumerate(paths.items()):
        if can_be_read_again(found):
            path = output.with_name(f"{output.name}.counts-{number}")
            made_with = {"lowercase": str(lowercase), "language": language}
            made_with["version of tfbert"] = __version__
            for name, value in dataclasses.asdict(reading).items():
                made_with[name] = str(value)
            kept[language] = path, made_with
    return kept


def _files_of_languages(
    inputs: list[str],
    languages: list[str],
    exclude: list[str],
    leave_out: Callable[[str, str], None],
) -> dict[str, list[str]]:
    """The files of each language, by its name; of --input, by ""."""
    if bool(inputs) == bool(languages):
        raise UserError(
            "Text is given by --input, or by --language NAME=FILES for each "
            "language (then several are weighted by --temperature); got "
            f"{'both' if inputs else 'neither'}."
        )
    names: dict[str, list[str]] = {"": inputs} if inputs else {}
    for language in languages:
        name, equals, pattern = language.partition("=")
        if not (name and equals and pattern):
            raise UserError(
                f"--language {language!r}: wanted NAME=FILES, as in "
                "--language en='corpus/en/*.txt'."
            )
        names.setdefault(name, []).append(pattern)
    paths = {
        name: _input_files(patterns, exclude, leave_out)
        for name, patterns in sorted(names.items())
    }
    owners: dict[str, str] = {}
    for name, files in paths.items():
        for file in files:
            owner = owners.setdefault(os.path.realpath(file), name)
            if owner != name:
                raise UserError(
                    f"{file} is named for two languages, {owner} and {name}. "
                    "Its words would count twice: give it to one of them."
                )
    return paths


def _input_files(
    inputs: list[str],
    exclude: list[str],
    leave_out: Callable[[str, str], None],
) -> list[str]:
    paths = find_files(inputs, leave_out)
    if exclude:
        left_out = {os.path.realpath(path) for path in find_files(exclude)}
        paths = [
            path for path in paths if os.path.realpath(path) not in left_out
        ]
        if not paths:
            raise UserError(
                f"--exclude leaves out every file of {' '.join(inputs)}. Name "
                "fewer files in --exclude."
            )
    return paths


def _watched(
    corpus: Corpus, progress: rich.progress.Progress, language: str
) -> Iterator[bytes]:
    task = progress.add_task(
        f"Counting words {language}".rstrip(), total=corpus.total_bytes
    )
    for document in corpus:
        yield document.text
        progress.update(task, completed=corpus.bytes_read)
    progress.update(task, completed=corpus.total_bytes)


def _reports(
    tokens: list[str],
    settings: VocabularySettings,
    mixture: WordMixture,
    progress: rich.progress.Progress,
) -> dict[str, VocabularyReport]:
    """How `tokens` fit each language."""
    from tfbert.text.tokenizer import Tokenizer

    task = progress.add_task("Measuring", total=None)
    tokenizer = Tokenizer(tokens, lowercase=settings.lowercase)
    reports = {
        language: report_vocabulary(
            tokenizer, counts, lambda words: progress.advance(task, words)
        )
        for language, counts in mixture.languages.items()
    }
    progress.update(task, total=1, completed=1)
    return reports


@contextlib.contextmanager
def _progress_bar() -> Iterator[rich.progress.Progress]:
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}", markup=False),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        yield progress


if __name__ == "__main__":
    sys.exit(command.script(main))
