"""BertConfig: the shape of a model, with the field names of bert_config.json.

Sizes are those of Devlin et al. 2018 (base, large) and Turc et al. 2019
("Well-Read Students Learn Better", Table 1: the 24 miniatures).
"""

import dataclasses
import difflib
import json
import os
import re
from pathlib import Path

from tfbert import files, numpy_scalars
from tfbert.errors import UserError
from tfbert.json_files import parse

# name: (layers, hidden size); heads are H / 64, the feed-forward is 4 H wide.
PRESETS = {
    "tiny": (2, 128),
    "mini": (4, 256),
    "small": (4, 512),
    "medium": (8, 512),
    "base": (12, 768),
    "large": (24, 1024),
}
# The 24 miniatures by their published names: "L-4_H-256" is mini.
_MINIATURE = re.compile(
    r"(?:bert_uncased_|uncased_)?L-(2|4|6|8|10|12)_H-(128|256|512|768)"
    r"(?:_A-(\d+))?"
)

ACTIVATIONS = ("gelu", "gelu_new", "relu", "silu")
_ACTIVATION_ALIASES = {
    "gelu_fast": "gelu_new",
    "gelu_pytorch_tanh": "gelu_new",
    "swish": "silu",
}
POSITIONS = ("learned", "sinusoidal")
_POSITION_ALIASES = {"absolute": "learned"}
NORM_POSITIONS = ("post", "pre")

