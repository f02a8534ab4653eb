"""One checkpoint as it lies on the disk: written, verified, compared.

step-00000100/ holds model.safetensors (the task's variables by name),
optimizer.safetensors and checkpoint.json: the step, sizes and SHA-256 of both
files, and what the run knows of itself (docs/training.md lists it).
"""

import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.file_names import MODEL_FILE
from tfbert.files import folder
from tfbert.weights.safetensors_files import read_file, write_tensors
from tfrecords.storage.writer import file_sha256
from trainers.files import exit_status
from trainers.files.text import size

OPTIMIZER_FILE = "optimizer.safetensors"
STATE_FILE = "checkpoint.json"

# How masks are drawn, and what checkpoints of before it was said mean.
MASKS_FACT, _FIRST_MASKS = "masks", "1"

# What a checkpoint takes besides its tensors: headers, JSON, folders.
_OVERHEAD = 1 << 18
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SaveError(UserError):
    """A checkpoint could not be written; the ones before are intact."""

    status = exit_status.CANNOT_WRITE


def write_checkpoint(
    path: Path, tensors: Mapping[str, Mapping[str, np.ndarray]], state: dict
) -> None:
    """Writes a checkpoint's folder, whole or not at all.

    Args:
      path: step-NNNNNNNN, in a run's folder that exists.
      tensors: file name -> arrays by name.
      state: content of checkpoint.json; "files" is added.

    Raises:
      SaveError: says why, and for want of room how much is needed and there.
        Nothing is left under a temporary name.
    """
    needed = _OVERHEAD + sum(
        array.nbytes for arrays in tensors.values() for array in arrays.values()
    )
    run_dir = path.parent.parent
    try:
        if not run_dir.is_dir():
            raise FileNotFoundError(f"the run folder {run_dir} has gone")
        path.parent.mkdir(exist_ok=True)
        if shutil.disk_usage(path.parent).free < needed:
            raise OSError(errno.ENOSPC, "no space left on device")
        with folder(path) as temporary:
            files = {
                name: write_tensors(temporary / name, arrays)
                for name, arrays in tensors.items()
            }
            text = json.dumps({**state, "files": files}, indent=2) + "\n"
            (temporary / STATE_FILE).write_text(text, encoding="utf-8")
    except OSError as error:
        raise save_error("the checkpoint", path, needed, error) from error


def save_error(what: str, path: Path, needed: int, error: OSError) -> SaveError:
    """The error that says why something could not be written.

    Args:
      what: it is.
      path: of it.
      needed: bytes that it takes.
      error: what came instead.
    """
    reason = error.strerror or str(error)
    advice = "make it writable again"
    if error.errno in (errno.EMFILE, errno.ENFILE):
        advice = "raise the limit with `ulimit -n 4096`"
    if error.errno in _NO_ROOM:
        try:
            free = shutil.disk_usage(path.parent).free
            there = f"has {size(free)}"
        except OSError:
            there = "its free space cannot be read"
        reason = f"needs {size(needed)}, {there} ({reason.lower()})"
        advice = "free some space, or lower runtime.keep_checkpoints"
    return SaveError(
        f"{what} {path} could not be written: {reason}. The checkpoints "
        f"before it are intact; {advice}, and the same command goes on from "
        "the newest"
    )


def read_verified(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """Reads both files of a checkpoint after checking size and SHA-256.

    Raises:
      UserError: names the file and what is wrong with it.
    """
    try:
        tensors = {}
        for name, wanted in read_state(path)["files"].items():
            found = describe_file(path / name)
            if found != wanted:
                raise UserError(
                    f"{path / name} is damaged: wanted {wanted['bytes']} bytes "
                    f"with SHA-256 {wanted['sha256'][:12]}..., got "
                    f"{found['bytes']} with {found['sha256'][:12]}..."
                )
            tensors[name] = read_file(path / name)
        return {key: tensors[key] for key in (MODEL_FILE, OPTIMIZER_FILE)}
    except (OSError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} cannot be read: {type(error).__name__}: {error}"
        ) from error


def read_state(path: Path) -> dict:
    """The content of a checkpoint's checkpoint.json.

    Raises:
      UserError: it is missing or damaged.
    """
    try:
        state = json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        if not isinstance(state, dict):
            raise TypeError(f"wanted an object, got {type(state).__name__}")
        return state
    except (OSError, ValueError, TypeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path / STATE_FILE} cannot be read: {reason}") from (
            error
        )


def describe_file(path: Path) -> dict:
    """Size and SHA-256 of a file."""
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def check_facts(
    path: Path, saved: Mapping, now: Mapping, allowed: Sequence[str] = ()
) -> None:
    """Refuses a checkpoint of another vocabulary, other data, another seed.

    Args:
      path: of the checkpoint, for the message.
      saved: what it says of its run; what it does not say is not compared.
      now: the same of this run.
      allowed: settings that may differ; one that starts with "data." allows
        other data.

    Raises:
      UserError: lists what differs.
    """
    free = set(allowed)
    if any(name.startswith("data.") for name in allowed):
        free.add("data")
    if any(name.startswith("data.masking") for name in allowed):
        free.add(MASKS_FACT)
    saved = {MASKS_FACT: _FIRST_MASKS, **saved}
    differences = [
        f"  {name}: the checkpoint has {_short(saved[name])}, now "
        f"{_short(value)}"
        for name, value in now.items()
        if name in saved and saved[name] != value and name not in free
    ]
    if differences:
        raise UserError(
            f"{path} was made by another run:\n"
            + "\n".join(differences)
            + "\nGive what it was trained with to resume it, another "
            "runtime.run_dir to start anew, or name what may change in "
            "runtime.allow_change (data.records for other data, "
            "data.masking.max_predictions for masks that are drawn otherwise)."
        )


def _short(value) -> str:
    text = str(value)
    return f"{text[:12]}..." if len(text) > 24 else repr(value)
