"""Rows read cold, and rows of mixtures of many folders.

    python -m benchmarks.reading --folders 1 16 104

Makes records of random tokens in a temporary folder. "Cold" rows are read
from files that are not in memory: what then lies in memory is what the disk
was asked for. "Mixed" are masked batches a second, made by two threads as the
input pipeline makes them.
"""

import argparse
import concurrent.futures
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.cold_files import forget, resident_bytes
from tfrecords.batches.batch import make_batch
from tfrecords.batches.mixture import Mixture
from tfrecords.layout import MANIFEST_FILE, MASKED_LM, SHARD_GLOB, Layout
from tfrecords.masking.masking import Masking
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.reader import Records
from tfrecords.storage.writer import ShardWriter

LENGTH, VOCABULARY = 128, 8192
COLD_ROWS = 2000


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folders", type=int, nargs="+", default=[1, 16, 104])
    parser.add_argument("--cold_rows", type=int, default=1 << 19)
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = write_records(Path(folder) / "cold", options.cold_rows)
        print(cold(path))
        paths = [
            write_records(Path(folder) / str(number), 4096 + number)
            for number in range(max(options.folders))
        ]
        for count in options.folders:
            mixture = Mixture([Records(path) for path in paths[:count]])
            rate = mixed(mixture, options.batch_size, options.seconds)
            print(f"{count:4} folders: {rate:,.0f} masked rows a second")


def write_records(folder: Path, rows: int) -> Path:
    """Rows of random tokens."""
    folder.mkdir()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = special + [f"w{number}" for number in range(VOCABULARY - 5)]
    (folder / "vocab.txt").write_text("\n".join(tokens) + "\n")
    layout = Layout.make(LENGTH, 0, VOCABULARY)
    writer = ShardWriter(folder, layout, 65536)
    rng = np.random.default_rng(rows)
    for first in range(0, rows, 1 << 16):
        count = min(1 << 16, rows - first)
        made = rng.integers(5, VOCABULARY, (count, LENGTH), dtype=np.uint16)
        made[:, 0], made[:, -1] = 2, 3
        writer.write(made)
    shards = tuple(writer.close())
    from tfbert.text.vocabulary_files import vocabulary_hash

    values = {name: 0 for name in Manifest.__dataclass_fields__}
    values |= dict(
        objective=MASKED_LM,
        packed=False,
        sequence_length=LENGTH,
        token_bytes=layout.token_bytes,
        rows_per_record=layout.rows_per_record,
        vocabulary={
            "file": "vocab.txt",
            "size": VOCABULARY,
            "sha256": vocabulary_hash(tokens),
        },
        tokenizer={"lowercase": True},
        split="train",
        rows=rows,
        document_lengths={},
        longest_documents=[],
        rejected={},
        sources=[],
        shards=shards,
        builder="benchmark",
    )
    manifest = Manifest(**values)
    (folder / MANIFEST_FILE).write_text(manifest.to_json())
    return folder


def cold(folder: Path) -> str:
    """Reads rows at random from files that are not in memory."""
    files = sorted(folder.glob(SHARD_GLOB))
    forget(files)
    records = Records(folder)
    chosen = np.random.default_rng(0).integers(0, records.num_rows, COLD_ROWS)
    start = time.perf_counter()
    for row in chosen:
        records.rows(row[None])
    seconds = time.perf_counter() - start
    size = sum(path.stat().st_size for path in files)
    read = sum(map(resident_bytes, files))
    return (
        f"cold: {COLD_ROWS} of {records.num_rows:,} rows ({size / 1e6:.0f} MB)"
        f": {read / COLD_ROWS / 1024:.1f} KiB in memory a row, "
        f"{COLD_ROWS / seconds:,.0f} rows a second"
    )


def mixed(mixture: Mixture, batch_size: int, seconds: float) -> float:
    """Masked rows a second, of batches made one after the other."""
    masking = Masking(max_predictions=20)

    def make(step):
        first = step * batch_size
        positions = np.arange(first, first + batch_size, dtype=np.int64)
        row_ids, epochs = mixture.rows_at(positions, 0)
        make_batch(mixture, masking, row_ids, epochs, 0)

    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        list(threads.map(make, range(4)))
        start, step = time.perf_counter(), 4
        while time.perf_counter() - start < seconds:
            list(threads.map(make, range(step, step + 8)))
            step += 8
        return (step - 4) * batch_size / (time.perf_counter() - start)


if __name__ == "__main__":
    main()
