"""TensorFlow Model Garden (tf-models-official): TF2 object checkpoints.

Names are paths of objects, as in `official.nlp.modeling.networks`:
BertEncoderV2 ("encoder/_transformer_layers/0/...") and the older functional
BertEncoder ("layer_with_weights-4/..."), in checkpoints of
tf.train.Checkpoint(encoder=..., or model=...), BertPretrainerV2 and
BertClassifier. Beside the checkpoint lies bert_config.json.
"""

import re
from pathlib import Path

import numpy as np

from tfbert.config import BertConfig
from tfbert.converters.google import locate, outline
from tfbert.errors import UserError
from tfbert.weights import checkpoint_files
from tfbert.weights.names import HEAD_ROWS, HEAD_THIRDS, Entry, entry, unpack
from tfbert.weights.portable_model import PortableModel, check

KIND = "model_garden"
_VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
# Keras' name of the masked-LM bias has a dot: "output_bias.Sbias" is
# "output_bias/bias" escaped.
_BIAS = "masked_lm/output_bias.Sbias"
_NOT_WEIGHTS = re.compile(
    r"optimizer|save_counter|global_step|train_loss|.*\.OPTIMIZER_SLOT|"
    r".*/keras_api/|.*_metrics?/"
)
_FUNCTIONAL = re.compile(
    r"(encoder|model|model/layer_with_weights-0)/layer_with_weights-(\d+)/"
    r"(?!out_proj|layer_with_weights|_transformer_layers|_\w+_layer/)"
)
# Paths in checkpoints of a task -> paths in a checkpoint of its parts.
_RENAMED = [
    (re.compile(pattern), new)
    for pattern, new in (
        (r"^model/layer_with_weights-1/out_proj/", "classifier/"),
        (r"^model/classification_heads/0/out_proj/", "next_sentence/"),
        (r"^model/classification_heads/0/dense/", "next_sentence_pooler/"),
        (r"^next_sentence\.\.pooler_dense/", "next_sentence_pooler/"),
        (r"^model/encoder_network/", "encoder/"),
        (r"^model/masked_lm/", "masked_lm/"),
        (r"^model/layer_with_weights-0/(?=layer_|_)", "encoder/"),
        (r"^model/(?=layer_with_weights-|_)", "encoder/"),
    )
]


def _ignored(name: str) -> bool:
    return not name.endswith(_VALUE) or _NOT_WEIGHTS.match(name) is not None


def _block(ours: str, theirs: str) -> list[Entry]:
    attention = f"{theirs}/_attention_layer"
    entries = [
        entry(
            f"{ours}/attention/query_key_value/{part}",
            *(
                f"{attention}/_{name}_dense/{part}"
                for name in ("query", "key", "value")
            ),
            form=HEAD_THIRDS,
        )
        for part in ("kernel", "bias")
    ]
    entries += [
        entry(
            f"{ours}/attention/output/kernel",
            f"{attention}/_output_dense/kernel",
            form=HEAD_ROWS,
        ),
        entry(
            f"{ours}/attention/output/bias", f"{attention}/_output_dense/bias"
        ),
    ]
    pairs = {
        "attention_layer_norm": ("_attention_layer_norm", "gamma", "beta"),
        "feed_forward/intermediate": ("_intermediate_dense", "kernel", "bias"),
        "feed_forward/output": ("_output_dense", "kernel", "bias"),
        "feed_forward_layer_norm": ("_output_layer_norm", "gamma", "beta"),
    }
    for name, (there, *leaves) in pairs.items():
        entries += [
            entry(f"{ours}/{name}/{leaf}", f"{theirs}/{there}/{leaf}")
            for leaf in leaves
        ]
    return entries


