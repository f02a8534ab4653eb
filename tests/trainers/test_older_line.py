"""Files that the older line of TensorFlow wrote are taken by the newer.

data/older_line.tar.xz holds a text, its records, a pretraining run, its export
and answers. It was made with TensorFlow 2.20, in an empty folder, by

    python tests/trainers/test_older_line.py older_line.tar.xz
"""

import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfbert
from tfrecords.storage.reader import Records
from trainers import export, pretrain, records
from trainers.reports.served.asking import load_model

ARCHIVE = Path(__file__).parent / "data" / "older_line.tar.xz"
WORDS = "a and bad dull film fun good is it not story the very was".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TEXTS = ["a good film", "", "it was NOT fun, \ufb01lm é"]
PRETRAIN = """--model.preset tiny --model.hidden_size 16
--model.num_attention_heads 2 --model.num_hidden_layers 1
--model.intermediate_size 16 --model.max_position_embeddings 16
--data.records records --data.masking.max_predictions 3
--optimization.batch_size 8 --optimization.steps 6
--optimization.warmup_steps 2 --optimization.learning_rate 0.001
--runtime.run_dir run --runtime.precision float32
""".split()
FILES = """text.txt vocab.txt records export answers.json run/config.json
run/run.json run/settings.yaml run/vocab.txt run/tokenizer_config.json
run/checkpoints/step-00000006""".split()
RECORDS = """--input text.txt --vocab vocab.txt --output records
--max_length 16 --processes 1""".split()


def make(archive: Path) -> None:
    """Writes the archive from the folder that we are in."""
    assert tf.__version__.startswith("2.20."), tf.__version__
    lines = [
        " ".join(WORDS[(7 * i + j * j) % len(WORDS)] for j in range(5 + i % 20))
        for i in range(60)
    ]
    Path("text.txt").write_text("\n\n".join(lines))
    Path("vocab.txt").write_text("\n".join([*SPECIAL, *WORDS]) + "\n")
    records.main(RECORDS)
    pretrain.main(PRETRAIN)
    export.main(["run", "--output", "export"])
    model = load_model(Path("export/1"), "embed")
    answers = list(model.answer([(text,) for text in TEXTS]))
    Path("answers.json").write_text(json.dumps(answers))
    with tarfile.open(archive, "w:xz", preset=9) as stream:
        for name in FILES:
            stream.add(name)


@pytest.fixture
def older_line(tmp_path, monkeypatch):
    """The folder with the files, in which we are."""
    with tarfile.open(ARCHIVE) as stream:
        stream.extractall(tmp_path, filter="data")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_its_records_are_what_this_line_writes(older_line):
    records.main(["verify", "records"])
    theirs = Records("records")
    records.main(["records2" if w == "records" else w for w in RECORDS])
    ours = Records("records2")
    rows = np.arange(theirs.num_rows)
    np.testing.assert_array_equal(ours.rows(rows), theirs.rows(rows))


def test_its_export_and_its_weights_give_its_answers(older_line):
    wanted = json.loads((older_line / "answers.json").read_text())
    wanted = np.array([row["embedding"] for row in wanted])
    model = load_model(older_line / "export" / "1", "embed")
    answers = [row["embedding"] for row in model.answer([(t,) for t in TEXTS])]
    np.testing.assert_allclose(answers, wanted, atol=1e-5)
    encoder = tfbert.load_encoder(older_line / "run")
    batch = tfbert.Tokenizer.from_folder(older_line / "run").encode(
        TEXTS, max_length=16
    )
    vectors = np.array(encoder(batch)["sequence_output"], np.float64)
    total = (vectors * np.array(batch["input_mask"])[:, :, None]).sum(axis=1)
    total /= np.linalg.norm(total, axis=1, keepdims=True)
    np.testing.assert_allclose(total, wanted, atol=1e-5)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
