"""Hugging Face's BERT: folders of `transformers` and sentence-transformers.

Names as in transformers' `modeling_bert.py`. Linear layers keep their kernel
as [out, in]; query, key and value are three of them.
"""

import dataclasses
from pathlib import Path

import numpy as np

from tfbert.config import FOREIGN_KEYS, REQUIRED_VALUES, BertConfig
from tfbert.converters import sentence_vectors, tokenizer_files
from tfbert.converters.huggingface_names import ANSWER_TABLE, TABLE
from tfbert.converters.tokenizer_files import as_json
from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE, MODEL_FILE
from tfbert.json_files import read_json
from tfbert.weights import safetensors_files
from tfbert.weights.names import Entry, expand, pack, present_parts, unpack
from tfbert.weights.portable_model import Outline, PortableModel, check
from tfbert.weights.safetensors_files import to_bytes

KIND = "huggingface"
PICKLE_FILE = "pytorch_model.bin"
_PREFIX = "bert."


# transformers' class -> task, and the parts that the class has.
ARCHITECTURES = {
    "BertModel": ("encoder", {"pooler"}),
    "BertForPreTraining": (
        "pretraining",
        {"pooler", "masked_lm", "next_sentence"},
    ),
    "BertForMaskedLM": ("pretraining", {"masked_lm"}),
    "BertForSequenceClassification": ("classification", {"pooler", "head"}),
    "BertForMultipleChoice": ("multiple_choice", {"pooler", "head"}),
    "BertForTokenClassification": ("token_labelling", {"head"}),
    "BertForQuestionAnswering": ("question_answering", {"head"}),
}
_PROBLEM_TYPES = {
    "regression": "regression",
    "multi_label_classification": "multi_label",
    "single_label_classification": "classification",
}
# Copies of other tensors, which have to be equal, and a row of 0, 1, 2, ...
_COPIES = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}
_POSITIONS = "bert.embeddings.position_ids"


def table(config: BertConfig, task: str) -> list[Entry]:
    """The table of names for a model of this size."""
    answers = task == "question_answering"
    return expand(ANSWER_TABLE if answers else TABLE, config)


def read(path: Path) -> PortableModel:
    """Reads a folder of transformers or sentence-transformers.

    Raises:
      UserError: a file is missing, broken, or contradicts another; only
        pickled weights are there.
    """
    content = read_json(path / CONFIG_FILE)
    config, vocabulary, notes = outline(path)
    theirs = _tidy(_read_tensors(path), path)
    task = _task(content, theirs, config, path)
    ours, rows = unpack(table(config, task), theirs, config, path)
    pooling, more = sentence_vectors.read(path, vocabulary)
    notes += more
    missing = "encoder/pooler/kernel" not in ours
    if missing:
        notes.append(
            "the weights have no pooler; where one is needed it starts from "
            "random weights"
        )
    return check(
        PortableModel(
            kind=KIND,
            source=path,
            config=config,
            tensors=ours,
            task=task,
            vocabulary=vocabulary,
            labels=_labels(content, ours, path),
            pooling=pooling,
            rows=rows,
            notes=tuple(notes),
        )
    )


def outline(path: Path) -> Outline:
    """Config, vocabulary and notes of a folder, without its weights.

    Raises:
      UserError: as `read`, but for the weights.
    """
    content = read_json(path / CONFIG_FILE)
    model_type = content.get("model_type", "bert")
    if model_type != "bert":
        raise UserError(
            f"{path / CONFIG_FILE}: model_type is {model_type!r}; only "
            "'bert' can be read"
        )
    config, notes = _shape(content, path)
    if config.norm_position != "post":
        raise UserError(f"{path}: transformers' BERT normalises after the sum")
    vocabulary, more = tokenizer_files.read(path)
    if vocabulary is not None:
        vocabulary = vocabulary.within(config.max_position_embeddings)
    return config, vocabulary, [*notes, *more]


