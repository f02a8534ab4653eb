"""`tfbert preview`: what a model will see of a folder of records."""

import dataclasses
import sys

import numpy as np
import rich.table
import rich.text

from tfbert.errors import UserError
from tfrecords import keyed_order, layout
from tfrecords.batches.batch import make_batch
from tfrecords.masking.masking import Masking
from tfrecords.storage.reader import Records
from trainers import command
from trainers.files.console import console
from trainers.pretraining.data import use_words

EXAMPLE = "tfbert preview records/ --rows 4"

_BAR = 40


def build_parser() -> command.Parser:
    """The verb's settings."""
    parser = command.make_parser(
        "preview",
        "Shows masked rows in colour, and measures masks, lengths and padding.",
        EXAMPLE,
        may_be_addresses=("records",),
    )
    add = parser.add_argument
    add("records", type=str, help="a folder that `tfbert records` made")
    add("--rows", type=int, default=4, help="rows to show")
    add("--batches", type=int, default=1000, help="batches to measure")
    add("--batch_size", type=int, default=32, help="rows of a batch")
    add("--seed", type=int, default=0, help="of the order and the masks")
    add("--epoch", type=int, default=0, help="whose order and masks to show")
    add(
        "--strategy",
        type=str,
        default="token",
        help="of masking: token, whole_word, ngram or span",
    )
    add(
        "--word_list",
        type=str,
        default=None,
        help="file of words to mask as a whole, one a line, for Chinese",
    )
    add("--rate", type=float, default=0.15, help="share of tokens to predict")
    add(
        "--max_predictions",
        type=int,
        default=None,
        help="most predictions of a row; left out: the rate's own number",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    settings = build_parser().parse_args(argv)
    if min(settings.rows, settings.epoch) < 0 or settings.batch_size < 1:
        raise UserError(
            f"rows {settings.rows}, epoch {settings.epoch}, batch_size "
            f"{settings.batch_size}: wanted 0, 0 and 1 or more."
        )
    records = Records(settings.records)
    use_words(records, settings.word_list)
    masking = Masking(
        settings.strategy, settings.rate, settings.max_predictions
    )
    source = _Source(records, masking, settings.seed, settings.epoch)
    print_rows(source, settings.rows)
    count = min(records.num_rows, settings.batches * settings.batch_size)
    print_masks(source, count, settings.batch_size)
    print_account(records)
    console.show(
        "\nNext: tfbert pretrain --data.records "
        f"{settings.records} --runtime.run_dir runs/NAME"
    )


@dataclasses.dataclass(frozen=True)
class _Source:
    """Batches of one epoch."""

    records: Records
    masking: Masking
    seed: int
    epoch: int

    def batch(self, first: int, count: int) -> tuple[np.ndarray, dict]:
        """(token ids int32 [B, S], masked batch) at places of the epoch."""
        total = self.records.num_rows
        positions = np.arange(first, first + count) + self.epoch * total
        row_ids, epochs = keyed_order.rows_at(positions, total, self.seed)
        made = make_batch(
            self.records, self.masking, row_ids, epochs, self.seed
        )
        return self.records.tokens(row_ids), made


def print_rows(source: _Source, count: int) -> None:
    """Shows the first rows of the epoch as a model gets them."""
    count = min(count, source.records.num_rows)
    if not count:
        return
    out = console.show
    out("Hidden tokens in brackets: ", end="")
    legend = rich.text.Text()
    for style, name in _STYLES.items():
        legend.append(f" {name} ", style)
        legend.append(" ")
    out(legend)
    originals, batch = source.batch(0, count)
    for row in range(count):
        out()
        out(decoded_row(source.records, originals[row], batch, row))
    out()


_STYLES = {
    "white on red": "[MASK] (was)",
    "black on yellow": "another token (was)",
    "black on green": "left as it was",
}


def decoded_row(records, original, batch, row) -> rich.text.Text:
    """A masked row as text with colours."""
    replaced, swapped, kept = _STYLES
    tokens, classes = records.vocabulary, records.classes
    weights = batch[layout.MASKED_LM_WEIGHTS][row] > 0
    hidden = set(batch[layout.MASKED_LM_POSITIONS][row][weights].tolist())
    text = rich.text.Text()
    for place, now in enumerate(batch[layout.INPUT_IDS][row].tolist()):
        was = int(original[place])
        if now == classes.pad_id:
            break
        token = tokens[was].removeprefix("##")
        if classes.word_start[was] and place:
            text.append(" ")
        if place not in hidden:
            special = not classes.maskable[was]
            text.append(token, "dim" if special else "")
        elif now == classes.mask_id:
            text.append(f"[MASK]({token})", replaced)
        elif now != was:
            text.append(f"[{tokens[now]}]({token})", swapped)
        else:
            text.append(f"[{token}]", kept)
    return text


def print_masks(source: _Source, count: int, batch_size: int) -> None:
    """Measures masks and lengths over the first `count` rows of the epoch."""
    records = source.records
    classes = records.classes
    maskable = hidden = masks = changed = padding = 0
    lengths = np.zeros(records.sequence_length + 1, np.int64)
    fewest, most = records.sequence_length, 0
    for first in range(0, count, batch_size):
        rows = min(batch_size, count - first)
        originals, batch = source.batch(first, rows)
        taken = batch[layout.MASKED_LM_WEIGHTS] > 0
        positions = batch[layout.MASKED_LM_POSITIONS]
        now = np.take_along_axis(batch[layout.INPUT_IDS], positions, 1)[taken]
        was = batch[layout.MASKED_LM_IDS][taken]
        maskable += int(classes.maskable[originals].sum())
        hidden += len(was)
        masks += int((now == classes.mask_id).sum())
        changed += int(((now != was) & (now != classes.mask_id)).sum())
        real = batch[layout.INPUT_MASK].sum(axis=1)
        padding += int((records.sequence_length - real).sum())
        lengths += np.bincount(real, minlength=len(lengths))
        numbers = taken.sum(axis=1)
        fewest = min(fewest, int(numbers.min()))
        most = max(most, int(numbers.max()))
    table = rich.table.Table(
        title=f"Masks of {count:,} rows ({-(-count // batch_size):,} batches), "
        f"epoch {source.epoch}",
        title_justify="left",
        show_header=False,
    )
    total = max(1, hidden)
    add = table.add_row
    add("predicted, of tokens that may be", _share(hidden, maskable))
    add("predictions in a row", f"{fewest} to {most}")
    add("shown as [MASK]", _share(masks, total))
    add("shown as another token", _share(changed, total))
    add("left as they were", _share(total - masks - changed, total))
    add("padding", _share(padding, count * records.sequence_length))
    console.show(table)
    _print_histogram("Tokens in a row", _binned(lengths))


def print_account(records: Records) -> None:
    """What the manifest says of the text."""
    manifest = records.manifest
    words = manifest.tokens - manifest.special_tokens
    table = rich.table.Table(
        title=f"Records in {records.path}",
        title_justify="left",
        show_header=False,
    )
    add = table.add_row
    rows = manifest.rows
    add("objective", manifest.objective)
    add("documents", f"{manifest.documents:,}")
    add("rows", f"{rows:,} of {manifest.sequence_length} tokens")
    add("tokens of text", f"{words:,}")
    add("bytes of text for a token", f"{manifest.text_bytes / words:.2f}")
    add("[UNK]", _share(manifest.unknown_tokens, words))
    add(
        "places filled (packing efficiency)",
        _share(manifest.tokens, rows * manifest.sequence_length),
    )
    add("sequences in a row", f"{manifest.sequences / rows:.2f}")
    add(
        "files",
        f"{len(manifest.shards)}, "
        f"{100 * manifest.overhead:.2f} % over 2 bytes a token"
        if manifest.token_bytes == 2
        else f"{len(manifest.shards)}",
    )
    for reason, count in manifest.rejected.items():
        add(f"left out: {reason}", f"{count:,}")
    console.show(table)
    _print_histogram(
        "Tokens in a document",
        [
            (f"{1 << int(bits)} to {(2 << int(bits)) - 1}", count)
            for bits, count in manifest.document_lengths.items()
        ],
    )
    longest = rich.table.Table(title="Longest documents", title_justify="left")
    for name in ("tokens", "file", "line"):
        longest.add_column(name, overflow="fold")
    for entry in manifest.longest_documents:
        longest.add_row(
            f"{entry['tokens']:,}", entry["file"], str(entry["line"])
        )
    console.show(longest)


def _share(part: int, whole: int) -> str:
    return (
        f"{100 * part / whole:.2f} % ({part:,} of {whole:,})" if whole else "-"
    )


def _binned(lengths: np.ndarray, bins: int = 8) -> list[tuple[str, int]]:
    """Counts by length -> counts of equal ranges of lengths."""
    edges = np.unique(np.linspace(1, len(lengths), bins + 1).astype(int))
    return [
        (f"{low} to {high - 1}", int(lengths[low:high].sum()))
        for low, high in zip(edges[:-1], edges[1:], strict=True)
    ]


def _print_histogram(title: str, bars: list[tuple[str, int]]) -> None:
    top = max([count for _, count in bars], default=0)
    table = rich.table.Table(
        title=title, title_justify="left", show_header=False, box=None
    )
    for name, count in bars:
        width = round(_BAR * count / top) if top else 0
        table.add_row(name, "#" * width, f"{count:,}")
    console.show(table)


if __name__ == "__main__":
    sys.exit(command.script(main))
