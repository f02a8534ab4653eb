"""Broken, tampered and contradictory sources: one clear message each."""

import dataclasses
import json
import re
import shutil

import h5py
import numpy as np
import pytest
import safetensors.numpy

from tfbert.converters import sources
from tfbert.errors import UserError
from tfbert.json_files import read_json
from tfbert.text.vocabulary_case import is_lowercase
from tfbert.weights import checkpoint_files, safetensors_files
from tfbert.weights.portable_model import Vocabulary, check


@pytest.fixture(scope="module")
def folders(portable, tmp_path_factory):
    """One whole folder of each format."""
    root = tmp_path_factory.mktemp("whole")
    config = dataclasses.replace(portable().config, hidden_act="gelu_new")
    model = portable("classification", config=config)
    for kind in sources.WRITERS:
        sources.write(model, kind, root / kind)
    return root


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of the Hugging Face folder, to break."""
    shutil.copytree(folders / "huggingface", tmp_path / "hf")
    return tmp_path / "hf"


def change_json(path, **changes):
    content = json.loads(path.read_text())
    content.update(changes)
    path.write_text(json.dumps(content))


def refused(source, message):
    with pytest.raises(UserError, match=message):
        sources.read(source)


def rename(folder, change):
    """Rewrites the weights with changed tensors."""
    path = folder / "model.safetensors"
    tensors = safetensors.numpy.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.numpy.save(tensors))


def test_every_difference_is_named(folder):
    def change(tensors):
        del tensors["bert.pooler.dense.bias"]
        name = "bert.encoder.layer.1.output.dense.weight"
        tensors[name] = np.zeros((3, 3), np.float32)
        name = "bert.encoder.layer.0.output.dense.bias"
        tensors[name] = np.zeros(32, np.int64)
        tensors["bert.extra"] = np.zeros(1, np.float32)

    rename(folder, change)
    refused(
        folder,
        r"(?s)no floating .*layer\.0\.output\.dense\.bias int64.*another "
        r"shape: bert\.encoder\.layer\.1\.output\.dense\.weight should be "
        r"\[32, 48\] .*missing: bert\.pooler\.dense\.bias.*"
        r"not part of a BERT: bert\.extra \[1\]",
    )


@pytest.mark.parametrize(
    "changes,message",
    [
        ({"num_hidden_layers": 3}, r"missing: bert\.encoder\.layer\.2"),
        ({"num_hidden_layers": 1}, r"not part of a BERT: .*layer\.1"),
        ({"vocab_size": 90}, r"word_embeddings\.weight should be \[90, 32\]"),
        ({"model_type": "roberta"}, "model_type is 'roberta'"),
        ({"is_decoder": True}, "a decoder"),
        ({"architectures": ["BertLMHeadModel"]}, "those that can be read"),
        ({"architectures": ["BertModel"]}, "says BertModel, and the weights"),
        ({"architectures": []}, "says no architectures"),
        ({"problem_type": "ranking"}, "problem_type is 'ranking'"),
        ({"id2label": {"0": "a", "2": "b"}}, "id2label is no table"),
        ({"id2label": {"0": "a"}}, "1 label names for a head of 3"),
        ({"norm_position": "pre"}, "normalises after the sum"),
    ],
)
def test_a_config_that_contradicts_the_weights(changes, message, folder):
    change_json(folder / "config.json", **changes)
    refused(folder, message)


def test_keys_of_other_programs_are_told(folder):
    change_json(folder / "config.json", _commit_hash="x", max_length=20)
    notes = sources.read(folder).notes
    assert "keys of config.json not used: max_length" in notes


def test_heads_that_are_missing_or_not_tied(folder):
    def untie(tensors):
        name = "bert.embeddings.word_embeddings.weight"
        tensors["cls.predictions.decoder.weight"] = tensors[name] + 1

    rename(folder, untie)
    refused(folder, "decoder.weight differs .* tied")

    def double(tensors):
        del tensors["cls.predictions.decoder.weight"]
        name = "bert.embeddings.LayerNorm"
        tensors[f"{name}.gamma"] = tensors[f"{name}.weight"]

    rename(folder, double)
    refused(folder, "LayerNorm.weight twice")

    def behead(tensors):
        del tensors["bert.embeddings.LayerNorm.gamma"]
        del tensors["classifier.weight"], tensors["classifier.bias"]

    rename(folder, behead)
    refused(folder, "classification needs a head")

    def spoil(tensors):
        tensors["classifier.weight"] = np.full((3, 32), np.nan, np.float32)
        tensors["classifier.bias"] = np.zeros(3, np.float32)

    rename(folder, spoil)
    refused(folder, "not finite in classifier/kernel")


def test_pickles_are_refused_with_the_way_out(folder, tmp_path):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, r"(?s)runs? any code.*python -c .*save_pretrained")
    refused(folder / "pytorch_model.bin", "is a pickle")
    refused(folder / "vocab.txt", "is a file; give the folder")
    (folder / "pytorch_model.bin").unlink()
    (folder / "tf_model.h5").write_bytes(b"")
    refused(folder, r"(?s)as tf_model\.h5 only.*from_tf=True")
    (folder / "tf_model.h5").unlink()
    refused(folder, "holds no weights")


def shard(folder, **weight_map):
    """Moves the weights into a shard with an index."""
    path = folder / "model.safetensors"
    names = safetensors_files.read_file(path)
    path.rename(folder / "one.safetensors")
    index = {name: "one.safetensors" for name in names} | weight_map
    index = {name: file for name, file in index.items() if file is not None}
    text = json.dumps({"weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)


@pytest.mark.parametrize(
    "file,message",
    [
        ("../hf2/one.safetensors", "same folder"),
        ("/etc/passwd", "same folder"),
        ("sub/one.safetensors", "same folder"),
        ("..\\one.safetensors", "same folder"),
        ("config.json", "same folder"),
        (7, "reading it failed|same folder"),
        ("two.safetensors", "cannot read the weights"),
        ("link.safetensors", "same folder"),
        ("one.safetensors", "names tensors that its files do not have: more"),
    ],
)
def test_an_index_that_leads_elsewhere(file, message, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "hf2")
    outside = tmp_path / "hf2/model.safetensors"
    (folder / "link.safetensors").symlink_to(outside)
    shard(folder, more=file)
    refused(folder, message)


def test_a_broken_index(folder):
    shard(folder, **{"classifier.bias": None})
    refused(folder, "does not expect there")
    index = folder / "model.safetensors.index.json"
    index.write_text("{}")
    refused(folder, "wanted a JSON object with a weight_map")
    with pytest.raises(UserError, match="cannot read"):
        safetensors_files.read_sharded(folder / "none.index.json")


def test_a_shard_in_hugging_faces_cache_may_be_a_link(folder, tmp_path):
    """snapshots/REVISION/FILE -> ../../blobs/HASH."""
    shard(folder)
    (tmp_path / "hub/blobs").mkdir(parents=True)
    (tmp_path / "hub/snapshots").mkdir()
    shutil.move(folder / "one.safetensors", tmp_path / "hub/blobs/ab12")
    shutil.move(folder, tmp_path / "hub/snapshots/main")
    snapshot = tmp_path / "hub/snapshots/main"
    (snapshot / "one.safetensors").symlink_to("../../blobs/ab12")
    assert sources.read(snapshot).task == "classification"


@pytest.mark.parametrize(
    "file,changes,message",
    [
        ("tokenizer_config.json", {"do_lower_case": False}, "which is right"),
        (
            "tokenizer_config.json",
            {"tokenize_chinese_chars": False},
            "tokenize_chinese_chars is False",
        ),
        (
            "tokenizer_config.json",
            {"strip_accents": False},
            "strip_accents is False",
        ),
        ("tokenizer_config.json", {"mask_token": "<m>"}, "mask_token is '<m>'"),
        ("tokenizer.json", {"pre_tokenizer": None}, "pre_tokenizer.type"),
        ("tokenizer.json", {"model": {"type": "BPE"}}, "model.type is 'BPE'"),
        ("tokenizer.json", {"added_tokens": [{"id": 1}]}, "is broken"),
        (
            "tokenizer.json",
            {"added_tokens": [{"content": "[MASK]", "id": 500}]},
            "are not 0, 1, 2",
        ),
        (
            "tokenizer.json",
            {"added_tokens": [{"content": "new", "id": 91}]},
            "added tokens 'new'",
        ),
    ],
)
def test_tokenizers_that_ours_is_not(file, changes, message, folder):
    change_json(folder / file, **changes)
    refused(folder, message)


def test_accents_that_are_kept(folder):
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    content["normalizer"]["strip_accents"] = False
    path.write_text(json.dumps(content))
    refused(folder, "normalizer.strip_accents is False")


def test_a_vocabulary_of_another_size(folder):
    (folder / "tokenizer.json").unlink()
    with open(folder / "vocab.txt", "a") as file:
        file.write("more\n")
    refused(folder, "vocab_size 91, .* has 92 tokens, and 'more' is the first")


def test_files_that_are_no_json(folder):
    for name, text, message in (
        ("config.json", "{", "is not JSON"),
        ("tokenizer_config.json", "[]", "wanted a JSON object"),
        ("modules.json", "[1]", "no list of modules"),
    ):
        path = folder / name
        before = path.read_bytes() if path.exists() else None
        path.write_text(text)
        refused(folder, message)
        path.unlink() if before is None else path.write_bytes(before)
    with pytest.raises(UserError, match="cannot read"):
        read_json(folder / "none.json")


def test_sentence_vectors_that_we_cannot_make(folder):
    def modules(*kinds, place="1_Pooling"):
        listed = [
            {
                "type": f"sentence_transformers.models.{kind}",
                "path": place if kind == "Pooling" else "",
            }
            for kind in kinds
        ]
        (folder / "modules.json").write_text(json.dumps(listed))

    modules("Transformer", "Pooling", "Dense")
    refused(folder, "the modules are Transformer, Pooling, Dense")
    modules("Transformer", "Pooling", place="../1_Pooling")
    refused(folder, "leads out of its folder")
    modules("Transformer", "Pooling")
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling/config.json"
    pooling.write_text('{"pooling_mode_weightedmean_tokens": true}')
    refused(folder, "pooling by pooling_mode_weightedmean_tokens")
    pooling.write_text('{"pooling_mode_cls_token": true}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 0}')
    refused(folder, "max_seq_length is 0")


def test_broken_checkpoints_of_google(folders, tmp_path):
    whole = folders / "google"
    broken = tmp_path / "google"
    shutil.copytree(whole, broken)
    data = broken / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 255
    data.write_bytes(content)
    refused(broken, "cannot be read")
    data.write_bytes(content[: len(content) // 2])
    refused(broken, "cannot be read|cannot read")
    shutil.copy(broken / "bert_model.ckpt.index", broken / "other.ckpt.index")
    refused(broken, "has 2 checkpoints")
    (broken / "other.ckpt.index").write_bytes(b"")
    refused(broken / "other.ckpt", "cannot read the checkpoint")
    (broken / "other.ckpt.index").unlink()
    (broken / "bert_config.json").unlink()
    refused(broken, "no bert_config.json")
    assert "output_bias" in checkpoint_files.list_names(
        str(whole / "bert_model.ckpt")
    )


def test_broken_presets_of_keras_hub(folders, tmp_path):
    preset = tmp_path / "preset"
    shutil.copytree(folders / "keras_hub", preset)
    weights = preset / "model.weights.h5"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    refused(preset, "cannot read the weights")
    weights.write_bytes(whole)
    with h5py.File(weights, "a") as file:
        file["layers/elsewhere"] = h5py.ExternalLink("/etc/passwd", "x")
    refused(preset, "is a link to something else")
    weights.write_bytes(whole)
    with h5py.File(weights, "a") as file:
        file.create_dataset(
            "layers/outside",
            (4,),
            np.float32,
            external=[(str(tmp_path / "x"), 0, 16)],
        )
    refused(preset, "lies in another file")
    weights.write_bytes(whole)
    tokenizer = preset / "tokenizer.json"
    before = json.loads(tokenizer.read_text())
    for name, value, message in (
        ("split", False, "split is False"),
        ("lowercase", False, "strip_accents without lowercase"),
    ):
        changed = {**before, "config": {**before["config"], name: value}}
        tokenizer.write_text(json.dumps(changed))
        refused(preset, message)
    config = json.loads((preset / "config.json").read_text())
    del config["config"]["num_heads"]
    (preset / "config.json").write_text(json.dumps(config))
    refused(preset, "the config lacks 'num_heads'")
    change_json(preset / "config.json", class_name="RobertaBackbone")
    refused(preset, "is a 'RobertaBackbone'")


def test_broken_folders_of_ours(folders, tmp_path):
    own = tmp_path / "own"
    shutil.copytree(folders / "tfbert", own)
    change_json(own / "tokenizer_config.json", do_lower_case="yes")
    refused(own, "wanted do_lower_case true or false")
    change_json(own / "tokenizer_config.json", do_lower_case=True)
    (own / "pooling.json").write_text('{"mean": 1}')
    refused(own, "pooling.json")
    (own / "pooling.json").unlink()
    for name, value, message in (
        ("kind", ["x"], r"no kind of run is called \['x'\]"),
        ("labels", "abc", "labels is 'abc', wanted a list"),
        ("mean", "three", "mean is 'three', wanted a number"),
    ):
        before = (own / "run.json").read_text()
        change_json(own / "run.json", **{name: value})
        refused(own, message)
        (own / "run.json").write_text(before)
    (own / "model.safetensors").unlink()
    refused(own, "holds no weights")
    (own / "run.json").unlink()
    refused(own, "holds no weights")
    (own / "config.json").unlink()
    refused(own, "has no config.json")
    refused(tmp_path / "none", "no folder")


def test_a_vocabulary_without_special_tokens(portable):
    model = portable("encoder")
    tokens = tuple(re.sub("MASK", "MSK", t) for t in model.vocabulary.tokens)
    model = dataclasses.replace(model, vocabulary=Vocabulary(tokens, True))
    with pytest.raises(UserError, match=r"lacks \[MASK\]"):
        check(model)
    assert is_lowercase([*tokens[5:], "[MASK]"]) is not False
    assert is_lowercase(["A", "b"]) is False
