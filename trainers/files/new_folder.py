"""The folder of a run for those who name none."""

import logging
import os
import tempfile
from pathlib import Path

from tfbert.errors import UserError

_log = logging.getLogger(__name__)


def of_run(run_dir: str | os.PathLike | None) -> str:
    """The folder of a run: what was named, or a new temporary one.

    Raises:
      UserError: something else than a path was named.
    """
    if run_dir is None:
        folder = Path(tempfile.mkdtemp(prefix="tfbert-")) / "run"
        _log.info(f"Run folder: {folder}; give run_dir to choose another")
        return str(folder)
    if not isinstance(run_dir, str | os.PathLike) or not os.fspath(run_dir):
        raise UserError(
            f"wanted the path of a folder in run_dir, got {run_dir!r}"
        )
    return os.fspath(run_dir)


def beside(run_dir: str | os.PathLike) -> Path:
    """Where a run's data are that came in memory: RUN_DIR-data."""
    path = Path(run_dir).absolute()
    return path.with_name(f"{path.name}-data")
