"""BERT for Keras 3: the model and its life.

Separation of concerns:

- `config` says what a model is; `layers`, `encoder` and `tasks` build it.
- `kernels` holds the few operations that have a faster form on a backend.
- `optimizers` update it, `weights` reads and writes it.
- `converters` read and write the weights of other libraries.
- `tokenization` and `vocabulary` turn text into ids.

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

__all__ = ["BertConfig", "BertEncoder", "Tokenizer", "load_encoder"]


def __getattr__(name: str):
    if name == "__version__":
        try:
            return importlib.metadata.version("tfbert")
        except importlib.metadata.PackageNotFoundError:
            return "0+source"
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tfbert' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES, "__version__"])
