"""Every source of weights: which format it is, read it, write it."""

import dataclasses
import importlib
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from tfbert import files
from tfbert.config import BertConfig
from tfbert.errors import UserError
from tfbert.file_names import (
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    RUN_FILE,
    SETTINGS_FILE,
)
from tfbert.json_files import read_json
from tfbert.weights.names import PARTS, part_of
from tfbert.weights.portable_model import (
    HEADLESS,
    Outline,
    Pooling,
    PortableModel,
)
from tfbert.weights.safetensors_files import INDEX_SUFFIX, read_header

if TYPE_CHECKING:
    from tfbert.text.tokenizer import Tokenizer

# What run.json calls how windows of long texts become an answer.
_WINDOWS = "window_pooling"
# Format -> module with read(path); those that are written have
# write(model, folder) as well.
READERS = {
    "tfbert": "tfbert.converters.own",
    "huggingface": "tfbert.converters.huggingface",
    "google": "tfbert.converters.google",
    "keras_hub": "tfbert.converters.keras_hub",
    "model_garden": "tfbert.converters.model_garden",
}
WRITERS = ("huggingface", "keras_hub", "google", "tfbert")
# Written too, of models without a head; read as a Hugging Face folder.
VECTORS = "sentence_transformers"
DESCRIPTIONS = {
    "tfbert": "a run or folder of tfbert",
    "huggingface": "a Hugging Face folder",
    "google": "a checkpoint of google-research/bert",
    "keras_hub": "a keras-hub preset",
    "model_garden": "a checkpoint of TensorFlow Model Garden",
}


def detect(source: str | os.PathLike) -> str:
    """Returns which format (key of READERS) a folder or checkpoint is.

    Raises:
      UserError: it is not there, or is none of them.
    """
    path = Path(source)
    if not path.is_dir():
        if path.with_name(path.name + ".index").is_file():
            return _kind_of_checkpoint(str(path))
        if path.exists():
            return _refuse_file(path)
        if os.sep not in str(source) and _is_preset_name(str(source)):
            return "keras_hub"
        raise UserError(
            f"no folder {path} to read weights from; wanted "
            + ", ".join(DESCRIPTIONS.values())
        )
    if any((path / name).is_file() for name in (RUN_FILE, SETTINGS_FILE)):
        return "tfbert"
    if (path / CONFIG_FILE).is_file():
        return _kind_of_config(path)
    checkpoints = checkpoint_prefixes(path)
    if checkpoints:
        return _kind_of_checkpoint(checkpoints[0])
    raise UserError(
        f"{path} has no config.json and no checkpoint (*.index); wanted "
        + ", ".join(DESCRIPTIONS.values())
    )


def _refuse_file(path: Path) -> str:
    if path.suffix in (".bin", ".pt", ".pth", ".pkl", ".pickle"):
        raise UserError(
            f"{path} is a pickle, which may run any code when it is read; "
            "give a folder with model.safetensors"
        )
    raise UserError(
        f"{path} is a file; give the folder that it is in, or the prefix of a "
        "TensorFlow checkpoint (bert_model.ckpt)"
    )


def _is_preset_name(name: str) -> bool:
    from tfbert.converters import keras_hub

    return keras_hub.is_preset_name(name)


def _kind_of_config(path: Path) -> str:
    if {"registered_name", "class_name"} & set(read_json(path / CONFIG_FILE)):
        return "keras_hub"
    weights = path / "model.safetensors"
    if (path / CHECKPOINTS_FOLDER).is_dir():
        return "tfbert"
    if weights.is_file():
        names = read_header(weights)[0]
        ours = any(name.startswith("encoder/") for name in names)
        return "tfbert" if ours else "huggingface"
    foreign = (weights.name + INDEX_SUFFIX, "pytorch_model.bin")
    if any((path / name).is_file() for name in foreign):
        return "huggingface"
    if list(path.glob("pytorch_model*.bin*")):
        return "huggingface"
    if (path / "tf_model.h5").is_file():
        raise UserError(
            f"{path} has its weights as tf_model.h5 only, which transformers "
            "wrote before version 5; where torch, tensorflow, tf-keras and "
            "transformers below 5 are installed this converts it:\n  python "
            '-c "from transformers import AutoModelForPreTraining as M; '
            f"M.from_pretrained('{path}', from_tf=True)"
            f".save_pretrained('{path}')\""
        )
    raise UserError(
        f"{path} holds no weights: it has a config.json, and neither "
        "model.safetensors nor checkpoints/step-*/model.safetensors"
    )


def checkpoint_prefixes(folder: Path) -> list[str]:
    """The TensorFlow checkpoints in a folder, as prefixes, sorted."""
    return sorted(
        str(path).removesuffix(".index") for path in folder.glob("*.index")
    )


def _kind_of_checkpoint(prefix: str) -> str:
    from tfbert.weights import checkpoint_files

    names = checkpoint_files.list_names(prefix)
    objects = any(name.endswith("/VARIABLE_VALUE") for name in names)
    return "model_garden" if objects else "google"


def _module(kind: str) -> ModuleType:
    # A folder of sentence-transformers is one of transformers, and more.
    kind = "huggingface" if kind == VECTORS else kind
    return importlib.import_module(READERS[kind])