def _shape(content: dict, path: Path) -> tuple[BertConfig, list[str]]:
    """The encoder's shape, and notes on keys that nobody here knows.

    Other programs leave keys of their own in a config.json; those that make
    another model of a BERT are known, and refused by BertConfig.
    """
    names = {field.name for field in dataclasses.fields(BertConfig)}
    strange = sorted(
        key
        for key in content
        if key not in names | FOREIGN_KEYS | set(REQUIRED_VALUES)
        and not key.startswith("_")
    )
    known = {key: x for key, x in content.items() if key not in strange}
    try:
        config = BertConfig.from_dict(known)
    except UserError as error:
        raise UserError(f"{path / CONFIG_FILE}: {error}") from error
    if not strange:
        return config, []
    return config, [f"keys of config.json not used: {', '.join(strange)}"]


def _read_tensors(path: Path) -> dict[str, np.ndarray]:
    single = path / MODEL_FILE
    index = path / (MODEL_FILE + safetensors_files.INDEX_SUFFIX)
    if single.is_file():
        return safetensors_files.read_file(single)
    if index.is_file():
        return safetensors_files.read_sharded(index)
    if list(path.glob("pytorch_model*.bin")):
        raise UserError(
            f"{path} has its weights as {PICKLE_FILE} only: a pickle, which "
            "may run any code when it is read, so we do not. If you trust it, "
            'convert it where torch is installed:\n  python -c "from '
            "transformers import AutoModelForPreTraining as M; "
            f"M.from_pretrained('{path}').save_pretrained('{path}')\""
        )
    raise UserError(f"{path} has no {MODEL_FILE} and no {index.name}")


def _tidy(tensors: dict[str, np.ndarray], path: Path) -> dict[str, np.ndarray]:
    """Gives names the prefix and the spelling of today; checks copies."""
    tidy = {}
    for name, value in tensors.items():
        if name.startswith(("embeddings.", "encoder.", "pooler.")):
            name = _PREFIX + name
        # Before 2019 layer norms were spelled as in TensorFlow.
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            if name.endswith(f"LayerNorm{old}"):
                name = name.removesuffix(old) + new
        if name in tidy:
            raise UserError(f"{path} has {name} twice, in two spellings")
        tidy[name] = value
    tidy.pop(_POSITIONS, None)
    for copy, original in _COPIES.items():
        if copy not in tidy:
            continue
        value = tidy.pop(copy)
        if original in tidy and not np.array_equal(value, tidy[original]):
            raise UserError(
                f"{path}: {copy} differs from {original}; our masked-LM head "
                "is tied to the token table, and an untied one cannot be read"
            )
        tidy.setdefault(original, value)
    return tidy


def _task(content, theirs, config, path) -> str:
    """The task that config and weights speak of."""
    named = content.get("architectures") or []
    heads = {"classifier.bias", "qa_outputs.bias"} & set(theirs)
    known = [name for name in named if name in ARCHITECTURES]
    if named and not known:
        raise UserError(
            f"{path / CONFIG_FILE}: architectures are {named}; those that can "
            f"be read are {', '.join(ARCHITECTURES)}"
        )
    parts = present_parts(table(config, "encoder"), theirs)
    if not known:
        if heads:
            raise UserError(
                f"{path / CONFIG_FILE} says no architectures, and the weights "
                "have a head; say whose it is: one of "
                + ", ".join(ARCHITECTURES)
            )
        return "pretraining" if "masked_lm" in parts else "encoder"
    task, wanted = ARCHITECTURES[known[0]]
    if heads and "head" not in wanted:
        raise UserError(
            f"{path}: the config says {known[0]}, and the weights have "
            f"{', '.join(sorted(heads))}"
        )
    if task == "encoder" and "masked_lm" in parts:
        task = "pretraining"
    if task == "classification":
        task = _classification_task(content, theirs, path)
    return task


def _classification_task(content: dict, theirs, path: Path) -> str:
    problem = content.get("problem_type")
    if problem is None:
        # As transformers decides while it trains.
        one = len(theirs.get("classifier.bias", "..")) == 1
        return "regression" if one else "classification"
    if problem not in _PROBLEM_TYPES:
        raise UserError(
            f"{path / CONFIG_FILE}: problem_type is {problem!r}; wanted one "
            f"of {', '.join(_PROBLEM_TYPES)}"
        )
    return _PROBLEM_TYPES[problem]


