"""`tfbert convert SOURCE --output DIR --to KIND`: weights in and out."""

import dataclasses
import json
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfbert import files
from tfbert.errors import UserError
from trainers import command
from trainers.files.console import console, working

EXAMPLE = "tfbert convert runs/mini --output hf/mini --to huggingface"
REPORT_FILE = "convert.json"
README_FILE = "README.md"
# Largest difference between our code and the neighbour's, relative to the
# largest output: float32 rounding through 24 layers stays below it.
TOLERANCE = 1e-4
# Format -> how a folder of it is loaded, for its README.
_LOADING = {
    "huggingface": (
        "from transformers import AutoModel, AutoTokenizer",
        "",
        'tokenizer = AutoTokenizer.from_pretrained("FOLDER")',
        'model = AutoModel.from_pretrained("FOLDER")',
    ),
    "sentence_transformers": (
        "from sentence_transformers import SentenceTransformer",
        "",
        'model = SentenceTransformer("FOLDER")',
        'vectors = model.encode(["some text"])',
    ),
    "keras_hub": (
        "import keras_hub",
        "",
        'backbone = keras_hub.models.Backbone.from_preset("FOLDER")',
    ),
    "google": (
        "import tensorflow as tf",
        "",
        'reader = tf.train.load_checkpoint("FOLDER/bert_model.ckpt")',
    ),
    "tfbert": (
        "import tfbert",
        "from tfbert.converters import sources",
        "",
        'tokenizer = sources.read_tokenizer("FOLDER")',
        'encoder = tfbert.load_encoder("FOLDER")',
    ),
}
_FORMATS = tuple(_LOADING)
# All blocks of the encoder, in the printed map.
_BLOCKS = "encoder/block_*"


def build_parser() -> command.Parser:
    """The options of `tfbert convert`."""
    parser = command.make_parser(
        "convert",
        "Reads weights, config and tokenizer of a run of tfbert, a Hugging "
        "Face or sentence-transformers folder, a keras-hub preset, or a "
        "checkpoint of google-research/bert or Model Garden, and writes them "
        "in another format, heads and label names included. Prints how the "
        "parts are called on each side, and runs both sides where their "
        "packages are installed.",
        EXAMPLE,
    )
    add = parser.add_argument
    add("source", help="folder, checkpoint prefix or keras-hub preset name")
    add("--output", required=True, help="folder that is made")
    add("--to", choices=_FORMATS, default="tfbert", help="format to write")
    add(
        "--encoder_only",
        action="store_true",
        help="leave heads out, for formats that have no place for them",
    )
    add(
        "--case",
        choices=("as_source", "uncased", "cased"),
        default="as_source",
        help="say it where the source does not (Google's checkpoints)",
    )
    add(
        "--map",
        action="store_true",
        help="print the whole map of names, a line for each tensor",
    )
    return parser


def main(argv: list[str] | None = None) -> None:
    """Runs the verb."""
    args = build_parser().parse_args(argv)
    with working(f"Converting {args.source}, and checking what was written"):
        report = convert(
            args.source, args.output, args.to, args.encoder_only, args.case
        )
    for line in (_map if args.map else _groups)(report):
        console.print(line, markup=False)
    for note in report["notes"]:
        console.print(f"note: {note}", markup=False)
    for check in report["checks"]:
        console.print(_check_line(check), markup=False)
    console.print(
        f"written: {args.output} ({report['to']}); report in "
        f"{Path(args.output) / REPORT_FILE}{_next(args.output, report)}",
        markup=False,
    )


def _next(output: str, report: dict) -> str:
    """What can be done with a converted folder, if it is for us."""
    if report["to"] != "tfbert":
        return ""
    return f"\nNext: tfbert export {output} --output exports/NAME"


def convert(
    source: str,
    output: str,
    to: str,
    encoder_only: bool = False,
    case: str = "as_source",
) -> dict:
    """Converts; returns the report that is in the folder as convert.json.

    Args:
      source: folder, prefix of a checkpoint, or name of a preset.
      output: folder that is made, whole or not at all.
      to: format to write.
      encoder_only: whether heads are left out.
      case: "uncased" or "cased" replaces what the source says or seems.

    Raises:
      UserError: the source is broken, the format cannot hold the model, or
        the neighbour's code computes something else from what was written.
    """
    from tfbert.converters import sources

    files.check_folder(Path(output).parent)
    if Path(output).exists() and files.is_whole(output):
        raise UserError(f"{output} exists already; give a new folder")
    model = sources.read(source)
    console.print(
        f"{source}: {sources.DESCRIPTIONS[model.kind]}, {model.task}",
        markup=False,
    )
    if encoder_only:
        model = sources.encoder_only(model)
    elif model.own_task is not None:
        raise UserError(
            f"{source} is a run of {model.own_task!r}, whose head no format "
            "here holds; give --encoder_only to leave the head out"
        )
    if case != "as_source" and model.vocabulary is not None:
        vocabulary = dataclasses.replace(
            model.vocabulary, lowercase=case == "uncased"
        )
        model = dataclasses.replace(model, vocabulary=vocabulary)
    report = {}

    def finish(folder: Path, written) -> None:
        report.update(_report(model, written, to))
        report["checks"] = _checks(source, model, written, to, folder)
        text = json.dumps(report, indent=2, ensure_ascii=False) + "\n"
        (folder / REPORT_FILE).write_text(text, "utf-8")
        (folder / README_FILE).write_text(_readme(report), "utf-8")

    sources.write(model, to, output, finish)
    return report


