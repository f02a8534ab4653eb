"""sentence-transformers: how a folder makes one vector of a text.

modules.json lists the modules; after the transformer come Pooling, and
Normalize where vectors are brought to length 1.
"""

import json
from pathlib import Path

from tfbert.converters.tokenizer_files import as_json
from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE
from tfbert.json_files import read_json, read_value
from tfbert.weights.portable_model import Pooling, Vocabulary

MODULES_FILE = "modules.json"
LENGTH_FILE = "sentence_bert_config.json"
PROMPTS_FILE = "config_sentence_transformers.json"
POOLING_FOLDER = "1_Pooling"
_PREFIX = "sentence_transformers.models."
_MODES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
}
_TASK = "feature-extraction"
_MODULES = ("Transformer", "Pooling", "Normalize")


def read(
    folder: Path, vocabulary: Vocabulary | None
) -> tuple[Pooling | None, list[str]]:
    """The pooling of a folder, and notes; None: no sentence-transformer.

    Args:
      folder: of sentence-transformers, any version.
      vocabulary: its tokenizer's; says the limit where versions from 5.4 on
        keep it.

    Raises:
      UserError: the files are broken, or ask for what we cannot do.
    """
    path = folder / MODULES_FILE
    if not path.is_file():
        return None, []
    modules = read_value(path)
    try:
        kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
        places = [module["path"] for module in modules]
        plain = all(Path(place).name == place for place in places)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is no list of modules: {error!r}") from error
    if kinds not in (list(_MODULES[:2]), list(_MODULES)):
        raise UserError(
            f"{path}: the modules are {', '.join(kinds)}; we can do "
            "Transformer, Pooling and, last, Normalize"
        )
    if not plain:
        raise UserError(f"{path} leads out of its folder: {places}")
    if places[0]:
        raise UserError(
            f"{path}: the transformer is in {places[0]}; copy its files beside "
            f'{MODULES_FILE}, and change its path there to ""'
        )
    mode, reads_prompt = _mode(folder / places[1] / CONFIG_FILE)
    notes = _prompts(folder / PROMPTS_FILE, reads_prompt)
    length = _transformer(folder / LENGTH_FILE, vocabulary)
    if length is None and vocabulary is not None:
        length = vocabulary.max_length
    normalize = len(kinds) == len(_MODULES)
    return Pooling(mode, normalize=normalize, max_length=length), notes


def _mode(path: Path) -> tuple[str, bool]:
    """The one mode that is on, and whether a prompt counts in it."""
    content = read_json(path)
    on = content.get("pooling_mode")
    if on is None:
        # Before version 5.4: a flag for each.
        on = [
            name
            for name, value in content.items()
            if name.startswith("pooling_mode_") and value is True
        ]
        on = [_MODES.get(name, name) for name in on]
    on = on if isinstance(on, list) else [on]
    if len(on) != 1 or on[0] not in _MODES.values():
        raise UserError(
            f"{path}: pooling by {', '.join(map(str, on)) or 'nothing'}; we "
            f"can do one of {', '.join(_MODES.values())}"
        )
    return on[0], content.get("include_prompt", True) is not False


def _prompts(path: Path, reads_prompt: bool) -> list[str]:
    """Refuses a text that is put before each text; notes on the others."""
    if not path.is_file():
        return []
    content = read_json(path)
    prompts = content.get("prompts") or {}
    if not isinstance(prompts, dict):
        raise UserError(f"{path}: prompts are {prompts!r}, wanted an object")
    name = content.get("default_prompt_name")
    if name is not None and prompts.get(name) != "":
        raise UserError(
            f"{path}: default_prompt_name {name!r} puts {prompts.get(name)!r} "
            "before every text, which our exports do not; make it null in a "
            "copy of the folder, and put that before your texts yourself"
        )
    used = {name: text for name, text in prompts.items() if text}
    if used and not reads_prompt:
        raise UserError(
            f"{path}: prompts that the pooling leaves out (include_prompt "
            "false), which ours cannot"
        )
    if not used:
        return []
    return [f"prompts are for you to put before texts: {used}"]


def _transformer(path: Path, vocabulary: Vocabulary | None) -> int | None:
    """The length that texts are cut to, where the module says it."""
    if not path.is_file():
        return None
    content = read_json(path)
    length = content.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 2):
        raise UserError(f"{path}: max_seq_length is {length!r}")
    lowers = content.get("do_lower_case", False)
    if type(lowers) is not bool:
        raise UserError(f"{path}: do_lower_case is {lowers!r}")
    if lowers and vocabulary is not None and not vocabulary.lowercase:
        raise UserError(
            f"{path}: do_lower_case before a cased tokenizer lower-cases and "
            "keeps accents; our tokenizer does both or neither"
        )
    task = content.get("transformer_task", _TASK)
    if task != _TASK:
        raise UserError(
            f"{path}: transformer_task is {task!r}, wanted {_TASK!r}"
        )
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
    # The flags of before version 5.4, which later ones read as well.
    modes = {name: mode == pooling.mode for name, mode in _MODES.items()}
    (folder / POOLING_FOLDER).mkdir()
    (folder / POOLING_FOLDER / CONFIG_FILE).write_text(
        as_json({"word_embedding_dimension": width, **modes})
    )
    length = {"max_seq_length": pooling.max_length, "do_lower_case": False}
    (folder / LENGTH_FILE).write_text(as_json(length))
