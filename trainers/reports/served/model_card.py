"""What a run's export says of itself: data, figures, hashes, licence, limits.

Read from the run's own files; what they do not tell is left out.
"""

from collections.abc import Mapping
from pathlib import Path

from tfbert.serving.graphs import request_bounds
from tfrecords.storage.writer import file_sha256
from trainers.files.run_folder import RunFolder, count_parameters

_FILES = ("train", "validation", "test")
_COUNTS = ("documents", "tokens", "rows")
_LEARNT = ("steps", "batch_size", "learning_rate", "optimizer")
_NO_LICENCE = (
    "Not stated. `tfbert export --licence` says under which terms the model "
    "may be used; they depend on the data it learnt from."
)


def sections(
    run: RunFolder,
    weights: Path,
    licence: str | None,
    card: Mapping[str, object],
) -> dict[str, object]:
    """The sections of a model card, for `documents.model_card`.

    Args:
      run: the run.
      weights: the file that the weights come from.
      licence: what the user says of it.
      card: the facts of model.json.
    """
    return {
        "Data": _data(run),
        "Figures": _figures(run),
        "Training": _training(run),
        "Weights": {
            "file": f"`{weights}`",
            "parameters": count_parameters(weights),
            "SHA-256": file_sha256(weights),
        },
        "Licence": licence or _NO_LICENCE,
        "Limits": (
            f"Of a text {card['max_length']} tokens are read at a time. "
            f"{_bounds(card)}The figures above hold for text like that of the "
            "files named; on other text the model answers just as "
            "confidently. It repeats what stands in its training data, errors "
            "and prejudice included."
        ),
    }


def _bounds(card: Mapping[str, object]) -> str:
    return "".join(
        sentence.format(card[name]) + " "
        for name, sentence in request_bounds.SENTENCES.items()
        if name in card
    )


def _data(run: RunFolder) -> dict[str, object]:
    data = run.settings.get("data", {})
    facts = {}
    for part in _FILES:
        path = data.get(part)
        if isinstance(path, str):
            there = Path(path).is_file()
            digest = f", SHA-256 {file_sha256(Path(path))}" if there else ""
            facts[part] = f"`{path}`{digest}"
    for name in ("train_examples", "validation_examples"):
        if name in run.about:
            facts[name.replace("_", " ")] = run.about[name]
    if run.records is not None:
        facts["records"] = f"`{run.records}`"
        facts |= {n: run.manifest[n] for n in _COUNTS if n in run.manifest}
    return facts


def _figures(run: RunFolder) -> dict[str, object]:
    facts = {}
    if rows := run.rows("validation"):
        last = rows[-1]
        facts["validation while training, last"] = ", ".join(
            f"{name} {value:.4g}"
            for name, value in last.items()
            if isinstance(value, float) and name != "time"
        )
    for name, figures in run.evaluations.items():
        headline = ", ".join(
            f"{key} {value:.4g}"
            for key, value in figures.items()
            if isinstance(value, float)
        )
        facts[f"`{figures.get('data', name)}`"] = headline
    return facts


def _training(run: RunFolder) -> dict[str, object]:
    optimization = run.settings.get("optimization", {})
    facts = {n: optimization[n] for n in _LEARNT if n in optimization}
    start = run.settings.get("model", {}).get("init_from")
    facts["started from"] = f"`{start}`" if start else "random weights"
    if "seed" in run.settings:
        facts["seed"] = run.settings["seed"]
    return facts