def _report(model, written, to: str) -> dict:
    return {
        "source": str(model.source),
        "from": model.kind,
        "to": to,
        "task": model.task,
        "config": written.config.to_dict(),
        "labels": list(model.labels) if model.labels else None,
        "notes": list(written.notes),
        "names": _names(model, written),
    }


def _names(model, written) -> list[dict]:
    """The map: names at the source, ours, and at the target."""
    read = {row.ours: row for row in model.rows}
    rows = []
    for row in written.rows:
        came = read.get(row.ours)
        rows.append(
            {
                "source": list(came.theirs) if came else [],
                "ours": row.ours,
                "target": list(row.theirs),
                "read": came.form if came else "new",
                "written": row.form,
                "shape": list(row.shape),
            }
        )
    return rows


def _checks(source, model, written, to: str, folder: Path) -> list[dict]:
    """Runs both sides on one batch.

    Raises:
      UserError: what was written computes something else.
    """
    from tfbert.converters import peers, sources

    batch = peers.example_batch(model)
    ours = ("tfbert", peers.our_outputs(written, batch))
    again = sources.read_as(to, folder)
    comparisons = [
        peers.compare(
            ("tfbert, read back", peers.our_outputs(again, batch)), ours, batch
        )
    ]
    theirs = peers.peer_outputs(to, folder, written, batch)
    if theirs is not None:
        name = f"{peers.version(to)}, target"
        comparisons.append(peers.compare((name, theirs), ours, batch))
    for comparison in comparisons:
        # A comparison of nothing, or of NaN, is no proof.
        if not comparison.differences or not comparison.relative <= TOLERANCE:
            raise UserError(
                f"{comparison.first} computes something else than tfbert from "
                f"what was written: {comparison.differences}; nothing was "
                "kept. This is a fault; please report it"
            )
    theirs = peers.peer_outputs(model.kind, Path(source), model, batch)
    if theirs is not None:
        name = f"{peers.version(model.kind)}, source"
        comparisons.append(peers.compare(ours, (name, theirs), batch))
    checks = [dataclasses.asdict(item) for item in comparisons]
    if to in peers.PACKAGES and len(comparisons) == 1:
        checks.append(
            {"skipped": f"{peers.PACKAGES[to]} is not installed (or torch)"}
        )
    return checks


def _check_line(check: dict) -> str:
    if "skipped" in check:
        return f"check skipped: {check['skipped']}"
    worst = np.max([0.0, *check["differences"].values()])
    names = ", ".join(check["differences"])
    return (
        f"check: {check['first']} against {check['second']}: largest "
        f"difference {worst:.2g} ({names})"
    )


def _map(report: dict) -> list[str]:
    """The map of names, a line for each tensor."""
    lines = [f"{report['from']} -> ours -> {report['to']}:"]
    for name in report["names"]:
        shape = "x".join(map(str, name["shape"]))
        source = " + ".join(name["source"]) or "(new)"
        target = " + ".join(name["target"])
        lines.append(f"  {source} -> {name['ours']} [{shape}] -> {target}")
    return lines


def _groups(report: dict) -> list[str]:
    """The map of names, a line for each part of the model; blocks are one."""
    blocks = report["config"]["num_hidden_layers"]
    groups: dict[str, list[dict]] = {}
    for name in report["names"]:
        groups.setdefault(_part(name["ours"]), []).append(name)
    count = len(report["names"])
    lines = [
        f"{report['from']} -> ours -> {report['to']}, {count:,} tensors "
        f"(--map prints each; they are in {REPORT_FILE}):"
    ]
    for part, names in groups.items():
        numbers = sum(math.prod(name["shape"]) for name in names)
        each = f" in {blocks} blocks" if part == _BLOCKS else ""
        lines.append(
            f"  {_common(names, 'source') or '(new)'} -> {part} -> "
            f"{_common(names, 'target')}: {len(names):,} "
            f"tensor{'s' * (len(names) > 1)}{each}, "
            f"{numbers:,} numbers"
        )
    return lines


def _part(ours: str) -> str:
    """The part of the model that a tensor of ours is in."""
    first, second, *_ = [*ours.split("/"), ""]
    if first != "encoder":
        return first
    return _BLOCKS if second.startswith("block_") else f"{first}/{second}"


def _common(names: Sequence[dict], side: str) -> str:
    """What the names of one side begin with, all of them, and "*"."""
    found = [name for row in names for name in row[side]]
    if len(set(found)) < 2:
        return "".join(found[:1])
    return re.match(r"(?:.*[./])?", os.path.commonprefix(found))[0] + "*"


def _readme(report: dict) -> str:
    lines = [
        "# Converted weights",
        "",
        f"From `{report['source']}` ({report['from']}) to {report['to']} by "
        f"`tfbert convert`. Task: {report['task']}.",
        "",
    ]
    lines += [f"- {note}" for note in report["notes"]]
    lines += [f"- {_check_line(check)}" for check in report["checks"]]
    lines += ["", f"Every name and shape is in `{REPORT_FILE}`.", ""]
    lines += ["```python", *_LOADING[report["to"]], "```", ""]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(command.script(main))
