"""google-research/bert: checkpoints of TensorFlow 1, read by name.

Names as in google-research/bert `modeling.py` and `run_pretraining.py`,
`run_classifier.py`, `run_squad.py`. A folder has bert_config.json, vocab.txt
and bert_model.ckpt.*.
"""

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tfbert.config import BertConfig
from tfbert.converters.tokenizer_files import as_json
from tfbert.errors import UserError
from tfbert.text.vocabulary_case import is_lowercase
from tfbert.text.vocabulary_files import read_vocabulary
from tfbert.weights import checkpoint_files
from tfbert.weights.names import (
    SAME,
    THIRDS,
    TRANSPOSED,
    Entry,
    entry,
    expand,
    pack,
    unpack,
)
from tfbert.weights.portable_model import (
    Outline,
    PortableModel,
    Vocabulary,
    check,
)

KIND = "google"
CONFIG_FILE = "bert_config.json"
VOCABULARY_FILE = "vocab.txt"
CHECKPOINT = "bert_model.ckpt"
# What belongs to a model, where a trainer's own numbers do not.
_MODEL = re.compile(r"(?:bert|cls)/|output_(?:weights|bias)")
_EPSILON = 1e-12


def _dense(ours: str, theirs: str) -> list[Entry]:
    return [
        entry(f"{ours}/kernel", f"{theirs}/kernel"),
        entry(f"{ours}/bias", f"{theirs}/bias"),
    ]


def _norm(ours: str, theirs: str) -> list[Entry]:
    return [
        entry(f"{ours}/gamma", f"{theirs}/gamma"),
        entry(f"{ours}/beta", f"{theirs}/beta"),
    ]


def _output(ours: str, theirs: str) -> list[Entry]:
    """A head: weights [C, H] that are multiplied transposed."""
    slash = "/" if theirs else ""
    return [
        entry(
            f"{ours}/kernel", f"{theirs}{slash}output_weights", form=TRANSPOSED
        ),
        entry(f"{ours}/bias", f"{theirs}{slash}output_bias"),
    ]


_LAYER, _BLOCK = "bert/encoder/layer_{i}", "encoder/block_{i}"
_TABLE = [
    entry(
        "encoder/embeddings/token_embeddings",
        "bert/embeddings/word_embeddings",
    ),
    entry(
        "encoder/embeddings/segment_embeddings",
        "bert/embeddings/token_type_embeddings",
    ),
    entry(
        "encoder/embeddings/position_embeddings",
        "bert/embeddings/position_embeddings",
    ),
    *_norm("encoder/embeddings/layer_norm", "bert/embeddings/LayerNorm"),
    *(
        entry(
            f"{_BLOCK}/attention/query_key_value/{part}",
            *(
                f"{_LAYER}/attention/self/{name}/{part}"
                for name in ("query", "key", "value")
            ),
            form=THIRDS,
        )
        for part in ("kernel", "bias")
    ),
    *_dense(f"{_BLOCK}/attention/output", f"{_LAYER}/attention/output/dense"),
    *_norm(
        f"{_BLOCK}/attention_layer_norm",
        f"{_LAYER}/attention/output/LayerNorm",
    ),
    *_dense(
        f"{_BLOCK}/feed_forward/intermediate", f"{_LAYER}/intermediate/dense"
    ),
    *_dense(f"{_BLOCK}/feed_forward/output", f"{_LAYER}/output/dense"),
    *_norm(f"{_BLOCK}/feed_forward_layer_norm", f"{_LAYER}/output/LayerNorm"),
    *_dense("encoder/pooler", "bert/pooler/dense"),
    *_dense("masked_lm/transform", "cls/predictions/transform/dense"),
    *_norm("masked_lm/layer_norm", "cls/predictions/transform/LayerNorm"),
    entry("masked_lm/output_bias", "cls/predictions/output_bias", form=SAME),
    *_output("next_sentence/dense", "cls/seq_relationship"),
]
# Task -> where its head is.
_HEADS = {"classification": "", "question_answering": "cls/squad"}


def table(config: BertConfig, task: str) -> list[Entry]:
    """The table of names for a model of this size."""
    head = _output("classifier", _HEADS[task]) if task in _HEADS else []
    return expand([*_TABLE, *head], config)


def read(path: Path) -> PortableModel:
    """Reads a folder with bert_config.json, or the checkpoint in one.

    Args:
      path: the folder, or a prefix such as FOLDER/bert_model.ckpt.

    Raises:
      UserError: a file is missing, broken, or contradicts another.
    """
    prefix = locate(path)[1]
    config, vocabulary, notes = outline(path)
    names = checkpoint_files.list_names(prefix)
    task = _task(names)
    left_out = _of_trainers(names, table(config, task))
    theirs = checkpoint_files.read(prefix, left_out.__contains__)
    ours, rows = unpack(table(config, task), theirs, config, prefix)
    return check(
        PortableModel(
            kind=KIND,
            source=path,
            config=config,
            tensors=ours,
            task=task,
            vocabulary=vocabulary,
            rows=rows,
            notes=(*notes, *_slots_note(left_out)),
        )
    )


def outline(path: Path) -> Outline:
    """Config, vocabulary and notes, without the weights.

    Raises:
      UserError: as `read`, but for the weights.
    """
    folder = locate(path)[0]
    config, notes = read_config(folder)
    vocabulary, more = read_vocab(folder)
    return config, vocabulary, [*notes, *more]