def read(source: str | os.PathLike) -> PortableModel:
    """Reads weights, config and tokenizer from any source.

    Raises:
      UserError: the source is none of the formats, or is broken.
    """
    return read_as(detect(source), Path(source))


def read_config(source: str | os.PathLike) -> BertConfig:
    """The shape of the encoder in any source.

    Raises:
      UserError: as `read`.
    """
    return _outline(source)[0]


def _outline(source: str | os.PathLike) -> Outline:
    """Config, vocabulary and notes of any source; its weights stay unread."""
    return _module(detect(source)).outline(Path(source))


def has_tokenizer(source: str | os.PathLike) -> bool:
    """Whether a source has a vocabulary beside its weights.

    Raises:
      UserError: as `read`.
    """
    return _outline(source)[1] is not None


def read_tokenizer(source: str | os.PathLike) -> "Tokenizer":
    """The tokenizer of any source.

    Raises:
      UserError: as `read`; or it has none.
    """
    from tfbert.text.tokenizer import Tokenizer

    if detect(source) == "tfbert":
        return Tokenizer.from_folder(source)
    vocabulary = _outline(source)[1]
    if vocabulary is None:
        raise UserError(
            f"{source} has weights and no tokenizer; put its vocab.txt and "
            "tokenizer_config.json beside them"
        )
    return Tokenizer(vocabulary.tokens, lowercase=vocabulary.lowercase)


def read_as(kind: str, path: Path) -> PortableModel:
    """Reads a source whose format is known."""
    return _module(kind).read(path)


def write(
    model: PortableModel,
    kind: str,
    folder: str | os.PathLike,
    finish: Callable[[Path, PortableModel], None] | None = None,
) -> PortableModel:
    """Writes a model; the folder appears whole or not at all.

    Args:
      model: what is written.
      kind: one of WRITERS, or VECTORS.
      folder: may not exist yet.
      finish: called with the folder, still under a temporary name, and the
        model as written; what it raises leaves nothing behind.

    Returns:
      The model with the map of names that was used.

    Raises:
      UserError: the folder exists, or the format cannot hold the model.
    """
    folder = Path(folder)
    if folder.exists() and files.is_whole(folder):
        raise UserError(f"{folder} exists already; give a new folder")
    if kind not in (*WRITERS, VECTORS):
        raise UserError(
            f"wanted a format of {', '.join((*WRITERS, VECTORS))} to write, "
            f"got {kind!r}"
        )
    about = model.run or {}
    if model.task not in HEADLESS and about.get(_WINDOWS) == "attention":
        raise UserError(
            "no format has a place for what the run has learnt of windows of "
            "long texts (window_pooling attention); leave its head out "
            "(--encoder_only), or train with another pooling"
        )
    if kind != "tfbert":
        model = _for_neighbours(model, kind)
    with files.folder(folder) as temporary:
        written = _module(kind).write(model, temporary)
        if kind != "tfbert":
            notes = (*written.notes, *_lost(model))
            written = dataclasses.replace(written, notes=notes)
        if finish is not None:
            finish(temporary, written)
    return written


def _for_neighbours(model: PortableModel, kind: str) -> PortableModel:
    """The model as others know it: vectors are learnt without a head.

    Raises:
      UserError: it has a head, and sentence-transformers has no place for it.
    """
    if kind == VECTORS:
        if model.task not in HEADLESS:
            raise UserError(
                "a folder of sentence-transformers makes vectors, and has no "
                f"place for the head of {model.task}; leave it out "
                "(--encoder_only)"
            )
        length = model.vocabulary.max_length if model.vocabulary else None
        pooling = model.pooling or Pooling(max_length=length)
        return dataclasses.replace(encoder_only(model), pooling=pooling)
    if model.task != "embedding":
        return model
    notes = model.notes
    if kind != "huggingface":
        notes = (
            *notes,
            "the format has no place for how a vector is made of the tokens': "
            f"{model.pooling.mode}, brought to length 1",
        )
    return dataclasses.replace(model, task="encoder", notes=notes)


def _lost(model: PortableModel) -> list[str]:
    """Notes on what a run has learnt beside its weights, for other formats."""
    facts = model.run or {}
    if facts.get("long_texts") == "windows":
        return [
            "the run reads longer texts in windows "
            f"({facts.get(_WINDOWS)}, up to {facts.get('window_overlap')} "
            "tokens shared); the format has no place for that, and other code "
            "cuts them"
        ]
    validation = facts.get("validation") or {}
    threshold = validation.get("no_answer_threshold", 0.0)
    if (
        model.task != "question_answering"
        or not facts.get("no_answer")
        or not threshold
    ):
        return []
    return [
        f"the format has no place for the no-answer threshold {threshold:g}, "
        "above which (score of [CLS] less that of the best span) the run "
        "gives no answer: without it other programs take 0. transformers' "
        "run_qa.py calls it null_score_diff_threshold"
    ]


def encoder_only(model: PortableModel) -> PortableModel:
    """The model without its heads."""
    heads = set(PARTS) - {"pooler"}
    return dataclasses.replace(
        model,
        task="encoder",
        labels=None,
        tensors={
            name: value
            for name, value in model.tensors.items()
            if part_of(name) not in heads
        },
    )
