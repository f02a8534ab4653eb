import dataclasses
import json

import pytest

from tfbert.config import BertConfig
from tfbert.errors import UserError


def test_defaults_are_bert_base():
    assert BertConfig() == BertConfig.preset("base")
    with pytest.raises(dataclasses.FrozenInstanceError):
        BertConfig().hidden_size = 1


@pytest.mark.parametrize(
    "name, layers, hidden, heads, inner",
    [
        ("tiny", 2, 128, 2, 512),
        ("mini", 4, 256, 4, 1024),
        ("small", 4, 512, 8, 2048),
        ("medium", 8, 512, 8, 2048),
        ("base", 12, 768, 12, 3072),
        ("large", 24, 1024, 16, 4096),
        ("L-10_H-128", 10, 128, 2, 512),
        ("uncased_L-6_H-768_A-12", 6, 768, 12, 3072),
    ],
)
def test_published_sizes(name, layers, hidden, heads, inner):
    config = BertConfig.preset(name, vocab_size=99)
    assert config == BertConfig(
        vocab_size=99,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=inner,
    )


@pytest.mark.parametrize(
    "name, words",
    [
        ("tinny", "did you mean 'tiny'"),
        ("L-3_H-128", "no model size"),
        ("L-4_H-256_A-8", "no model size"),
    ],
)
def test_unknown_sizes(name, words):
    with pytest.raises(UserError, match=words):
        BertConfig.preset(name)


def test_json_both_ways(tmp_path):
    path = tmp_path / "config.json"
    config = BertConfig.preset("mini", hidden_act="gelu_new", vocab_size=8192)
    config.to_json(path)
    assert BertConfig.from_json(path) == config
    assert json.loads(path.read_text())["hidden_size"] == 256


def test_reads_the_files_of_others(tmp_path):
    path = tmp_path / "config.json"
    path.write_text(
        json.dumps(
            {
                "architectures": ["BertForMaskedLM"],
                "model_type": "bert",
                "hidden_size": 128,
                "num_attention_heads": 2,
                "position_embedding_type": "absolute",
                "hidden_act": "gelu_pytorch_tanh",
                "layer_norm_eps": 1e-12,
                "pad_token_id": 0,
                "transformers_version": "4.6.0",
                "_name_or_path": "x",
                "is_decoder": False,
                "directionality": "bidi",
            }
        )
    )
    config = BertConfig.from_json(path)
    assert config.hidden_size == 128
    assert config.position_embedding_type == "learned"
    assert config.hidden_act == "gelu_new"


@pytest.mark.parametrize(
    "values, words",
    [
        ({"hiden_size": 4}, "'hiden_size' .did you mean 'hidden_size'"),
        ({"is_decoder": True}, "a decoder"),
        ({"hidden_size": 100}, "multiple of num_attention_heads"),
        ({"hidden_size": 0}, "hidden_size must be a whole number"),
        ({"vocab_size": 10.5}, "vocab_size must be a whole number"),
        ({"vocab_size": True}, "vocab_size must be a whole number"),
        ({"initializer_range": "a"}, "initializer_range must be a number"),
        ({"initializer_range": 0}, "initializer_range must be above 0"),
        ({"layer_norm_eps": -1}, "layer_norm_eps must be above 0"),
        ({"hidden_dropout_prob": 1.0}, "hidden_dropout_prob must be at least"),
        ({"hidden_act": "gelo"}, "did you mean 'gelu'"),
        ({"hidden_act": ["gelu"]}, "hidden_act must be one of"),
        ({"position_embedding_type": "relative_key"}, "must be one of learned"),
        ({"norm_position": "middle"}, "norm_position must be one of post, pre"),
    ],
)
def test_wrong_values(values, words):
    with pytest.raises(UserError, match=words):
        BertConfig.from_dict(values)


def test_wrong_files(tmp_path):
    path = tmp_path / "config.json"
    with pytest.raises(UserError, match="cannot read the model config"):
        BertConfig.from_json(path)
    path.write_text("{")
    with pytest.raises(UserError, match="is not JSON"):
        BertConfig.from_json(path)
    path.write_text("[" * 100_000)
    with pytest.raises(UserError, match="nested too deeply"):
        BertConfig.from_json(path)
    path.write_text("[]")
    with pytest.raises(UserError, match="one JSON object"):
        BertConfig.from_json(path)
    path.write_text('{"hidden_size": -1}')
    with pytest.raises(UserError, match="config.json: hidden_size"):
        BertConfig.from_json(path)
