"""`load_encoder`: an encoder from any source of weights."""

import contextlib
import logging
import os
import threading
from collections.abc import Iterator

import rich.console
import rich.status

from tfbert.converters import building, sources
from tfbert.encoder import BertEncoder
from tfbert.errors import UserError

_log = logging.getLogger(__name__)
# Seconds after which people ask themselves whether anything happens.
PATIENCE = 2.0


def load_encoder(source: str | os.PathLike, dtype=None) -> BertEncoder:
    """Loads an encoder from any source of weights.

    Args:
      source: a run or converted folder of ours, a Hugging Face or
        sentence-transformers folder, a keras-hub preset (folder or name), a
        checkpoint of google-research/bert or of Model Garden (folder or
        prefix). `tfbert.converters.sources.detect` says which it is.
      dtype: Keras dtype or policy of the encoder.

    Raises:
      UserError: the source holds no encoder, or its weights do not fit its
        config.
    """
    if not isinstance(source, str | os.PathLike) or not os.fspath(source):
        raise UserError(
            "wanted the path of a run, a model folder or a checkpoint, or a "
            f"preset's name, got {source!r}"
        )
    with shown(f"Loading the encoder in {os.fspath(source)}"):
        return building.make_encoder(sources.read(source), dtype)


@contextlib.contextmanager
def shown(
    what: str, console: rich.console.Console | None = None
) -> Iterator[None]:
    """Shows on a terminal or in a notebook what takes long, until it is done.

    Elsewhere it is logged.

    Args:
      what: is done inside.
      console: where to; None: standard error.
    """
    console = console or rich.console.Console(stderr=True, markup=False)
    status = rich.status.Status(what + " ...", console=console)

    def show():
        if console.is_terminal or console.is_jupyter:
            status.start()
        else:
            _log.info(what + " ...")

    timer = threading.Timer(PATIENCE, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        status.stop()