# Keys that Hugging Face's and Google's files carry and that do not change
# what the encoder computes.
FOREIGN_KEYS = frozenset(
    """
    architectures attn_implementation bos_token_id classifier_dropout
    cls_token_id directionality dtype eos_token_id finetuning_task
    gradient_checkpointing id2label label2id mask_token_id model_type
    num_labels output_attentions output_hidden_states output_past pad_token_id
    pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers
    pooler_size_per_head pooler_type problem_type pruned_heads return_dict
    sep_token_id tie_word_embeddings tokenizer_class torch_dtype torchscript
    transformers_version unk_token_id use_bfloat16 use_cache
    """.split()
)
# Keys that do change it: only this value describes a BERT encoder.
REQUIRED_VALUES = {"is_decoder": False, "add_cross_attention": False}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The shape of a BERT encoder; defaults are BERT-base uncased.

    Attributes:
      vocab_size: V, rows of the token table.
      hidden_size: H.
      num_hidden_layers: encoder blocks.
      num_attention_heads: N; H / N is the width of a head.
      intermediate_size: width of the feed-forward layer.
      hidden_act: "gelu" (with erf), "gelu_new" (with tanh, what Google's
        TensorFlow 1 code computes), "relu" or "silu".
      hidden_dropout_prob: after the embeddings and after each sublayer.
      attention_probs_dropout_prob: on the attention probabilities.
      max_position_embeddings: the longest sequence.
      type_vocab_size: T, kinds of segment.
      initializer_range: standard deviation before truncation at two of it.
      layer_norm_eps: added to the variance.
      position_embedding_type: "learned" (also read as "absolute") or
        "sinusoidal" (Vaswani et al. 2017, section 3.5).
      norm_position: "post" (BERT) or "pre" (Xiong et al. 2020).

    Raises:
      UserError: a value is out of its range; the message names field, value
        and remedy.
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "learned"
    norm_position: str = "post"

    def __post_init__(self):
        numpy_scalars.replace_in(self)
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.type is int:
                _check_positive_integer(field.name, value)
            elif field.type is float:
                object.__setattr__(self, field.name, _number(field.name, value))
        self._canonical("hidden_act", _ACTIVATION_ALIASES, ACTIVATIONS)
        self._canonical("position_embedding_type", _POSITION_ALIASES, POSITIONS)
        self._canonical("norm_position", {}, NORM_POSITIONS)
        for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UserError(
                    f"{name} must be at least 0 and below 1, got "
                    f"{getattr(self, name)}"
                )
        for name in ("initializer_range", "layer_norm_eps"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise UserError(
                    f"{name} must be above 0, got {getattr(self, name)}"
                )
        if self.hidden_size % self.num_attention_heads:
            raise UserError(
                f"hidden_size ({self.hidden_size}) must be a multiple of "
                f"num_attention_heads ({self.num_attention_heads}); change one "
                "of them"
            )

    def _canonical(self, name: str, aliases: dict, known: tuple) -> None:
        value = getattr(self, name)
        value = aliases.get(value, value) if isinstance(value, str) else value
        if value not in known:
            raise UserError(
                f"{name} must be one of {', '.join(known)}, got {value!r}"
                + _nearest(value, known)
            )
        object.__setattr__(self, name, value)

    @property
    def head_size(self) -> int:
        """D, the width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @classmethod
    def preset(cls, name: str, **overrides) -> "BertConfig":
        """Returns a published size, with `overrides` for single fields.

        Args:
          name: tiny, mini, small, medium, base, large, or one of the 24
            miniatures by its name, for example "L-4_H-512".
          **overrides: fields to change, for example `vocab_size=8192`.

        Raises:
          UserError: no such size or no such field.
        """
        match = _MINIATURE.fullmatch(str(name))
        if name in PRESETS:
            layers, hidden = PRESETS[name]
        elif match and match[3] in (None, str(int(match[2]) // 64)):
            layers, hidden = int(match[1]), int(match[2])
        else:
            raise UserError(
                f"no model size {name!r}; sizes are {', '.join(PRESETS)} and "
                "L-{2,4,6,8,10,12}_H-{128,256,512,768}"
                + _nearest(name, tuple(PRESETS))
            )
        shape = {
            "hidden_size": hidden,
            "num_hidden_layers": layers,
            "num_attention_heads": hidden // 64,
            "intermediate_size": 4 * hidden,
        }
        return cls.from_dict(shape | overrides)

    @classmethod
    def from_dict(cls, values: dict) -> "BertConfig":
        """Returns the config that `values` describes.

        Keys that Hugging Face's and Google's files carry beside ours are
        ignored.

        Raises:
          UserError: an unknown key (the nearest name is given), a value out
            of range, or a file that describes something else than an encoder.
        """
        names = tuple(field.name for field in dataclasses.fields(cls))
        known = {}
        for key, value in values.items():
            if key in names:
                known[key] = value
            elif key in REQUIRED_VALUES:
                if value != REQUIRED_VALUES[key]:
                    raise UserError(
                        f"{key} is {value!r}: a decoder; only encoders "
                        f"({key}: {REQUIRED_VALUES[key]}) can be read"
                    )
            elif key not in FOREIGN_KEYS and not str(key).startswith("_"):
                raise UserError(
                    f"no model setting {key!r}{_nearest(key, names)}; settings "
                    f"are {', '.join(names)}"
                )
        return cls(**known)

    @classmethod
    def from_json(cls, path: str | os.PathLike) -> "BertConfig":
        """Reads a bert_config.json or config.json.

        Raises:
          UserError: the file is missing, is not a JSON object or describes no
            BERT encoder.
        """
        path = Path(path)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot read the model config {path}: {error.strerror}"
            ) from error
        values = parse(data, path)
        if not isinstance(values, dict):
            raise UserError(
                f"{path} must hold one JSON object of settings, got "
                f"{type(values).__name__}"
            )
        try:
            return cls.from_dict(values)
        except UserError as error:
            raise UserError(f"{path}: {error}") from error

    def to_dict(self) -> dict:
        """Returns all fields by name."""
        return dataclasses.asdict(self)

    # Keras' names, by which whatever holds a config can be saved.
    get_config = to_dict
    from_config = from_dict

    def to_json(self, path: str | os.PathLike) -> None:
        """Writes all fields to `path`, whole or not at all."""
        files.write_file(path, json.dumps(self.to_dict(), indent=2) + "\n")


def _check_positive_integer(name: str, value) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UserError(f"{name} must be a whole number above 0, got {value!r}")


def _number(name: str, value) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UserError(f"{name} must be a number, got {value!r}")
    return float(value)


def _nearest(value, known: tuple) -> str:
    match = difflib.get_close_matches(str(value), known, n=1)
    return f" (did you mean {match[0]!r}?)" if match else ""