def table(config: BertConfig, functional: bool) -> list[Entry]:
    """The table of names, after the names were tidied.

    Args:
      config: for the number of blocks.
      functional: whether it is the older BertEncoder.
    """
    layers = config.num_hidden_layers
    if functional:
        places = [f"encoder/layer_with_weights-{i}" for i in range(layers + 5)]
        token, position, segment, norm, *blocks, pooler = places
    else:
        token = "encoder/_embedding_layer"
        position = "encoder/_position_embedding_layer"
        segment = "encoder/_type_embedding_layer"
        norm, pooler = "encoder/_embedding_norm_layer", "encoder/_pooler_layer"
        blocks = [f"encoder/_transformer_layers/{i}" for i in range(layers)]
    ours = "encoder/embeddings"
    tables = {"token": token, "position": position, "segment": segment}
    pairs = {
        f"{ours}/layer_norm": (norm, "gamma", "beta"),
        "encoder/pooler": (pooler, "kernel", "bias"),
        "masked_lm/transform": ("masked_lm/dense", "kernel", "bias"),
        "masked_lm/layer_norm": ("masked_lm/layer_norm", "gamma", "beta"),
        "next_sentence/dense": ("next_sentence", "kernel", "bias"),
        "classifier": ("classifier", "kernel", "bias"),
    }
    entries = [
        entry(f"{ours}/{name}_embeddings", f"{there}/embeddings")
        for name, there in tables.items()
    ]
    for name, (there, *leaves) in pairs.items():
        entries += [
            entry(f"{name}/{leaf}", f"{there}/{leaf}") for leaf in leaves
        ]
    for index, there in enumerate(blocks):
        entries += _block(f"encoder/block_{index}", there)
    return [*entries, entry("masked_lm/output_bias", _BIAS)]


def read(path: Path) -> PortableModel:
    """Reads a checkpoint with bert_config.json beside it.

    Args:
      path: the folder, or a prefix such as FOLDER/bert_model.ckpt.

    Raises:
      UserError: a file is missing, broken, or contradicts another.
    """
    prefix = locate(path)[1]
    config, vocabulary, notes = outline(path)
    theirs = checkpoint_files.read(prefix, _ignored)
    theirs, functional = _tidy(theirs, prefix)
    ours, rows = unpack(table(config, functional), theirs, config, prefix)
    task = "encoder"
    if "classifier/bias" in ours:
        task = "classification"
    elif "masked_lm/output_bias" in ours:
        task = "pretraining"
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


def _tidy(
    tensors: dict[str, np.ndarray], prefix: str
) -> tuple[dict[str, np.ndarray], bool]:
    """Names as in `table`; and whether the encoder is the functional one."""
    # No weight of BERT is a single number; trainers keep some.
    plain = {
        name.removesuffix(_VALUE): x for name, x in tensors.items() if x.ndim
    }
    functional = any(_FUNCTIONAL.match(name) for name in plain)
    place = "encoder/_embedding_layer"
    pooler = "encoder/_pooler_layer"
    if functional:
        place = "encoder/layer_with_weights-0"
        numbers = map(_FUNCTIONAL.match, plain)
        last = max(int(match[2]) for match in numbers if match)
        pooler = f"encoder/layer_with_weights-{last}"
    tidy = {}
    for name, value in plain.items():
        for pattern, new in _RENAMED:
            name = pattern.sub(new, name)
        if name in tidy:
            raise UserError(f"{prefix} has {name} twice, under two paths")
        tidy[name] = value
    # BertPretrainerV2 predicts the next sentence through a pooler of its own;
    # the encoder's is never trained there.
    for leaf in ("kernel", "bias"):
        if f"next_sentence_pooler/{leaf}" in tidy:
            value = tidy.pop(f"next_sentence_pooler/{leaf}")
            tidy[f"{pooler}/{leaf}"] = value
    # The masked-LM head refers to the token table, and is tied to it.
    shared = tidy.pop("masked_lm/embedding_table", None)
    place += "/embeddings"
    if shared is not None:
        if place in tidy and not np.array_equal(shared, tidy[place]):
            raise UserError(
                f"{prefix}: masked_lm/embedding_table differs from the token "
                "table; our masked-LM head is tied to it"
            )
        tidy.setdefault(place, shared)
    return tidy, functional
