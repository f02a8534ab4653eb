"""Masked rows a second of many folders of records, and rows read cold.

    mixture.py make FOLDER TEXT VOCAB NUMBER    makes the folders
    mixture.py read FOLDER SECONDS              measures

The folders hold rows of 128 tokens, each of another number of rows. Masked
batches are those that pretraining reads; cold rows are read from files that
are not in memory, and what then lies in memory is what the disk was asked for.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks.builds.probes.defined import defined
from benchmarks.cold_files import forget, resident_bytes

LENGTH, BATCH, COLD_ROWS, SEED = 128, 256, 300, 0
# Characters of the first folder's text, and what each has more than the last.
FIRST, MORE = 300_000, 1_000


def make(folder: Path, text: Path, vocab: Path, number: int) -> None:
    """Builds the records of as many beginnings of a text."""
    from trainers import records

    folder.mkdir()
    whole = text.read_text(encoding="utf-8")
    for index in range(number):
        part = folder / f"{index}.txt"
        part.write_text(whole[: FIRST + index * MORE], encoding="utf-8")
        records.main(
            ["--input", str(part), "--vocab", str(vocab)]
            + ["--output", str(folder / f"records_{index}")]
            + ["--max_length", str(LENGTH), "--processes", "1"]
        )
        part.unlink()


def read(folder: Path, seconds: float) -> dict[str, float]:
    """The figures of the folders below one."""
    records_class, mixture_class, masking, batches_of = defined(
        "tfrecords", "Records", "Mixture", "Masking", "pretraining_batches"
    )
    paths = sorted(folder.glob("records_*"))
    files = [path for path in folder.glob("records_*/*") if path.is_file()]
    folders = [records_class(path) for path in paths]
    # Whatever opening them read is forgotten again.
    forget(files)
    before, start = sum(map(resident_bytes, files)), time.perf_counter()
    rng = np.random.default_rng(0)
    for _ in range(COLD_ROWS):
        one = folders[rng.integers(len(folders))]
        one.rows(rng.integers(0, one.num_rows, 1))
    cold = COLD_ROWS / (time.perf_counter() - start)
    memory = sum(map(resident_bytes, files)) - before
    batches = iter(
        batches_of(
            mixture_class(folders),
            masking(max_predictions=20),
            seed=SEED,
            global_batch_size=BATCH,
        )
    )
    for _ in range(8):
        next(batches)
    start, used, rows = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        rows += BATCH
    return {
        "rows_per_second": rows / (time.perf_counter() - start),
        "rows_per_cpu_second": rows / (time.process_time() - used),
        "cold_rows_per_second": cold,
        "cold_kib_per_row": memory / COLD_ROWS / 1024,
    }


def main() -> None:
    """Makes or measures."""
    todo, folder, *rest = sys.argv[1:]
    if todo == "make":
        make(Path(folder), Path(rest[0]), Path(rest[1]), int(rest[2]))
    else:
        print(json.dumps(read(Path(folder), float(rest[0]))))


if __name__ == "__main__":
    main()
