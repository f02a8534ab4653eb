"""keras-hub (once keras-nlp): preset folders.

A preset has config.json (a serialized BertBackbone), model.weights.h5,
tokenizer.json with assets/tokenizer/vocabulary.txt, and for a task task.json
and task.weights.h5. The HDF5 paths are those of Keras 3's `.weights.h5`.
"""

import dataclasses
import importlib.util
import os
from pathlib import Path

from tfbert.config import BertConfig
from tfbert.converters import keras_hub_files
from tfbert.converters.google import google_config, lost_labels
from tfbert.converters.own import with_pooler
from tfbert.errors import UserError
from tfbert.file_names import CONFIG_FILE
from tfbert.json_files import read_json
from tfbert.text.vocabulary_files import read_vocabulary
from tfbert.weights import hdf5_files
from tfbert.weights.names import (
    HEAD_ROWS,
    HEAD_THIRDS,
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

KIND = "keras_hub"
WEIGHTS_FILE = "model.weights.h5"
TASK_FILE = "task.json"
TASK_WEIGHTS_FILE = "task.weights.h5"
TOKENIZER_FILE = "tokenizer.json"
VOCABULARY_FILE = "assets/tokenizer/vocabulary.txt"
# Longest sequence and number of segments are sizes of the tables.
_FIELDS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
_TASKS = {
    "BertTextClassifier": "classification",
    "BertMaskedLM": "pretraining",
}


def _pair(ours: str, theirs: str, leaves: tuple[str, str]) -> list[Entry]:
    return [
        entry(f"{ours}/{leaf}", f"{theirs}/vars/{index}")
        for index, leaf in enumerate(leaves)
    ]


def _dense(ours: str, theirs: str) -> list[Entry]:
    return _pair(ours, theirs, ("kernel", "bias"))


def _norm(ours: str, theirs: str) -> list[Entry]:
    return _pair(ours, theirs, ("gamma", "beta"))


def _block(index: int) -> list[Entry]:
    # Keras numbers layers of one class: transformer_encoder, ..._1, ..._2.
    theirs = "layers/transformer_encoder" + (f"_{index}" if index else "")
    ours = f"encoder/block_{index}"
    attention = f"{theirs}/_self_attention_layer"
    return [
        *(
            entry(
                f"{ours}/attention/query_key_value/{part}",
                *(
                    f"{attention}/{name}_dense/vars/{place}"
                    for name in ("query", "key", "value")
                ),
                form=HEAD_THIRDS,
            )
            for place, part in enumerate(("kernel", "bias"))
        ),
        entry(
            f"{ours}/attention/output/kernel",
            f"{attention}/output_dense/vars/0",
            form=HEAD_ROWS,
        ),
        entry(
            f"{ours}/attention/output/bias",
            f"{attention}/output_dense/vars/1",
        ),
        *_norm(
            f"{ours}/attention_layer_norm",
            f"{theirs}/_self_attention_layer_norm",
        ),
        *_dense(
            f"{ours}/feed_forward/intermediate",
            f"{theirs}/_feedforward_intermediate_dense",
        ),
        *_dense(
            f"{ours}/feed_forward/output",
            f"{theirs}/_feedforward_output_dense",
        ),
        *_norm(
            f"{ours}/feed_forward_layer_norm",
            f"{theirs}/_feedforward_layer_norm",
        ),
    ]


def backbone_table(config: BertConfig) -> list[Entry]:
    """What model.weights.h5 holds."""
    embeddings = "encoder/embeddings"
    return [
        entry(
            f"{embeddings}/token_embeddings",
            "layers/reversible_embedding/vars/0",
        ),
        entry(
            f"{embeddings}/position_embeddings",
            "layers/position_embedding/vars/0",
        ),
        entry(f"{embeddings}/segment_embeddings", "layers/embedding/vars/0"),
        *_norm(f"{embeddings}/layer_norm", "layers/layer_normalization"),
        *(e for i in range(config.num_hidden_layers) for e in _block(i)),
        *_dense("encoder/pooler", "layers/dense"),
    ]


def task_table(config: BertConfig) -> list[Entry]:
    """What task.weights.h5 holds; a "task:" tells it from the backbone's."""
    head = "task:layers/masked_lm_head"
    return expand(
        [
            *_dense("masked_lm/transform", f"{head}/_intermediate_dense"),
            *_norm("masked_lm/layer_norm", f"{head}/_intermediate_layer_norm"),
            entry("masked_lm/output_bias", f"{head}/vars/0"),
            *_dense("classifier", "task:layers/dense"),
        ],
        config,
    )


def is_preset_name(name: str) -> bool:
    """Whether the installed keras-hub knows a BERT preset of that name."""
    if importlib.util.find_spec("keras_hub") is None:
        return False
    from tfbert.converters import peers

    return name in peers.keras_hub_presets()


def read(path: Path) -> PortableModel:
    """Reads a preset's folder, or a preset by its name.

    Raises:
      UserError: a file is missing, broken, or contradicts another.
    """
    folder = _folder(path)
    config, vocabulary, notes = outline(folder)
    theirs = hdf5_files.read(folder / WEIGHTS_FILE)
    theirs = {_today(name): value for name, value in theirs.items()}
    task, table = "encoder", backbone_table(config)
    if (folder / TASK_FILE).is_file() and (
        folder / TASK_WEIGHTS_FILE
    ).is_file():
        name = read_json(folder / TASK_FILE).get("class_name")
        if name in _TASKS:
            task, table = _TASKS[name], [*table, *task_table(config)]
            more = hdf5_files.read(folder / TASK_WEIGHTS_FILE)
            theirs |= {
                f"task:{key}": value
                for key, value in more.items()
                if not key.startswith("optimizer/")
            }
        else:
            notes.append(f"the head of {name} was left out")
    ours, rows = unpack(table, theirs, config, folder)
    if task == "pretraining":
        notes.append(
            "keras-hub's masked-LM head has erf gelu and epsilon 1e-5; "
            "here it is computed as the rest of the model, with tanh and 1e-12"
        )
    return check(
        PortableModel(
            kind=KIND,
            source=path,
            config=config,
            tensors=ours,
            task=task,
            vocabulary=vocabulary,
            rows=rows,
            notes=tuple(notes),
        )
    )


def outline(path: Path) -> Outline:
    """Config, vocabulary and notes of a preset, without its weights.

    Raises:
      UserError: as `read`, but for the weights.
    """
    folder = _folder(path)
    config = _config(folder)
    vocabulary, notes = _vocabulary(folder)
    return config, vocabulary, notes


def _folder(path: Path) -> Path:
    """A preset's folder, fetched where it is given by its name."""
    if path.is_dir():
        return path
    from tfbert.converters import peers

    return peers.download_preset(str(path))


def _today(name: str) -> str:
    """Older Keras spelt the attention's layers with an underscore."""
    for part in ("query", "key", "value", "output"):
        name = name.replace(f"/_{part}_dense/", f"/{part}_dense/")
    return name


def _config(folder: Path) -> BertConfig:
    path = folder / CONFIG_FILE
    content = read_json(path)
    if content.get("class_name") != "BertBackbone":
        raise UserError(
            f"{path}: the preset is a {content.get('class_name')!r}; only a "
            "BertBackbone can be read"
        )
    fields = content.get("config")
    try:
        values = {ours: fields[theirs] for theirs, ours in _FIELDS.items()}
        dropout = fields["dropout"]
    except (TypeError, KeyError) as error:
        raise UserError(f"{path}: the config lacks {error}") from error
    # keras-hub's BertBackbone has tanh gelu and epsilon 1e-12 built in.
    return BertConfig(
        hidden_act="gelu_new",
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        **values,
    )


def _vocabulary(folder: Path) -> tuple[Vocabulary | None, list[str]]:
    path = folder / TOKENIZER_FILE
    if not path.is_file():
        return None, ["the preset has no tokenizer"]
    fields = read_json(path).get("config") or {}
    wanted = {"split": True, "suffix_indicator": "##", "oov_token": "[UNK]"}
    for name, value in wanted.items():
        if fields.get(name, value) != value:
            raise UserError(
                f"{path}: {name} is {fields[name]!r}; a BERT tokenizer has "
                f"{value!r}"
            )
    lowercase = bool(fields.get("lowercase", False))
    strips = bool(fields.get("strip_accents", False))
    notes = []
    if strips and not lowercase:
        raise UserError(
            f"{path}: strip_accents without lowercase; our tokenizer does "
            "both or neither"
        )
    if lowercase and not strips:
        notes.append(
            "keras-hub keeps the accents of uncased text, BERT's reference "
            "and our tokenizer strip them: accented words get other ids"
        )
    tokens = read_vocabulary(folder / VOCABULARY_FILE)
    return Vocabulary(tuple(tokens), lowercase), notes


def write(model: PortableModel, folder: Path) -> PortableModel:
    """Writes a preset that keras-hub's `from_preset` loads.

    Args:
      model: what is written; the next-sentence head has no place there.
      folder: an empty folder.

    Raises:
      UserError: keras-hub cannot compute the model.
    """
    if model.task not in ("encoder", *_TASKS.values()):
        raise UserError(
            f"keras-hub has no BERT for {model.task}; leave the head out "
            "(--encoder_only), or write another format"
        )
    config, notes = google_config(model.config, "keras-hub's BertBackbone")
    notes = [*model.notes, *notes, *lost_labels(model, "keras-hub's preset")]
    model = with_pooler(model)
    if config.hidden_dropout_prob != config.attention_probs_dropout_prob:
        notes.append(
            "keras-hub has one dropout rate: hidden_dropout_prob was taken"
        )
    drop = frozenset(model.parts & {"next_sentence"})
    if drop:
        notes.append("keras-hub has no next-sentence head; left out")
    table = [*backbone_table(config), *task_table(config)]
    theirs, rows = pack(table, model.tensors, config, drop)
    names = keras_hub_files.layer_names(config)
    for prefix, file in (("", WEIGHTS_FILE), ("task:", TASK_WEIGHTS_FILE)):
        tensors = {
            name.removeprefix("task:"): value
            for name, value in theirs.items()
            if name.startswith("task:") == (prefix == "task:")
        }
        if tensors:
            data = hdf5_files.to_bytes(tensors, names[prefix])
            (folder / file).write_bytes(data)
    for name, text in keras_hub_files.texts(model, config, _FIELDS).items():
        (folder / os.path.dirname(name)).mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return dataclasses.replace(
        model, config=config, rows=rows, notes=tuple(notes)
    )
