"""Records made from given rows, without a tokenizer."""

import hashlib
import json

import numpy as np
import pytest

from tfrecords.layout import MANIFEST_FILE, MASKED_LM, Layout
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.reader import Records
from tfrecords.storage.writer import ShardWriter

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENS = (
    SPECIAL
    + [f"[unused{i}]" for i in range(5)]
    + [f"w{i}" for i in range(60)]
    + [f"##p{i}" for i in range(30)]
)


def _write_records(
    folder,
    rows,
    *,
    shards=1,
    tokens=TOKENS,
    objective=MASKED_LM,
    packed=False,
    rows_per_record=3,
):
    """Writes `rows` [N, S(+1)] to `folder`, in about `shards` files."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = 0 if objective == MASKED_LM else 1
    layout = Layout(rows.shape[1] - labels, labels, 2, rows_per_record)
    writer = ShardWriter(folder, layout, -(-len(rows) // shards))
    writer.write(rows)
    text = "\n".join(tokens)
    (folder / "vocab.txt").write_text(text + "\n", encoding="utf-8")
    settings = {"do_lower_case": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    ids = rows[:, : layout.sequence_length]
    manifest = Manifest(
        objective=objective,
        packed=packed,
        sequence_length=layout.sequence_length,
        label_columns=labels,
        token_bytes=2,
        rows_per_record=rows_per_record,
        vocabulary={
            "file": "vocab.txt",
            "size": len(tokens),
            "sha256": hashlib.sha256(text.encode()).hexdigest(),
        },
        tokenizer={"lowercase": True},
        split="train",
        held_out_share=0.0,
        seed=0,
        rows=len(rows),
        sequences=int((ids == 2).sum()),
        documents=len(rows),
        tokens=int((ids != 0).sum()),
        special_tokens=int(np.isin(ids, [2, 3]).sum()),
        unknown_tokens=int((ids == 1).sum()),
        text_bytes=1,
        document_lengths={},
        longest_documents=[],
        rejected={},
        sources=[],
        shards=tuple(writer.close()),
        builder="test",
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json())
    return folder


def _random_rows(count, length, seed=0):
    """Rows "[CLS] words [SEP]" of different lengths, int32 [count, length].

    The first two words say which row it is.
    """
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, length), np.int32)
    for number, row in enumerate(rows):
        words = rng.integers(4, length - 1)
        row[0] = 2
        row[1 : words + 1] = rng.integers(10, len(TOKENS), words)
        row[1:3] = 10 + number // 60, 10 + number % 60
        row[words + 1] = 3
    return rows


@pytest.fixture
def random_rows():
    """The function above."""
    return _random_rows


@pytest.fixture
def make_records(tmp_path):
    """A function: (name, rows, **how) -> opened Records."""

    def make(name, rows, **how):
        return Records(_write_records(tmp_path / name, rows, **how))

    return make
