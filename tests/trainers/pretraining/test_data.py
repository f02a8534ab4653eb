"""Where `tfbert pretrain` gets its rows: mixtures, old records, damage."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
import yaml
from safetensors.numpy import load_file

from tfbert.errors import UserError
from tfbert.file_names import SETTINGS_FILE
from trainers import pretrain, records
from trainers.pretraining.data import (
    PretrainingData,
    hashes,
    open_held_out,
    open_training,
)

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]
    + "the sea ship sails over dark water while wind blows".split()
    + list("abcdefghijklmnopqrstuvwxyz")
)
STEPS = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two folders of records, `one` (with held-out ones) and `two`."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    rng = np.random.default_rng(0)
    for name, count in [("one", 400), ("two", 60)]:
        text = "\n\n".join(
            " ".join(rng.choice(TOKENS[5:], rng.integers(5, 60)))
            for _ in range(count)
        )
        (folder / f"{name}.txt").write_text(text)
        records.main(
            f"--input {folder}/{name}.txt --vocab {folder}/vocab.txt "
            f"--output {folder}/{name} --max_length 32 --held_out 0.1 "
            "--processes 1".split()
        )
    return folder


@pytest.fixture
def own(data, tmp_path):
    """A copy of the folders that a test may damage."""
    return shutil.copytree(data, tmp_path / "own")


def options(run_dir, **changes):
    settings = {
        "model.preset": "tiny",
        "model.num_hidden_layers": 1,
        "model.hidden_size": 32,
        "model.intermediate_size": 64,
        "model.max_position_embeddings": 32,
        "data.masking.max_predictions": 5,
        "optimization.batch_size": 8,
        "optimization.steps": STEPS,
        "optimization.warmup_steps": 2,
        "runtime.run_dir": run_dir,
        "runtime.checkpoint_every": 3,
        "runtime.evaluate_every": 6,
    }
    settings |= {k.replace("__", "."): v for k, v in changes.items()}
    return [text for k, v in settings.items() for text in (f"--{k}", str(v))]


def mixture(data):
    entries = [
        {"records": str(data / "one"), "weight": 3},
        {"records": str(data / "two"), "weight": 1},
    ]
    return json.dumps(entries)


def weights(run_dir, step=STEPS):
    path = run_dir / "checkpoints" / f"step-{step:08d}" / "model.safetensors"
    return load_file(path)


def assert_same_weights(run_dir, other, **tolerance):
    wanted, found = weights(other), weights(run_dir)
    for key, value in wanted.items():
        np.testing.assert_allclose(
            found[key],
            value,
            **{"rtol": 0, "atol": 0, **tolerance},
            err_msg=key,
        )


@pytest.mark.long
def test_a_mixture_trains_resumes_and_is_shared(data, tmp_path, capsys):
    change = {
        "data__mixture": mixture(data),
        "model__hidden_dropout_prob": 0.0,
        "model__attention_probs_dropout_prob": 0.0,
    }
    whole, half, two = (tmp_path / name for name in ("whole", "half", "two"))
    pretrain.main(options(whole, **change))
    said = " ".join(capsys.readouterr().out.split())
    assert f"75.00 % from {data}/one" in said
    assert f"25.00 % from {data}/two" in said
    saved = yaml.safe_load((whole / "settings.yaml").read_text())
    assert saved["data"]["mixture"][1]["weight"] == 1
    pretrain.main(options(half, **change, optimization__steps=3))
    allow = {"runtime__allow_change": "[optimization.steps]"}
    pretrain.main(options(half, **change, **allow))
    assert "Resuming at step 3 of 6" in capsys.readouterr().out
    pretrain.main(options(two, **change, runtime__devices=2))
    assert_same_weights(two, whole, atol=1e-5)


def test_a_mixture_and_a_folder_are_refused(data, tmp_path):
    with pytest.raises(UserError, match="data.records or data.mixture"):
        pretrain.main(
            options(
                tmp_path / "run",
                data__mixture=mixture(data),
                data__records=data / "one",
            )
        )


def old_records(folder, count=40):
    """Records of the 2018 format, with next-sentence labels."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    path = folder / "pretraining.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(count):
            ids = rng.integers(5, len(TOKENS), 16)
            ids[[0, 8, 15]] = 2, 3, 3
            features = {
                "input_ids": ids,
                "input_mask": np.ones(16, int),
                "segment_ids": np.arange(16) > 8,
                "masked_lm_positions": [2, 5, 0],
                "masked_lm_ids": [7, 8, 0],
                "next_sentence_labels": [number % 2],
            }
            features = {
                key: tf.train.Feature(
                    int64_list=tf.train.Int64List(value=np.asarray(value, int))
                )
                for key, value in features.items()
            }
            features["masked_lm_weights"] = tf.train.Feature(
                float_list=tf.train.FloatList(value=[1.0, 1.0, 0.0])
            )
            features = tf.train.Features(feature=features)
            example = tf.train.Example(features=features)
            writer.write(example.SerializeToString())
    return path


