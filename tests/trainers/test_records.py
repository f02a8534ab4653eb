import json

import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfrecords.storage.reader import Records
from trainers import preview, records

TOKENS = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "the", "sea", "ship"]
    + [chr(c) for c in range(ord("a"), ord("z") + 1)]
    + ["##" + chr(c) for c in range(ord("a"), ord("z") + 1)]
)


@pytest.fixture
def text(tmp_path):
    documents = [
        f"the sea {'x' * number} the ship.\nthe {number % 7 * 'ab '} ship."
        for number in range(1, 80)
    ]
    (tmp_path / "a.txt").write_text("\n\n".join(documents + documents[:3]))
    (tmp_path / "vocab.txt").write_text("\n".join(TOKENS) + "\n")
    return [
        "--input",
        str(tmp_path / "*.txt"),
        "--vocab",
        str(tmp_path / "vocab.txt"),
        "--output",
        str(tmp_path / "records"),
        "--max_length",
        "32",
        "--processes",
        "1",
        "--documents",
        "blank_line",
    ]


def test_the_way_from_text_to_a_look_at_it(tmp_path, text, capsys, monkeypatch):
    (tmp_path / "vocab.txt").rename(tmp_path / "vocab")
    text[3] = str(tmp_path / "vocab")
    folder = str(tmp_path / "records")
    records.main(text + ["--held_out", "0.2"])
    said = capsys.readouterr().out
    assert "left out, duplicate: 3" in said
    assert "held_out: " in said and f"tfbert preview {folder}" in said

    records.main(["verify", folder])
    assert "all checksums agree" in capsys.readouterr().out
    url = f"ram://{tmp_path.name}"
    for path in (tmp_path / "records").rglob("*"):
        if path.is_file():
            target = f"{url}/{path.relative_to(folder)}"
            tf.io.gfile.makedirs(target.rpartition("/")[0])
            tf.io.gfile.copy(str(path), target)
    monkeypatch.setenv("TFBERT_CACHE", str(tmp_path / "cache"))
    records.main(["verify", url])
    said = capsys.readouterr().out
    assert f"the copy of {url} that" in said and "checksums agree" in said

    preview.main([folder, "--rows", "2", "--batch_size", "8"])
    said = capsys.readouterr().out
    opened = Records(folder)
    assert f"Masks of {opened.num_rows:,} rows" in said
    for words in ("[MASK](", "shown as [MASK]", "[UNK]", "packing"):
        assert words in said
    assert "Longest documents" in said
    assert f"tfbert pretrain --data.records {folder}" in " ".join(said.split())


def test_settings_reach_the_records(tmp_path, text, capsys):
    path = tmp_path / "b.jsonl"
    path.write_text("\n".join([json.dumps({"body": "the ship"}), "{"]))
    text[1] = str(path)
    more = ["--cased", "--text_field", "body", "--on_bad_text", "skip"]
    records.main(text + more + ["--packing", "false", "--seed", "9"])
    manifest = Records(tmp_path / "records").manifest
    assert manifest.tokenizer == {"lowercase": False}
    assert (manifest.seed, manifest.packed) == (9, False)
    assert manifest.rejected == {"bad_json": 1}
    assert "left out, bad_json: 1" in capsys.readouterr().out


def test_the_vocabulary_is_read_once(text, reads):
    records.main(text)
    assert reads.count("vocab.txt") == 1


def test_one_text_a_line_is_said_aloud(tmp_path, text, capsys):
    lines = [f"the sea {'x' * number} the ship." for number in range(1, 99)]
    (tmp_path / "vocab.txt").rename(tmp_path / "vocab")
    text[3] = str(tmp_path / "vocab")
    (tmp_path / "b.txt").write_text("\n".join(lines))
    records.main(text)
    said = capsys.readouterr().out
    assert "note: 1 files hold no empty line" in said
    assert "b.txt with its 98 lines" in said and "--documents line" in said
    text[-1] = "line"
    text[5] += "_again"
    records.main(text)
    assert "no empty line" not in capsys.readouterr().out


def test_an_output_folder_in_use_is_refused(text):
    records.main(text)
    with pytest.raises(UserError, match="output folder in use"):
        records.main(text)


def test_a_misspelt_setting_is_refused(text):
    with pytest.raises(UserError, match="max_length"):
        records.main(text + ["--max_lenght", "64"])


def test_verify_names_what_is_wrong(tmp_path, text, capsys):
    records.main(text + ["--held_out", "0.3"])
    path = tmp_path / "records" / "held_out" / "rows-00000.tfrecord"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(UserError, match="1 fault in .*records"):
        records.main(["verify", str(tmp_path / "records")])
    said = capsys.readouterr().out
    assert "rows-00000.tfrecord, record 0, byte 0: the checksum" in said


def test_verify_of_records_of_2018(tmp_path, capsys):
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "b"]
    (tmp_path / "vocab.txt").write_text("\n".join(tokens) + "\n")
    values = {
        "input_ids": [2, 4, 3],
        "input_mask": [1, 1, 1],
        "segment_ids": [0, 0, 0],
        "masked_lm_positions": [1],
        "masked_lm_ids": [5],
    }
    feature = {
        key: tf.train.Feature(int64_list=tf.train.Int64List(value=value))
        for key, value in values.items()
    }
    weights = tf.train.FloatList(value=[1.0])
    feature["masked_lm_weights"] = tf.train.Feature(float_list=weights)
    example = tf.train.Example(features=tf.train.Features(feature=feature))
    path = tmp_path / "part-0"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(3):
            writer.write(example.SerializeToString())
    records.main(["verify", str(tmp_path)])
    assert "all checksums agree (3 rows)" in capsys.readouterr().out
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match="1 fault .* 1 of 3 rows"):
        records.main(["verify", str(tmp_path)])
    assert "part-0, record 2, byte" in capsys.readouterr().out
    (tmp_path / "vocab.txt").rename(tmp_path / "words.json")
    with pytest.raises(UserError, match="is not there"):
        records.main(["verify", str(tmp_path)])
    with pytest.raises(UserError, match="1 fault"):
        vocab = ["--vocab", str(tmp_path / "words.json")]
        records.main(["verify", str(tmp_path), *vocab])
