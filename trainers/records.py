"""`tfbert records`: text -> compact records for pretraining."""

import sys
import time
from pathlib import Path

from tfbert.errors import UserError
from tfbert.text.vocabulary_case import check_case, tokens_and_case
from tfrecords import layout
from tfrecords.build.build import BuildSettings, build_records, is_kept
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.reader import vocabulary_of
from tfrecords.storage.verify import Fault, verify
from tfrecords.text import formats, remote
from trainers import command
from trainers.files.console import console
from trainers.files.reading_bar import ended_by_sigterm, reading_bar
from trainers.files.text import duration, size
from trainers.settings import text_options

# Fewer lines without an empty one may well be one text.
_MANY_LINES = 50
_KEPT = "the same command goes on from what was made"
_LEFT = "nothing was left behind"

EXAMPLE = (
    "tfbert records --input 'corpus/*.txt' --vocab vocab.txt --output records/ "
    "--max_length 128 --held_out 0.01"
)


def build_parser() -> command.Parser:
    """The verb's settings."""
    parser = command.make_parser(
        "records",
        "Turns text into records for pretraining. `tfbert records verify DIR` "
        "checks a folder of records.",
        EXAMPLE,
        may_be_addresses=("input", "beam_options"),
    )
    add = parser.add_argument
    add(
        "--input",
        type=str,
        nargs="+",
        required=True,
        help=text_options.INPUT_HELP,
    )
    add("--vocab", type=str, required=True, help="vocab.txt of `tfbert vocab`")
    add("--output", type=str, required=True, help="folder to make")
    add("--max_length", type=int, default=128, help="tokens of a row")
    text_options.add_case(parser)
    add(
        "--held_out",
        type=float,
        default=0.0,
        help="share of the documents that goes to OUTPUT/held_out",
    )
    add(
        "--objective",
        type=str,
        default="masked_lm",
        help="masked_lm; next_sentence or sentence_order make pairs",
    )
    add(
        "--packing",
        type=bool,
        default=True,
        help="let short documents share a row (kept apart in attention)",
    )
    text_options.add_reading(parser)
    add("--keep_duplicates", action="store_true", help="keep equal documents")
    add(
        "--near_duplicates",
        type=float,
        default=0.0,
        help="leave out documents that are nearly copies: 0.8 for those that "
        "have 80 %% of their runs of five words in common; 0: keep them",
    )
    add("--shard_rows", type=int, default=65536, help="rows of a file")
    add("--processes", type=int, default=0, help="0: as many as pay")
    add("--seed", type=int, default=0, help="of sentence pairs")
    _add_runner(parser)
    return parser


def _add_runner(parser: command.Parser) -> None:
    """Adds the settings of who runs the build."""
    add = parser.add_argument
    add("--runner", type=str, default="local", help="local or beam")
    add(
        "--beam_options",
        type=str,
        default="",
        help="of Apache Beam, as one text: --beam_options='--runner=...'",
    )


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["verify"]:
        verify_main(argv[1:])
        return
    parsed = build_parser().parse_args(argv)
    values = parsed.as_dict()
    del values["cased"]
    tokens, known = tokens_and_case(parsed.vocab)
    asked = text_options.asked_case(parsed)
    values["lowercase"] = check_case(parsed.vocab, known, asked)
    settings = BuildSettings(**values)
    console.print(
        f"Building {'uncased' if settings.lowercase else 'cased'} rows of "
        f"{settings.max_length} tokens in {settings.output}."
    )
    start = time.perf_counter()
    with (
        ended_by_sigterm(lambda: _KEPT if is_kept(settings.output) else _LEFT),
        reading_bar("reading") as show,
    ):
        manifests = build_records(
            settings,
            lambda read, total, documents, rows: show(
                read, total, rows, f"{documents:,} documents, "
            ),
            tokens,
        )
    _print_account(manifests, settings, time.perf_counter() - start)


def build_verify_parser() -> command.Parser:
    """The settings of `tfbert records verify`."""
    parser = command.make_parser(
        "records verify",
        "Checks every checksum of a folder of records, and names the file, "
        "the record and the byte of what is wrong.",
        "tfbert records verify records/",
        may_be_addresses=("folder",),
    )
    parser.add_argument(
        "folder", type=str, help="what to check, also of the 2018 format"
    )
    parser.add_argument(
        "--vocab",
        type=str,
        help="vocabulary of records of the 2018 format that have no vocab.txt "
        "beside them",
    )
    return parser


