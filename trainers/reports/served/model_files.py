"""A model on the disk: how a process loads it, and what its answers rest on."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tfbert.serving.package import versions
from trainers.reports.served.asking import Asked, load_model


@dataclasses.dataclass(frozen=True)
class ModelFiles:
    """An export, or a run that is asked as its export would be.

    Attributes:
      called: what it is, in a word.
      folder: where its files are.
      files: those that its answers depend on; some may be missing.
      signature: which is asked.
      load: loads it; goes to other processes, so that it is a function of a
        module with its arguments.
    """

    called: str
    folder: Path
    files: Sequence[Path]
    signature: str
    load: Callable[[], Asked]

    def fingerprint(self) -> str:
        """Of all that its answers depend on."""
        digest = hashlib.sha256()
        for path in self.files:
            if path.is_file():
                with open(path, "rb") as stream:
                    own = hashlib.file_digest(stream, "sha256").hexdigest()
                name = path.relative_to(self.folder)
                digest.update(f"{name} {own}\n".encode())
        return digest.hexdigest()[:16]


def of_export(version: Path, signature: str) -> ModelFiles:
    """The files of a version of an export."""
    parts = [version / "saved_model.pb", version / versions.CARD]
    for folder in ("variables", "assets"):
        parts += sorted((version / folder).rglob("*"))
    load = functools.partial(load_model, version, signature)
    return ModelFiles("export", version, parts, signature, load)


def of_run(
    run_dir: Path,
    weights: Path,
    signature: str,
    load: Callable[[Path, str], Asked],
) -> ModelFiles:
    """The files of a run.

    Args:
      run_dir: its folder.
      weights: the file in it that an export would have the weights of.
      signature: which is asked.
      load: (run_dir, signature) -> the model.
    """
    # Shape, labels, vocabulary and its case: all that describes the model.
    about = [*run_dir.glob("*.json"), *run_dir.glob("vocab.txt")]
    kept = [path for path in about if not path.name.startswith(_OF_TRAINING)]
    return ModelFiles(
        "run",
        run_dir,
        [weights, *sorted(kept)],
        signature,
        functools.partial(load, run_dir, signature),
    )


# JSON files of a run that say nothing of the model.
_OF_TRAINING = ("evaluation-", "environment", "rollbacks", "lock", "summary")
