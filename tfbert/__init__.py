"""Text in, a BERT model and its answers out: the model and its life.

- `config` says what a model is; `encoder`, of `layers`, computes it, with the
  few operations that have a faster form on a backend (`fast_ops`).
- `text` and `vocabulary` turn text into ids, and know no model.
- `tasks` put heads and losses on the encoder; `optimizers` update it.
- `weights` reads and writes variables; `converters` those of other libraries.
- `serving` makes of task and tokenizer what TF Serving loads.

Names are imported when they are first used, so that the encoder runs on any
Keras backend without TensorFlow being imported.
"""

import importlib
import importlib.metadata

_HOMES = {
    "BertConfig": "tfbert.config",
    "BertEncoder": "tfbert.encoder",
    "Tokenizer": "tfbert.text.tokenizer",
    "load_encoder": "tfbert.converters.loading",
}

# `tfbert.tasks.ClassificationTask` without an import of its own.
_ROOMS = ("layers", "optimizers", "tasks")

__all__ = ["BertConfig", "BertEncoder", "Tokenizer", "load_encoder"]


def __getattr__(name: str):
    if name == "__version__":
        try:
            return importlib.metadata.version("tfbert")
        except importlib.metadata.PackageNotFoundError:
            return "0+source"
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"tfbert.{name}")
    raise AttributeError(f"module 'tfbert' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, *_ROOMS, "__version__"])
