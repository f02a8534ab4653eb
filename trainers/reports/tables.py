"""The tables of a report: data account, settings, environment, evaluations."""

import datetime
import math
from collections.abc import Mapping

from tfrecords.layout import HELD_OUT_FOLDER, MANIFEST_FILE
from trainers.files.events import read_events
from trainers.files.run_folder import RunFolder, read_json
from trainers.files.text import amount, figure_text, flat, size
from trainers.reports import measures
from trainers.reports import page as html
from trainers.reports.figures import evaluation_name, kind_of

# Sources and per-label rows shown; the files have all of them.
MOST_ROWS = 30
# What run.json counts of labelled data.
COUNTS = {
    "train_examples": "examples to train on",
    "validation_examples": "examples of validation",
    "validation_in_train": "of validation, inputs that training has too",
    "repeated_in_train": "inputs repeated in training",
    "conflicting_in_train": "of these, with different labels",
    "truncated_or_full": "texts that fill max_length or are cut",
}
# Settings of data that every task has.
ANY_TASK = ("train", "validation", "test", "tokenizer", "metric", "max_length")
# What may be said of an event, the first that it has.
_EVENT_TEXTS = ("message", "reason", "checkpoint")
STARTS = ("started (UTC)", "host", "command")


def data_account(run: RunFolder) -> str:
    """What the run was trained on, from the manifest of its records."""
    if run.records is None:
        return _data_of_finetuning(run)
    manifest = run.manifest
    if not manifest:
        return html.facts(
            {
                "records": html.code(run.records),
                "account": "none: the records are not there any more",
            }
        )
    held_out = read_json(run.records / HELD_OUT_FOLDER / MANIFEST_FILE)
    seen = sum(row.get("tokens") or 0 for row in run.rows("train"))
    parts = [html.facts(_account(manifest, run.records, seen), "Training")]
    if held_out:
        folder = run.records / HELD_OUT_FOLDER
        parts.append(html.facts(_account(held_out, folder), "Held out"))
    parts.append(_document_lengths(manifest))
    parts.append(_rejected(manifest))
    columns = f'<div class="columns">{"".join(parts)}</div>'
    return columns + _sources(manifest)


def settings(run: RunFolder) -> str:
    """All resolved settings, a card for each section.

    The settings of the data that the kind of task reads come before all
    others; those of other tasks are folded.
    """
    sections = {"task": {}, "data": {}}
    for name, value in run.settings.items():
        if isinstance(value, Mapping):
            sections[name] = flat(value)
        else:
            sections["task"][name] = value
    own, others = _own_settings(run, sections["data"])
    sections["data"] = own
    if run.config:
        sections["config.json (the encoder)"] = run.config
    cards = "".join(
        html.facts(shown, title)
        for title, rows in sections.items()
        if (shown := _given(rows))
    )
    columns = f'<div class="columns">{cards}</div>'
    if others := _given(others):
        summary = f"{len(others)} settings of data for other tasks"
        columns += html.folded(summary, html.facts(others))
    return columns


def _own_settings(run: RunFolder, data: Mapping) -> tuple[dict, dict]:
    """The settings of data that the run's task has, and the others.

    run.json of a fine-tuned run repeats those that its kind of task reads.
    """
    if kind_of(run) in ("", "pretraining"):
        return dict(data), {}
    first = [name for name in run.about if name in data]
    names = [*first, *(name for name in ANY_TASK if name in data)]
    own = {name: data[name] for name in dict.fromkeys(names)}
    return own, {n: v for n, v in data.items() if n not in own}


def _given(rows: Mapping) -> dict:
    """The settings that are set; else the preset or another one decides."""
    return {n: setting(v) for n, v in rows.items() if v is not None}


