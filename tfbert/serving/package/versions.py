"""SavedModels that take raw text and load into TF Serving.

An export is a folder of versions, `NAME/1/saved_model.pb`, `NAME/2/...`; TF
Serving watches NAME and serves the highest number. A version appears under
its number only when it is complete.

The graph (`tfbert.serving`) holds everything between a string and its answer:
tokenizer, truncation, padding, encoder, head and label names. Sequences are
padded inside the graph, to about the longest of those that are computed with
them, which are of like length (`run_in_parts`). TF Serving's own
batching would pad with the first value of a tensor, so the input is strings
of shape [B] and needs no padding.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tfbert import files
from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from tfbert.serving.package import server_files

if TYPE_CHECKING:
    from tfbert.serving.graphs.servable import Servable

# Facts about an export for programs and people; TF Serving ignores them.
CARD = "assets.extra/model.json"
README = "README.md"
MODEL_CARD = "MODEL_CARD.md"


def versions(export: str | os.PathLike) -> list[int]:
    """The complete versions in an export folder, ascending."""
    found = Path(export).glob("[0-9]*/saved_model.pb")
    return sorted(
        int(path.parent.name)
        for path in found
        if _is_number(path.parent) and files.is_whole(path.parent)
    )


def _is_number(path: Path) -> bool:
    # Not a superscript two, which int does not take.
    return path.name.isascii() and path.name.isdigit()


def _next_version(output: Path) -> int:
    """The number after those that are taken, by versions or by others."""
    taken = [
        int(path.name)
        for path in output.glob("[0-9]*")
        if _is_number(path) and files.is_whole(path)
    ]
    return max(taken, default=0) + 1


def newest_version(export: str | os.PathLike) -> Path:
    """The folder of the newest version in `export`, or `export` itself.

    Raises:
      UserError: there is none.
    """
    export = Path(export)
    if (export / "saved_model.pb").exists():
        return export
    found = versions(export)
    if not found:
        state = "holds no version" if export.is_dir() else "does not exist"
        if (export / SETTINGS_FILE).exists():
            raise UserError(
                f"{export} is a run, and an export was wanted: `tfbert export "
                f"{export} --output exports/{export.name}` makes it"
            )
        raise UserError(
            f"{export} {state}; a folder that `tfbert export RUN_DIR "
            f"--output {export}` wrote was wanted."
        )
    return export / str(found[-1])


def write_version(
    servable: "Servable",
    output: str | os.PathLike,
    card: Mapping[str, object],
    about: Mapping[str, object] | None = None,
) -> Path:
    """Writes the next version into the export folder `output`.

    Beside the SavedModel it has requests that warm it up, a README.md and a
    MODEL_CARD.md; the export folder gets what TF Serving is started with. One
    export at a time writes into a folder.

    Args:
      servable: what to save.
      output: folder of versions; created if need be.
      card: facts for assets.extra/model.json; "labels", "max_length" and
        "inputs" are read by `tfbert predict` and the README.
      about: sections of the model card; see `documents.model_card`.

    Returns:
      The version's folder.

    Raises:
      UserError: `output` is used for something else.
    """
    # Imported here: `predict` reads a card before it waits for TensorFlow.
    from tfbert.serving.package import documents, operations, signatures, warmup

    output = Path(output)
    check_output(output)
    target = output / str(_next_version(output))
    if output.is_dir():
        # What an export that was killed has left.
        files.remove_temporaries(output)
    with files.folder(target) as folder:
        servable.save(folder)
        card = {**card, "lowest_tf_serving": operations.lowest_server(folder)}
        warmup.write_warmup(folder, card["max_length"])
        extra = folder / CARD
        extra.parent.mkdir(exist_ok=True)
        extra.write_text(
            json.dumps(card, indent=2, ensure_ascii=False) + "\n", "utf-8"
        )
        asked = signatures.read_signatures(folder)
        answered = signatures.read_outputs(folder)
        text = documents.readme(target, card, asked, answered)
        (folder / README).write_text(text, "utf-8")
        text = documents.model_card(output.resolve().name, card, about or {})
        (folder / MODEL_CARD).write_text(text, "utf-8")
    server_files.write_server_files(output)
    return target


def check_output(output: Path) -> None:
    """Refuses a folder that holds anything but versions.

    Raises:
      UserError: `output` is a file, a version, or some other folder.
    """
    files.check_folder(output)
    if (output / "saved_model.pb").exists():
        raise UserError(
            f"{output} is one version of an export; give the folder above "
            "it, and the next version is written there."
        )
    if not output.is_dir():
        return
    other = sorted(
        path.name
        for path in output.iterdir()
        if not path.name.startswith(".")
        and not _is_number(path)
        and path.name not in server_files.FILES
    )
    if other:
        raise UserError(
            f"{output} is in use: it holds {', '.join(other[:5])}. An export "
            "folder holds nothing but versions and what TF Serving is started "
            "with; name a new one."
        )


def read_card(version: str | os.PathLike) -> dict:
    """The facts that `write_version` left in a version; {} if none.

    Raises:
      UserError: the file is damaged.
    """
    path = Path(version) / CARD
    if not path.exists():
        return {}
    try:
        card = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged: wanted JSON, but {error}; export the run again"
        ) from error
    if not isinstance(card, dict):
        raise UserError(
            f"{path} is damaged: wanted an object, got {card!r:.40}; export "
            "the run again"
        )
    return card
