"""The JSON files of a keras-hub preset, and its layers' names."""

from collections.abc import Mapping

from tfbert.config import BertConfig
from tfbert.converters.tokenizer_files import as_json
from tfbert.file_names import CONFIG_FILE
from tfbert.text.vocabulary_files import vocabulary_text
from tfbert.weights.portable_model import PortableModel

# The releases whose files these are like.
_VERSIONS = {"keras_version": "3.15.1", "keras_hub_version": "0.32.0"}


def layer_names(config: BertConfig) -> dict[str, dict[str, str]]:
    """Group -> name of the layers, for the backbone ("") and the task."""
    blocks = {
        "layers/transformer_encoder" + (f"_{i}" if i else ""): (
            f"transformer_layer_{i}"
        )
        for i in range(config.num_hidden_layers)
    }
    return {
        "": {
            "layers/reversible_embedding": "token_embedding",
            "layers/position_embedding": "position_embedding",
            "layers/embedding": "segment_embedding",
            "layers/layer_normalization": "embeddings_layer_norm",
            "layers/dense": "pooled_dense",
            **blocks,
        },
        "task:": {},
    }


def texts(
    model: PortableModel, config: BertConfig, fields: Mapping[str, str]
) -> dict[str, str]:
    """File name -> text of everything but the weights.

    Args:
      model: what is written.
      config: as keras-hub computes it.
      fields: keras-hub's name of a size -> ours.
    """
    backbone = _object(
        "backbone",
        "BertBackbone",
        {
            "name": "bert_backbone",
            "trainable": True,
            "dtype": _policy("float32"),
            **{name: getattr(config, ours) for name, ours in fields.items()},
            "dropout": config.hidden_dropout_prob,
        },
    )
    encoder = sum(
        value.size
        for name, value in model.tensors.items()
        if name.startswith("encoder/")
    )
    files = {
        CONFIG_FILE: backbone,
        "metadata.json": {
            **_VERSIONS,
            "parameter_count": encoder,
            "tasks": ["MaskedLM", "TextClassifier"],
        },
    }
    if model.vocabulary is not None:
        tokenizer = _tokenizer(model.vocabulary.lowercase)
        files["tokenizer.json"] = tokenizer
        files |= _task(model, config, backbone, tokenizer)
    written = {name: as_json(content) for name, content in files.items()}
    if model.vocabulary is not None:
        written["assets/tokenizer/vocabulary.txt"] = vocabulary_text(
            model.vocabulary.tokens
        )
    return written


def _object(module: str, name: str, config: dict) -> dict:
    return {
        "module": f"keras_hub.src.models.bert.bert_{module}",
        "class_name": name,
        "config": config,
        "registered_name": f"keras_hub>{name}",
    }


def _policy(name: str) -> dict:
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": name},
        "registered_name": None,
    }


def _tokenizer(lowercase: bool) -> dict:
    return _object(
        "tokenizer",
        "BertTokenizer",
        {
            "name": "bert_tokenizer",
            "trainable": True,
            "dtype": _policy("int32"),
            "config_file": "tokenizer.json",
            "vocabulary": None,
            "sequence_length": None,
            "lowercase": lowercase,
            # As BERT's reference does, and keras-hub by itself does not.
            "strip_accents": lowercase,
            "split": True,
            "suffix_indicator": "##",
            "oov_token": "[UNK]",
            "special_tokens": None,
            "special_tokens_in_strings": False,
        },
    )


def _task(model, config: BertConfig, backbone: dict, tokenizer: dict) -> dict:
    """task.json and preprocessor.json; nothing for an encoder."""
    options = {
        "trainable": True,
        "dtype": _policy("float32"),
        "tokenizer": tokenizer,
        "config_file": "preprocessor.json",
        "sequence_length": config.max_position_embeddings,
        "truncate": "round_robin",
    }
    if model.task == "classification":
        preprocessor = _object(
            "text_classifier_preprocessor",
            "BertTextClassifierPreprocessor",
            {"name": "bert_text_classifier_preprocessor", **options},
        )
        head = {
            "name": "bert_text_classifier",
            "num_classes": model.outputs,
            "activation": "linear",
            "dropout": config.hidden_dropout_prob,
        }
        module, name = "text_classifier", "BertTextClassifier"
    elif model.task == "pretraining":
        preprocessor = _object(
            "masked_lm_preprocessor",
            "BertMaskedLMPreprocessor",
            {
                "name": "bert_masked_lm_preprocessor",
                **options,
                "mask_selection_rate": 0.15,
                "mask_selection_length": 96,
                "mask_token_rate": 0.8,
                "random_token_rate": 0.1,
            },
        )
        head, module = {"name": "bert_masked_lm"}, "masked_lm"
        name = "BertMaskedLM"
    else:
        return {}
    pieces = {"backbone": backbone, "preprocessor": preprocessor}
    return {
        "task.json": _object(module, name, {**pieces, **head}),
        "preprocessor.json": preprocessor,
    }