def environment(run: RunFolder) -> str:
    """Machine, versions, command, and each start of the run."""
    found = run.environment
    if not found:
        return ""
    cpu = found.get("cpu") or {}
    git = found.get("git") or {}
    devices = [
        device.get("model") or device.get("name", "").split("device:")[-1]
        for device in found.get("devices") or []
    ]
    machine = {
        "host": found.get("host"),
        "system": found.get("system"),
        "processor": cpu.get("model"),
        "cores": cpu.get("usable_cores"),
        "memory": _size(found.get("memory_bytes")),
        "devices": ", ".join(devices) or None,
        **(found.get("variables") or {}),
    }
    if found.get("strategy"):
        machine["strategy"] = found["strategy"]
    versions = {"python": found.get("python"), **(found.get("versions") or {})}
    if git:
        changed = " (with changes)" if git.get("changed") else ""
        versions["git commit"] = f"{git.get('commit', '')[:12]}{changed}"
    starts = [
        (
            # 2026-01-31T12:00:00+00:00, without seconds and zone.
            str(start.get("time"))[:16].replace("T", "\u00a0"),
            start.get("host"),
            html.code(start.get("command")),
        )
        for start in found.get("starts") or []
        if isinstance(start, dict)
    ]
    return (
        f'<div class="grid">{html.facts(machine, "Machine")}'
        f"{html.facts(versions, 'Versions')}"
        f'<div class="wide">{html.table(STARTS, starts)}</div></div>'
    )


def checkpoints(run: RunFolder) -> str:
    """The checkpoints that are kept."""
    if not run.checkpoints:
        return ""
    rows = [
        (
            checkpoint.step,
            _size(checkpoint.num_bytes),
            moment(checkpoint.saved_at),
            html.code(checkpoint.path.relative_to(run.path)),
        )
        for checkpoint in run.checkpoints
    ]
    return html.table(("step", "size", "saved", "folder"), rows)


def events(run: RunFolder) -> str:
    """What happened besides the steps, the newest first."""
    found = read_events(run.path)
    rows = [
        (
            moment(event["time"]) if event.get("time") else "",
            event.get("step"),
            str(event.get("event", "")).replace("_", " "),
            next(filter(None, map(event.get, _EVENT_TEXTS)), ""),
        )
        for event in reversed(found[-MOST_ROWS:])
    ]
    if not rows:
        return ""
    caption = ""
    if len(found) > len(rows):
        caption = f"the last {len(rows)} of {len(found):,}"
    return html.table(("time", "step", "event", ""), rows, caption)


def evaluations(run: RunFolder) -> str:
    """Each evaluation's figures, per-label table and confusion matrix."""
    parts = []
    for name, content in run.evaluations.items():
        per_class = content.get("per_class")
        title = html.Html(
            f"On {html.escape(evaluation_name(name))} "
            f'<span class="muted">({html.escape(name)})</span>'
        )
        parts.append(html.facts(_measured(content, kind_of(run)), title))
        if isinstance(per_class, Mapping):
            parts.append(_per_class(per_class))
        if isinstance(per := content.get("per_phenomenon"), Mapping):
            rows = [(k, html.Number(f"{v:.1%}")) for k, v in per.items()]
            parts.append(html.table(("phenomenon", "accuracy"), rows))
        labels = content.get("labels") or run.about.get("labels")
        if _is_square(content.get("confusion"), labels):
            matrix = html.confusion(labels, content["confusion"])
            parts.append(f'<div class="wide">{matrix}</div>')
    return '<div class="grid">' + "".join(parts) + "</div>" if parts else ""


def _measured(content: Mapping, kind: str) -> dict:
    """The figures of an evaluation by their titles, the task's own first."""
    names = [n for n in content if not n.endswith("sha256")]
    first = measures.measures_of(kind, names)
    shown = {}
    for name in dict.fromkeys([*first, *names]):
        value = content[name]
        if isinstance(value, float):
            value = figure_text(name, value)
        if isinstance(value, str | int):
            shown[measures.title_of(name, kind)] = setting(value)
    return shown


def _per_class(per_class: Mapping) -> str:
    """Precision, recall and F1; of many classes those with the lowest F1."""
    shown = [(k, v) for k, v in per_class.items() if isinstance(v, Mapping)]
    caption = ""
    if len(shown) > MOST_ROWS:
        shown.sort(key=lambda item: item[1].get("f1") or 0)
        caption = f"the {MOST_ROWS} lowest of {len(shown)} classes"
        shown = shown[:MOST_ROWS]
    rows = [
        (
            label,
            *(
                html.Number(f"{row.get(name) or 0:.3f}")
                for name in ("precision", "recall", "f1")
            ),
            row.get("support"),
        )
        for label, row in shown
    ]
    head = ("class", "precision", "recall", "F1", "examples")
    return html.table(head, rows, caption)


