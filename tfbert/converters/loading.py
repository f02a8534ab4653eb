"""`load_encoder`: an encoder from any source of weights."""

import os

from tfbert.converters import building, sources
from tfbert.encoder import BertEncoder


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
    return building.make_encoder(sources.read(source), dtype)
