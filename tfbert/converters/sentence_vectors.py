"""sentence-transformers: how a folder makes one vector of a text.

modules.json lists the modules; after the transformer come Pooling, and
Normalize where vectors are brought to length 1.
"""

import json
from pathlib import Path

from tfbert.converters.model import Pooling
from tfbert.converters.tokenizer_files import as_json
from tfbert.errors import UserError
from tfbert.json_files import read_json

MODULES_FILE = "modules.json"
LENGTH_FILE = "sentence_bert_config.json"
POOLING_FOLDER = "1_Pooling"
_PREFIX = "sentence_transformers.models."
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
_MODULES = ("Transformer", "Pooling", "Normalize")


def read(folder: Path) -> Pooling | None:
    """The pooling of a folder; None where it is no sentence-transformer.

    Raises:
      UserError: the files are broken, or a module does what we cannot.
    """
    path = folder / MODULES_FILE
    if not path.is_file():
        return None
    try:
        modules = json.loads(path.read_text("utf-8"))
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        places = [module["path"] for module in modules]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no list of modules: {error!r}") from error
    if kinds not in (list(_MODULES[:2]), list(_MODULES)):
        raise UserError(
            f"{path}: the modules are {', '.join(kinds)}; we can do "
            "Transformer, Pooling and, last, Normalize"
        )
    if Path(places[1]).name != places[1]:
        raise UserError(f"{path} leads out of its folder: {places[1]!r}")
    return Pooling(
        _mode(folder / places[1] / "config.json"),
        normalize=len(kinds) == len(_MODULES),
        max_length=_max_length(folder / LENGTH_FILE),
    )


def _mode(path: Path) -> str:
    content = read_json(path)
    on = [
        name
        for name, value in content.items()
        if name.startswith("pooling_mode_") and value is True
    ]
    if len(on) != 1 or on[0] not in _MODES:
        raise UserError(
            f"{path}: pooling by {', '.join(on) or 'nothing'}; we can do one "
            f"of {', '.join(_MODES)}"
        )
    return _MODES[on[0]]


def _max_length(path: Path) -> int | None:
    if not path.is_file():
        return None
    length = read_json(path).get("max_seq_length")
    if length is not None and (type(length) is not int or length < 2):
        raise UserError(f"{path}: max_seq_length is {length!r}")
    return length


def write(pooling: Pooling, width: int, folder: Path) -> None:
    """Makes a transformers folder one of sentence-transformers."""
    kinds = _MODULES if pooling.normalize else _MODULES[:2]
    places = ("", POOLING_FOLDER, "2_Normalize")
    modules = [
        {"idx": i, "name": str(i), "path": place, "type": _PREFIX + kind}
        for i, (kind, place) in enumerate(zip(kinds, places, strict=False))
    ]
    (folder / MODULES_FILE).write_text(json.dumps(modules, indent=2) + "\n")
    modes = {name: mode == pooling.mode for name, mode in _MODES.items()}
    (folder / POOLING_FOLDER).mkdir()
    (folder / POOLING_FOLDER / "config.json").write_text(
        as_json({"word_embedding_dimension": width, **modes})
    )
    length = {"max_seq_length": pooling.max_length, "do_lower_case": False}
    (folder / LENGTH_FILE).write_text(as_json(length))