def _size(num_bytes: float | None) -> html.Number | None:
    return None if num_bytes is None else html.Number(size(num_bytes))


def moment(seconds: float) -> str:
    """A time stamp as a person writes it, in UTC."""
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{at:%Y-%m-%d %H:%M} UTC"


def _account(manifest: Mapping, folder, seen: float = 0) -> dict:
    """The counts of one folder of records, those that it has."""
    tokens, rows = manifest.get("tokens"), manifest.get("rows")
    words = (tokens or 0) - (manifest.get("special_tokens") or 0)
    length = manifest.get("sequence_length")
    unknown = manifest.get("unknown_tokens")
    text_bytes = manifest.get("text_bytes")
    vocabulary = manifest.get("vocabulary") or {}
    account = {
        "records": html.code(folder),
        "documents": manifest.get("documents"),
        "text": _size(text_bytes),
        "tokens": tokens,
        "rows": rows,
        "sequence length": length,
        "packed": manifest.get("packed"),
    }
    if rows and length and tokens is not None:
        account["places filled"] = f"{tokens / (rows * length):.2%}"
    if words and unknown is not None:
        account["[UNK]"] = f"{unknown:,} ({unknown / words:.3%} of tokens)"
    if words and text_bytes:
        account["bytes per token"] = f"{text_bytes / words:.2f}"
    if seen and tokens:
        account["times seen (epochs)"] = f"{seen / tokens:.2f}"
    if vocabulary.get("size"):
        account["vocabulary"] = f"{vocabulary['size']:,} tokens"
    return {k: v for k, v in account.items() if v is not None}


def _document_lengths(manifest: Mapping) -> str:
    counts = manifest.get("document_lengths") or {}
    bins = sorted((int(i), n) for i, n in counts.items() if str(i).isdigit())
    if not bins:
        return ""
    rows = [(f"{2**i:,} to {2 ** (i + 1) - 1:,}", n) for i, n in bins]
    caption = "How long the documents are"
    return html.bars(rows, ("tokens", "documents"), caption)


def _rejected(manifest: Mapping) -> str:
    rejected = manifest.get("rejected")
    if not rejected:
        return html.facts({"left out": "nothing"}, "Rejected")
    rows = {reason: count for reason, count in rejected.items()}
    return html.facts(rows, "Rejected lines and documents")


def _sources(manifest: Mapping) -> str:
    sources = manifest.get("sources") or []
    rows = [
        (
            html.code(source.get("file")),
            source.get("documents"),
            source.get("lines"),
            _size(source.get("bytes")),
        )
        for source in sources[:MOST_ROWS]
    ]
    if not rows:
        return ""
    plural = "" if len(sources) == 1 else "s"
    caption = f"{len(sources):,} source file{plural} of the whole build"
    if len(sources) > MOST_ROWS:
        caption += f"; the first {MOST_ROWS} are shown"
    head = ("source", "documents", "lines", "size")
    return html.table(head, rows, caption)


def _data_of_finetuning(run: RunFolder) -> str:
    """Which tables and columns a fine-tuning run read."""
    data = run.settings.get("data")
    data = flat(data) if isinstance(data, Mapping) else {}
    rows = {n: data.get(n) for n in ("train", "validation", "test")}
    rows["labels"] = run.about.get("labels")
    rows |= {title: run.about.get(n) for n, title in COUNTS.items()}
    shown = _given(rows)
    return html.facts(shown) if shown else ""


def _is_square(matrix, labels) -> bool:
    return (
        isinstance(matrix, list)
        and isinstance(labels, list)
        and len(matrix) == len(labels)
        and all(isinstance(r, list) and len(r) == len(labels) for r in matrix)
    )


def setting(value) -> str | int | bool | None:
    """A setting as it is written in a file, lists in one line."""
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value) or "none"
    if isinstance(value, float):
        if math.isfinite(value) and value.is_integer() and abs(value) > 1e6:
            return amount(value)
        return f"{value:.6g}"
    if isinstance(value, str) and "/" in value:
        return html.code(value)
    return value