def test_records_of_2018_train_as_they_are(data, tmp_path):
    old_records(tmp_path / "old")
    change = {
        "data__records": tmp_path / "old",
        "data__held_out": tmp_path / "old",
    }
    with pytest.raises(UserError, match="need the vocabulary"):
        pretrain.main(options(tmp_path / "run", **change))
    change["data__vocab"] = data / "vocab.txt"
    result = pretrain.main(options(tmp_path / "run", **change))
    assert result is None
    rows = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    found = [row for row in map(json.loads, rows) if row["split"] != "train"]
    assert found[-1]["next_sentence_loss"] > 0
    settings = json.loads(
        (tmp_path / "run" / "tokenizer_config.json").read_text()
    )
    assert settings["do_lower_case"] is True
    pretrain.main(options(tmp_path / "run", **change))


@pytest.mark.parametrize(
    "change",
    [{}, pytest.param({"runtime__steps_per_loop": 3}, marks=pytest.mark.long)],
    ids=str,
)
def test_damage_found_while_training_is_told_as_it_is(own, tmp_path, change):
    folder = own / "one"
    (shard,) = folder.glob("rows-*.tfrecord")
    content = bytearray(shard.read_bytes())
    for byte in range(200, len(content) - 200):
        content[byte] = 0xFF
    shard.write_bytes(content)
    arguments = options(tmp_path / "run", data__records=folder, **change)
    with pytest.raises(
        UserError, match=r"rows-00000.*holds the token id 65535"
    ):
        pretrain.main(arguments)


def test_damage_that_is_skipped_is_counted_at_the_end(own, tmp_path, capsys):
    folder = own / "one"
    (shard,) = folder.glob("rows-*.tfrecord")
    content = bytearray(shard.read_bytes())
    content[100] ^= 0xFF
    shard.write_bytes(content)
    pretrain.main(
        options(tmp_path / "run", data__records=folder, data__on_corrupt="skip")
    )
    said = " ".join(capsys.readouterr().out.split())
    end = said[said.index(f"step {STEPS}/") :]
    assert (
        "rows are damaged and were skipped (1 fault; the first: rows-00000"
        in (end)
    )


def test_nothing_but_damage_is_refused(own, tmp_path):
    (shard,) = (own / "two").glob("rows-*.tfrecord")
    shard.write_bytes(b"")
    with pytest.raises(UserError, match="none of the .* rows in .*two can be"):
        pretrain.main(
            options(
                tmp_path / "run",
                data__records=own / "two",
                data__on_corrupt="skip",
            )
        )


def test_damaged_records_of_2018_are_skipped(data, tmp_path, capsys):
    path = old_records(tmp_path / "old")
    content = bytearray(path.read_bytes())
    content[40] ^= 0xFF
    path.write_bytes(content)
    pretrain.main(
        options(
            tmp_path / "run",
            data__records=tmp_path / "old",
            data__vocab=data / "vocab.txt",
            data__on_corrupt="skip",
        )
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of 40 rows are damaged and were skipped" in said


@pytest.mark.long
def test_a_run_of_an_older_version_is_resumed(data, tmp_path):
    run_dir = tmp_path / "run"
    arguments = options(run_dir, data__records=data / "one")
    pretrain.main(arguments)
    path = run_dir / SETTINGS_FILE
    saved = yaml.safe_load(path.read_text())
    for name in ("mixture", "temperature", "on_corrupt"):
        del saved["data"][name]
    path.write_text(yaml.safe_dump(saved))
    pretrain.main(arguments)
    path.write_text(yaml.safe_dump(saved))
    with pytest.raises(UserError, match="data.on_corrupt: the run has 'error'"):
        pretrain.main([*arguments, "--data.on_corrupt", "skip"])


def test_a_word_list_reaches_training_and_held_out_rows(data, tmp_path):
    (tmp_path / "words.txt").write_text("ab 3\n")
    settings = PretrainingData(
        str(data / "one"), word_list=str(tmp_path / "words.txt")
    )
    opened = open_training(settings)
    held_out = open_held_out(settings, opened)
    row = np.array([[2, TOKENS.index("a"), TOKENS.index("b"), 3]])
    for records_ in (opened, held_out):
        starts = records_.classes.starts(row)
        assert starts.tolist() == [[True, True, False, True]]
    with pytest.raises(UserError, match="nowhere.txt cannot be read"):
        pretrain.main(
            options(
                tmp_path / "run",
                data__records=data / "one",
                data__word_list="nowhere.txt",
            )
        )


def test_words_of_a_list_are_part_of_the_data(data, tmp_path):
    def facts(words):
        (tmp_path / "words.txt").write_text(words)
        options = PretrainingData(
            records=str(data / "one"), word_list=str(tmp_path / "words.txt")
        )
        return hashes(open_training(options))

    first = facts("ab\ncd\n")
    assert facts("cd 3\nab 9\n") == first
    other = facts("ab\nce\n")
    assert {key for key in first if first[key] != other[key]} == {
        "data.word_list"
    }