def _labels(content: dict, ours, path: Path) -> tuple[str, ...] | None:
    names = content.get("id2label")
    if not names or "classifier/bias" not in ours:
        return None
    try:
        by_id = {int(key): str(value) for key, value in names.items()}
        labels = tuple(by_id[index] for index in range(len(by_id)))
    except (AttributeError, ValueError, KeyError) as error:
        raise UserError(
            f"{path / CONFIG_FILE}: id2label is no table of 0, 1, 2, ...: "
            f"{error!r}"
        ) from error
    plain = tuple(f"LABEL_{index}" for index in range(len(labels)))
    return None if labels == plain else labels


def architecture(model: PortableModel) -> tuple[str, frozenset[str]]:
    """transformers' class for a model, and the parts that it cannot hold."""
    task = model.task
    if task in ("multi_label", "regression"):
        task = "classification"
    names = [name for name, (it, _) in ARCHITECTURES.items() if it == task]
    if not names:
        raise UserError(
            f"transformers has no BERT for {task}; leave the head out "
            "(--encoder_only), or write another format"
        )
    name = names[0]
    if task == "pretraining" and "next_sentence" not in model.parts:
        name = "BertForMaskedLM"
    return name, frozenset(model.parts - ARCHITECTURES[name][1])


def write(model: PortableModel, folder: Path) -> PortableModel:
    """Writes a folder that transformers loads; returns it with its map.

    Args:
      model: what is written.
      folder: an empty folder.

    Raises:
      UserError: the model is none that transformers' BERT can compute.
    """
    config = model.config
    if config.norm_position != "post":
        raise UserError(
            "transformers' BERT normalises after the sum (norm_position "
            f"post); this model has norm_position {config.norm_position}"
        )
    if config.position_embedding_type != "learned":
        raise UserError(
            "transformers' BERT learns its positions; this model has "
            f"position_embedding_type {config.position_embedding_type}"
        )
    name, drop = architecture(model)
    theirs, rows = pack(table(config, model.task), model.tensors, config, drop)
    if name == "BertModel":
        # The bare encoder is the whole model, and its names have no prefix.
        theirs = {n.removeprefix(_PREFIX): v for n, v in theirs.items()}
        rows = [
            dataclasses.replace(
                row, theirs=tuple(n.removeprefix(_PREFIX) for n in row.theirs)
            )
            for row in rows
        ]
    notes = list(model.notes)
    if drop:
        notes.append(f"{name} has no {', '.join(sorted(drop))}; left out")
    data = to_bytes(theirs, {"format": "pt"})
    (folder / MODEL_FILE).write_bytes(data)
    (folder / CONFIG_FILE).write_text(as_json(_config(model, name)), "utf-8")
    if model.vocabulary is not None:
        limit = model.pooling.max_length if model.pooling else None
        texts = tokenizer_files.files(
            model.vocabulary, config.max_position_embeddings, limit
        )
        for file, text in texts.items():
            (folder / file).write_text(text, "utf-8")
    if model.pooling is not None:
        sentence_vectors.write(model.pooling, config.hidden_size, folder)
    return dataclasses.replace(model, rows=rows, notes=tuple(notes))


def _config(model: PortableModel, name: str) -> dict:
    fields = model.config.to_dict()
    del fields["norm_position"]
    fields["position_embedding_type"] = "absolute"
    pad = model.vocabulary.tokens.index("[PAD]") if model.vocabulary else 0
    content = {
        "architectures": [name],
        "model_type": "bert",
        **fields,
        "pad_token_id": pad,
        "dtype": "float32",
        "use_cache": True,
    }
    if model.outputs and model.task != "multiple_choice":
        labels = model.labels or tuple(
            f"LABEL_{index}" for index in range(model.outputs)
        )
        content["id2label"] = {str(i): x for i, x in enumerate(labels)}
        content["label2id"] = {x: i for i, x in enumerate(labels)}
    for problem, task in _PROBLEM_TYPES.items():
        if task == model.task:
            content["problem_type"] = problem
    return content