def verify_main(argv: list[str]) -> None:
    """Runs `tfbert records verify`.

    Raises:
      UserError: something is wrong; all of it is printed before.
    """
    settings = build_verify_parser().parse_args(argv)
    folder = remote.local(settings.folder)
    if remote.is_remote(settings.folder):
        console.print(
            f"Checking the copy of {settings.folder} that a trainer here "
            f"would read, {folder}.",
            markup=False,
        )
    if folder.is_dir() and not (folder / layout.MANIFEST_FILE).exists():
        found = [_check_static(folder, settings.vocab)]
    else:
        manifest = Manifest.read(folder)
        found = [_check(folder, manifest)]
        if manifest.held_out_share and manifest.split == "train":
            held_out = folder / layout.HELD_OUT_FOLDER
            found.append(_check(held_out, Manifest.read(held_out)))
    bad = sum(len(faults) for _, faults in found)
    checked = sum(rows for rows, _ in found)
    if bad:
        lost = sum(fault.rows for _, faults in found for fault in faults)
        raise UserError(
            f"{bad} fault{'s' if bad > 1 else ''} in {folder}, which touch "
            f"{lost} of {checked} rows. Copy the files named above again from "
            "where they came, or build the records again."
        )
    console.print(
        f"{folder}: all checksums agree ({checked:,} rows).", markup=False
    )


def _check(path: Path, manifest: Manifest) -> tuple[int, list[Fault]]:
    """Rows and faults of records of ours, which are printed."""
    tokens = vocabulary_of(path, manifest)
    faults = verify(path, manifest, TokenClasses.of(tokens))
    _print_faults(path, faults)
    return manifest.rows, faults


def _check_static(path: Path, vocab: str | None) -> tuple[int, list[Fault]]:
    """Rows and faults of records of the 2018 format, which are printed."""
    # Imported here: these are read by TensorFlow.
    from tfrecords.storage.legacy_2018 import StaticRecords

    records = StaticRecords(path, vocab, on_corrupt="skip")
    _print_faults(path, records.faults)
    return records.num_rows, records.faults


def _print_faults(path: Path, faults: list[Fault]) -> None:
    for fault in faults:
        console.print(f"{path}: {fault}", markup=False)


def _print_account(manifests, settings, seconds) -> None:
    """What was read, what was left out, what was made."""
    train = manifests["train"]
    out = console.print
    num_bytes = sum(source["bytes"] for source in train.sources)
    text = sum(manifest.text_bytes for manifest in manifests.values())
    out(
        f"Read {len(train.sources)} files, {size(num_bytes)}, in "
        f"{duration(seconds)} ({size(text / seconds)} of text a second)."
    )
    for name, manifest in manifests.items():
        words = manifest.tokens - manifest.special_tokens
        unknown = manifest.unknown_tokens / max(1, words)
        out(
            f"{name}: {manifest.documents:,} documents, {words:,} tokens "
            f"({100 * unknown:.3f} % [UNK]), {manifest.rows:,} rows, "
            f"{100 * manifest.packing_efficiency:.2f} % of places filled, "
            f"{len(manifest.shards)} files, "
            f"{100 * manifest.overhead:.2f} % overhead"
        )
    for reason, count in train.rejected.items():
        out(f"left out, {reason}: {count:,} (see rejected.jsonl)")
    _advise_on_documents(train, settings)
    out(
        f"Records are in {settings.output}. Next: tfbert preview "
        f"{settings.output}"
    )


def _advise_on_documents(manifest: Manifest, settings: BuildSettings) -> None:
    """Says which files became one document, line for line a text perhaps."""
    if settings.documents != "blank_line":
        return
    whole = [
        source
        for source in manifest.sources
        if source["format"] == formats.TEXT
        and source["documents"] == 1
        and source["lines"] >= _MANY_LINES
    ]
    if whole:
        most = max(whole, key=lambda source: source["lines"])
        console.print(
            f"note: {len(whole):,} files hold no empty line, so that each is "
            f"one document, as {most['file']} with its {most['lines']:,} "
            "lines. If every line is a text of its own, build again with "
            "--documents line; else copies are not found and nothing can be "
            "held out by text.",
            markup=False,
        )


if __name__ == "__main__":
    sys.exit(command.script(main))
