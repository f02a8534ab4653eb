"""Reads a run folder: plain files only, no model and no TensorFlow.

Every part but the folder itself may be missing, as a run may be young,
broken or of an older version; a file that is there but broken is a
UserError that names it.
"""

import contextlib
import dataclasses
import functools
import math
import os
import re
import struct
from pathlib import Path

from tfbert import files, json_files
from tfbert.errors import UserError
from tfbert.file_names import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    METRICS_FILE,
    RUN_FILE,
    SETTINGS_FILE,
)
from tfbert.local_paths import local_path
from tfrecords.layout import MANIFEST_FILE
from trainers.files.yaml_files import read_yaml

# Any of these makes a folder a run folder.
SIGNS = (RUN_FILE, SETTINGS_FILE, METRICS_FILE)


@dataclasses.dataclass(frozen=True)
class CheckpointFolder:
    """A checkpoint as it lies on the disk.

    Attributes:
      step: global step.
      path: its folder.
      num_bytes: size of all its files.
      saved_at: seconds since 1970.
    """

    step: int
    path: Path
    num_bytes: int
    saved_at: float


class RunFolder:
    """The files of one run.

    Args:
      path: folder of the run.

    Raises:
      UserError: `path` is not a run folder.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = local_path(path, "the run's folder")
        if not self.path.exists():
            raise UserError(
                f"wanted a run folder, but {self.path} does not exist; give "
                "the folder that `tfbert pretrain` or `tfbert finetune` wrote"
            )
        if not is_run_folder(self.path):
            raise UserError(
                f"wanted a run folder, got {self.path}, which has none of "
                f"{', '.join(SIGNS)}; give the folder that `tfbert pretrain` "
                f"or `tfbert finetune` wrote{_runs_below(self.path)}"
            )

    @functools.cached_property
    def about(self) -> dict:
        """run.json: kind, labels, path of the records."""
        return self._json(RUN_FILE)

    @functools.cached_property
    def config(self) -> dict:
        """config.json: the shape of the encoder."""
        return self._json(CONFIG_FILE)

    @functools.cached_property
    def environment(self) -> dict:
        """environment.json: versions, devices, host, command."""
        return self._json("environment.json")

    @functools.cached_property
    def settings(self) -> dict:
        """settings.yaml: the resolved settings, by section."""
        path = self.path / SETTINGS_FILE
        if not path.is_file():
            return {}
        settings = read_yaml(path)
        return settings if isinstance(settings, dict) else {}

    @functools.cached_property
    def metrics(self) -> list[dict]:
        """All whole rows of metrics.jsonl, in the order of the file."""
        path = self.path / METRICS_FILE
        if not path.is_file():
            return []
        return parse_metrics(path.read_text("utf-8", errors="replace"))

    def rows(self, split: str) -> list[dict]:
        """The rows of "train" or "validation"."""
        return [row for row in self.metrics if row.get("split") == split]

    @functools.cached_property
    def checkpoints(self) -> list[CheckpointFolder]:
        """The checkpoints under their final names, oldest first."""
        found = []
        for path in sorted((self.path / CHECKPOINTS_FOLDER).glob("step-*")):
            match = re.fullmatch(r"step-(\d+)", path.name)
            if not match or not path.is_dir() or not files.is_whole(path):
                continue
            try:
                sizes = [f.stat().st_size for f in path.iterdir()]
                saved_at = path.stat().st_mtime
            except FileNotFoundError:
                # The run goes on, and it has just been dropped.
                continue
            found.append(
                CheckpointFolder(int(match[1]), path, sum(sizes), saved_at)
            )
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    @functools.cached_property
    def evaluations(self) -> dict[str, dict]:
        """File name -> content of each evaluation-*.json."""
        return {
            path.name: self._json(path.name)
            for path in sorted(self.path.glob("evaluation-*.json"))
        }

    @functools.cached_property
    def records(self) -> Path | None:
        """Folder of the records that the run was trained on, if it says."""
        data = self.settings.get("data")
        named = self.about.get("records")
        if not named and isinstance(data, dict):
            named = data.get("records")
        return Path(named) if isinstance(named, str) and named else None

    @functools.cached_property
    def manifest(self) -> dict:
        """manifest.json of the records; empty where they are gone."""
        if self.records is None:
            return {}
        return read_json(self.records / MANIFEST_FILE)

    @functools.cached_property
    def num_parameters(self) -> int | None:
        """Parameters in the newest checkpoint, from the file's header."""
        # The newest that is still there, when it is read.
        for checkpoint in reversed(self.checkpoints):
            with contextlib.suppress(FileNotFoundError):
                return count_parameters(checkpoint.path / "model.safetensors")
        return None

    def _json(self, name: str) -> dict:
        return read_json(self.path / name)


def is_run_folder(path: Path) -> bool:
    """Whether a folder holds a run, whole or begun."""
    return any((path / sign).is_file() for sign in SIGNS)


def _runs_below(path: Path) -> str:
    """Runs that a folder holds, as a remark: somebody may have meant them."""
    if not path.is_dir():
        return ""
    found = sorted(below for below in path.iterdir() if is_run_folder(below))
    if not found:
        return ""
    more = ", ..." if len(found) > 3 else ""
    return f", such as {', '.join(map(str, found[:3]))}{more}"


def read_json(path: Path) -> dict:
    """The object in a JSON file; empty where there is no file.

    Raises:
      UserError: the file is not JSON, or not an object.
    """
    return json_files.read_json(path) if path.is_file() else {}


def parse_metrics(text: str) -> list[dict]:
    """The rows of a metrics.jsonl; a line that a crash cut is left out."""
    rows = json_files.parse_lines(text)
    return [row for row in rows if isinstance(row.get("step"), int)]


def count_parameters(path: Path) -> int:
    """Numbers in a safetensors file, by its header (8 bytes of length, JSON).

    Raises:
      UserError: the file has no such header.
    """
    with open(path, "rb") as stream:
        head = stream.read(8)
        size = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        # 100 MB is what the format itself allows.
        header = stream.read(size) if size < 100_000_000 else b""
    try:
        return sum(
            math.prod(tensor["shape"])
            for name, tensor in json_files.parse(header, path).items()
            if name != "__metadata__"
        )
    except (UserError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a safetensors file") from error