def _of_trainers(
    names: Mapping[str, Sequence[int]], entries: Sequence[Entry]
) -> set[str]:
    """The names of what a trainer keeps beside the weights.

    An optimizer's slot is named after its variable: VARIABLE/adam_m,
    VARIABLE/BERTAdam_1. The rest are numbers such as global_step and
    beta1_power; no weight of BERT is a single number.

    Args:
      names: name -> shape of all that is in the checkpoint.
      entries: the table of names.
    """
    weights = {name for item in entries for name in item.theirs} & set(names)
    found = {
        name
        for name, shape in names.items()
        if not shape and _MODEL.match(name) is None
    }
    for name in names:
        place = name.rpartition("/")[0]
        while place and place not in weights:
            place = place.rpartition("/")[0]
        if place:
            found.add(name)
    return found


def _slots_note(left_out: set[str]) -> list[str]:
    """A note on slots, by their names without the variable's."""
    kinds = sorted({name.rpartition("/")[2] for name in left_out})
    if not kinds:
        return []
    shown = ", ".join(kinds[:8]) + (", ..." if len(kinds) > 8 else "")
    return [f"left out, as a trainer's own: {len(left_out)} of {shown}"]


def locate(path: Path) -> tuple[Path, str]:
    """The folder of a checkpoint and its prefix.

    Raises:
      UserError: the folder has no checkpoint, or several.
    """
    if not path.is_dir():
        return path.parent, str(path)
    prefixes = sorted(
        str(file).removesuffix(".index") for file in path.glob("*.index")
    )
    if len(prefixes) != 1:
        names = ", ".join(Path(prefix).name for prefix in prefixes)
        raise UserError(
            f"{path} has {len(prefixes)} checkpoints"
            + (f" ({names}); give one of them" if names else "")
        )
    return path, prefixes[0]


def read_config(folder: Path) -> tuple[BertConfig, list[str]]:
    """bert_config.json, with the activation that Google's code computes.

    Raises:
      UserError: it is missing or broken.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise UserError(
            f"{folder} has a checkpoint and no {CONFIG_FILE}, which says how "
            "many heads the model has; put it beside the checkpoint"
        )
    config = BertConfig.from_json(path)
    if config.hidden_act != "gelu":
        return config, []
    return dataclasses.replace(config, hidden_act="gelu_new"), [
        "hidden_act gelu is the tanh form in Google's code: gelu_new here"
    ]


def read_vocab(folder: Path) -> tuple[Vocabulary | None, list[str]]:
    """vocab.txt beside the checkpoint, and what was guessed of its case."""
    path = folder / VOCABULARY_FILE
    if not path.is_file():
        return None, [f"the folder has no {VOCABULARY_FILE}"]
    tokens = read_vocabulary(path)
    lowercase = is_lowercase(tokens) is not False
    kind = "uncased" if lowercase else "cased"
    return Vocabulary(tuple(tokens), lowercase), [
        f"no file says whether the vocabulary is cased; by its tokens it is "
        f"{kind}"
    ]


def _task(theirs: Iterable[str]) -> str:
    for task, place in _HEADS.items():
        name = f"{place}/output_bias" if place else "output_bias"
        if name in theirs:
            return task
    if "cls/predictions/output_bias" in theirs:
        return "pretraining"
    return "encoder"


def write(model: PortableModel, folder: Path) -> PortableModel:
    """Writes bert_config.json, vocab.txt and bert_model.ckpt.*.

    Args:
      model: what is written.
      folder: an empty folder.

    Raises:
      UserError: Google's code cannot compute the model.
    """
    config, notes = google_config(model.config, "Google's code")
    notes = [*model.notes, *notes, *lost_labels(model, "Google's checkpoint")]
    if model.task not in ("encoder", "pretraining", *_HEADS):
        raise UserError(
            f"google-research/bert has no model for {model.task}; leave the "
            "head out (--encoder_only), or write another format"
        )
    theirs, rows = pack(table(config, model.task), model.tensors, config)
    checkpoint_files.write(str(folder / CHECKPOINT), theirs)
    fields = dataclasses.asdict(config)
    for name in ("layer_norm_eps", "position_embedding_type", "norm_position"):
        del fields[name]
    if config.hidden_act == "gelu_new":
        fields["hidden_act"] = "gelu"
    (folder / CONFIG_FILE).write_text(as_json(fields), "utf-8")
    if model.vocabulary is not None:
        text = "".join(token + "\n" for token in model.vocabulary.tokens)
        (folder / VOCABULARY_FILE).write_text(text, "utf-8")
        notes.append(
            f"run Google's scripts with --do_lower_case="
            f"{model.vocabulary.lowercase}"
        )
    return dataclasses.replace(
        model, config=config, rows=rows, notes=tuple(notes)
    )


def lost_labels(model: PortableModel, whose: str) -> list[str]:
    """A note on label names that a format has no place for."""
    if not model.labels:
        return []
    return [
        f"{whose} has no place for label names; outputs 0, 1, ... are: "
        + ", ".join(model.labels)
    ]


def google_config(
    config: BertConfig, whose: str
) -> tuple[BertConfig, list[str]]:
    """The config as code with the tanh gelu and fixed epsilon computes it.

    Args:
      config: ours.
      whose: code, for messages.

    Returns:
      The config and notes on what changes.

    Raises:
      UserError: the code cannot compute such a model.
    """
    fixed = {
        "norm_position": "post",
        "position_embedding_type": "learned",
        "layer_norm_eps": _EPSILON,
    }
    for name, value in fixed.items():
        if getattr(config, name) != value:
            raise UserError(
                f"{whose} has {name} {value}; this model has "
                f"{getattr(config, name)}"
            )
    if config.hidden_act != "gelu":
        return config, []
    return dataclasses.replace(config, hidden_act="gelu_new"), [
        f"{whose} computes gelu in the tanh form; this model was trained with "
        "erf, and its outputs move by up to about 1e-2"
    ]
