"""The folder of a run for those who name none."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfbert.errors import UserError

_log = logging.getLogger(__name__)


def of_run(run_dir: str | os.PathLike | None, dry: bool = False) -> str:
    """The folder of a run: what was named, or a new temporary one.

    Args:
      run_dir: what was named.
      dry: nothing will be written: a new one is named and not made.

    Raises:
      UserError: something else than a path was named.
    """
    if run_dir is None and dry:
        return str(Path(tempfile.gettempdir()) / "tfbert-dry_run" / "run")
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


@contextlib.contextmanager
def for_data(run_dir: str | os.PathLike, dry: bool) -> Iterator[Path]:
    """As `beside`; of a dry run, a folder that is gone at the end."""
    if not dry:
        yield beside(run_dir)
        return
    with tempfile.TemporaryDirectory(prefix="tfbert-") as folder:
        yield Path(folder)
