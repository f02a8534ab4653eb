"""Our own folders: runs, and what `tfbert convert --to tfbert` writes."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from tfbert import files
from tfbert.config import BertConfig
from tfbert.converters.tokenizer_files import (
    SETTINGS_FILE,
    VOCABULARY_FILE,
    as_json,
)
from tfbert.errors import UserError
from tfbert.file_names import (
    BEST_FILE,
    CHECKPOINTS_FOLDER,
    CONFIG_FILE,
    MODEL_FILE,
    RUN_FILE,
)
from tfbert.json_files import parse, read_json
from tfbert.tag_scheme import TagScheme
from tfbert.text import tokenizer_settings
from tfbert.text.vocabulary_files import vocabulary_text
from tfbert.weights import safetensors_files
from tfbert.weights.names import (
    Entry,
    entry,
    expand,
    pack,
    present_parts,
    unpack,
)
from tfbert.weights.portable_model import (
    HEADLESS,
    TASKS,
    Outline,
    Pooling,
    PortableModel,
    Vocabulary,
    check,
)
from tfbert.weights.safetensors_files import to_bytes

KIND = "tfbert"
POOLING_FILE = "pooling.json"
# Task -> name of its head, where it is not "classifier".
_HEADS = {
    "question_answering": "span",
    "regression": "regressor",
    "multiple_choice": "scorer",
}
_UNIT = {"mean": 0.0, "scale": 1.0}
_CHECKPOINT = re.compile(r"step-(\d+)")


def newest_weights(folder: Path) -> Path:
    """The weights file of a run's newest checkpoint, or of a folder.

    Raises:
      UserError: there is none.
    """
    steps = {
        int(match[1]): path / MODEL_FILE
        for path in (folder / CHECKPOINTS_FOLDER).glob("step-*")
        if (match := _CHECKPOINT.fullmatch(path.name))
        and (path / MODEL_FILE).is_file()
        and files.is_whole(path)
    }
    if steps:
        return steps[max(steps)]
    if (folder / MODEL_FILE).is_file():
        return folder / MODEL_FILE
    raise UserError(
        f"{folder} holds no weights: neither checkpoints/step-*/{MODEL_FILE} "
        f"nor {MODEL_FILE}"
    )


def table(config: BertConfig, task: str) -> list[Entry]:
    """Our names under our names; a task calls its head as it likes."""
    names = [
        "encoder/embeddings/token_embeddings",
        "encoder/embeddings/segment_embeddings",
    ]
    if config.position_embedding_type == "learned":
        names.append("encoder/embeddings/position_embeddings")
    norm = [
        "encoder/block_{i}/attention_layer_norm",
        "encoder/block_{i}/feed_forward_layer_norm",
        "masked_lm/layer_norm",
    ]
    if config.norm_position == "post":
        norm.append("encoder/embeddings/layer_norm")
    else:
        norm.append("encoder/final_layer_norm")
    dense = [
        "encoder/block_{i}/attention/query_key_value",
        "encoder/block_{i}/attention/output",
        "encoder/block_{i}/feed_forward/intermediate",
        "encoder/block_{i}/feed_forward/output",
        "encoder/pooler",
        "masked_lm/transform",
        "next_sentence/dense",
    ]
    names += [f"{name}/{leaf}" for name in norm for leaf in ("gamma", "beta")]
    names += [f"{name}/{leaf}" for name in dense for leaf in ("kernel", "bias")]
    names.append("masked_lm/output_bias")
    head = _HEADS.get(task, "classifier")
    return expand(
        [
            *(entry(name, name) for name in names),
            entry("classifier/kernel", f"{head}/kernel"),
            entry("classifier/bias", f"{head}/bias"),
        ],
        config,
    )


def read(path: Path) -> PortableModel:
    """Reads a run, or a folder with config.json and model.safetensors.

    Of a fine-tuned run the best weights are taken where there are some.

    Raises:
      UserError: a file is missing, broken, or contradicts another.
    """
    config = BertConfig.from_json(path / CONFIG_FILE)
    best = path / BEST_FILE
    weights = best if best.is_file() else newest_weights(path)
    theirs = safetensors_files.read_file(weights)
    # What attention over the windows of long texts has learnt is of the task's
    # own; whoever writes the head elsewhere refuses (sources.write).
    theirs = {n: x for n, x in theirs.items() if n != "window_query"}
    about = _read_about(path / RUN_FILE)
    task, own_task = about.get("kind", "encoder"), None
    if task not in TASKS:
        # What was learnt by a task of one's own is an encoder like any other.
        task, own_task = "encoder", task
        theirs = {n: x for n, x in theirs.items() if n.startswith("encoder/")}
    ours, rows = unpack(table(config, task), theirs, config, weights)
    if task == "regression":
        ours = _in_the_scores_unit(ours, about)
    if task in ("encoder", "pretraining"):
        has_words = "masked_lm/output_bias" in ours
        task = "pretraining" if has_words else "encoder"
    labels = about.get("labels") if task != "encoder" else None
    facts = None
    has_head = "head" in present_parts(table(config, task), theirs)
    if has_head or task == "embedding":
        facts = {**about, **_validation(best)}
    return check(
        PortableModel(
            kind=KIND,
            source=path,
            config=config,
            tensors=ours,
            task=task,
            vocabulary=_vocabulary(path),
            labels=tuple(map(str, labels)) if labels else None,
            pooling=_pooling(path, about),
            rows=rows,
            notes=(f"weights of {weights}",),
            run=facts,
            own_task=own_task,
        )
    )


def outline(path: Path) -> Outline:
    """Config and vocabulary of a run or folder, without its weights.

    Raises:
      UserError: as `read`, but for the weights.
    """
    return BertConfig.from_json(path / CONFIG_FILE), _vocabulary(path), []


def _read_about(path: Path) -> dict:
    """run.json; {} where there is none.

    Raises:
      UserError: it is broken.
    """
    about = read_json(path) if path.is_file() else {}
    kind, labels = about.get("kind", "encoder"), about.get("labels")
    if not isinstance(kind, str):
        raise UserError(
            f"{path}: no kind of run is called {kind!r}; there are "
            + ", ".join(TASKS)
        )
    if not isinstance(labels, list | None):
        raise UserError(f"{path}: labels is {labels!r}, wanted a list")
    for name in _UNIT:
        value = about.get(name, 0.0)
        if type(value) not in (int, float):
            raise UserError(f"{path}: {name} is {value!r}, wanted a number")
    return about


def _validation(best: Path) -> dict:
    """What validation chose for the best weights, a threshold for instance."""
    text = None
    if best.is_file():
        text = safetensors_files.read_metadata(best).get("validation")
    return {} if text is None else {"validation": parse(text, best)}


def _vocabulary(path: Path) -> Vocabulary | None:
    settings = tokenizer_settings.read(path)
    if settings is None:
        return None
    lowercase = tokenizer_settings.require_case(settings, path)
    return Vocabulary(settings.tokens, lowercase, settings.max_length)


def _pooling(path: Path, about: dict) -> Pooling | None:
    """What pooling.json says; of a run of ours that learnt vectors, its own."""
    if about.get("kind") == "embedding":
        if about.get("pooling") not in ("mean", "cls", "max"):
            raise UserError(
                f"{path / RUN_FILE}: pooling is {about.get('pooling')!r}, "
                "wanted mean, cls or max"
            )
        return Pooling(about["pooling"], max_length=about.get("max_length"))
    if not (path / POOLING_FILE).is_file():
        return None
    try:
        return Pooling(**read_json(path / POOLING_FILE))
    except TypeError as error:
        raise UserError(f"{path / POOLING_FILE}: {error}") from error


def write(model: PortableModel, folder: Path) -> PortableModel:
    """Writes a folder that reads like a run; returns it with its map.

    Args:
      model: what is written; without a pooler it gets one of initial weights.
      folder: an empty folder.
    """
    model = with_pooler(model)
    names = table(model.config, model.task)
    tensors, rows = pack(names, model.tensors, model.config)
    data = to_bytes(tensors)
    (folder / MODEL_FILE).write_bytes(data)
    model.config.to_json(folder / CONFIG_FILE)
    about = _about(model)
    if model.run is not None and model.run.get("kind") == model.task:
        # A run stays the run that it was; the unit is in the head now.
        about = {**model.run, **(_UNIT if model.task == "regression" else {})}
    about["converted_from"] = str(model.source)
    (folder / RUN_FILE).write_text(as_json(about), "utf-8")
    if model.vocabulary is not None:
        text = vocabulary_text(model.vocabulary.tokens)
        (folder / VOCABULARY_FILE).write_text(text, "utf-8")
        settings = {"do_lower_case": model.vocabulary.lowercase}
        if model.vocabulary.max_length is not None:
            settings["model_max_length"] = model.vocabulary.max_length
        (folder / SETTINGS_FILE).write_text(as_json(settings), "utf-8")
    if model.pooling is not None:
        about = as_json(dataclasses.asdict(model.pooling))
        (folder / POOLING_FILE).write_text(about, "utf-8")
    return dataclasses.replace(model, rows=rows)


def _about(model: PortableModel) -> dict:
    """What run.json says, so that a folder evaluates and exports as a run.

    Columns are the defaults of `tfbert finetune`; where the labelled files
    have others, run.json is the place to say so.
    """
    longest = model.config.max_position_embeddings
    if model.vocabulary is not None:
        longest = min(longest, model.vocabulary.max_length or longest)
    if model.task in HEADLESS:
        return {"kind": "pretraining"}
    if model.task == "question_answering":
        longest = min(longest, 384)
        return {
            "kind": model.task,
            "max_length": longest,
            "window_stride": max(1, longest // 3),
            "max_question_length": min(64, longest // 3),
            "max_answer_length": 30,
            "answer_unit": "word",
            "skip_misplaced_answers": False,
            "no_answer": False,
        }
    about = {"kind": model.task, "max_length": longest}
    if model.task == "multiple_choice":
        columns = {"question_column": "question", "choice_columns": ["choices"]}
        return about | columns | {"label_column": "label"}
    columns = {"text_columns": ["text"], "label_column": "label"}
    if model.task == "regression":
        return about | columns | {"mean": 0.0, "scale": 1.0}
    labels = model.labels or map(str, range(model.outputs))
    about["labels"] = list(labels)
    if model.task == "token_labelling":
        scheme = TagScheme.of(about["labels"])
        return about | {
            "has_spans": scheme.has_spans,
            "label_scheme": scheme.scheme,
            "token_column": 0,
            "tag_column": -1,
            "separator": "whitespace",
            "tag_scheme": None,
            "split_words": False,
        }
    if model.task == "multi_label":
        columns["label_separator"] = ","
    return about | columns


def _in_the_scores_unit(tensors: dict, about: dict) -> dict:
    """Folds a regression's mean and scale into its head.

    We learn (score - mean) / scale, other formats the score itself.
    """
    mean, scale = (float(about.get(n, d)) for n, d in _UNIT.items())
    kernel, bias = "classifier/kernel", "classifier/bias"
    if kernel not in tensors or (mean, scale) == (0.0, 1.0):
        return tensors
    folded = {
        kernel: (tensors[kernel] * scale).astype(np.float32),
        bias: (tensors[bias] * scale + mean).astype(np.float32),
    }
    return {**tensors, **folded}


def with_pooler(model: PortableModel) -> PortableModel:
    """Adds a pooler with the weights that a new encoder has, if it lacks one.

    MaskedLM, token labels and answers need none, so other formats leave it
    out; our encoder always has one.
    """
    if "pooler" in model.parts:
        return model
    # Layers are Keras'; everything else here does without it.
    from tfbert.layers.initializers import TruncatedNormal

    width = model.config.hidden_size
    draw = TruncatedNormal(
        model.config.initializer_range, 0, "encoder/pooler/kernel"
    )
    added = {
        "encoder/pooler/kernel": np.asarray(draw((width, width), "float32")),
        "encoder/pooler/bias": np.zeros(width, np.float32),
    }
    return dataclasses.replace(model, tensors={**model.tensors, **added})
