"""Packed against padded rows, on real short documents at 512 tokens.

    python -m benchmarks.packing --input 'trainers/sample/prose/*.txt'

Both ways see the same documents. A step costs the same number of places either
way, so packing should be faster by the ratio of tokens in a row; attention
within packed rows is kept apart by a mask, which costs something. Batches of
both take turns; the figures are medians.
"""

import argparse
import glob
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from tfbert.config import PRESETS, BertConfig
from tfbert.optimizers import AdamW
from tfbert.tasks import PretrainingTask
from tfrecords.batches.dataset import pretraining_batches
from tfrecords.masking.masking import Masking
from tfrecords.storage.reader import Records
from trainers import records as records_verb
from trainers import vocab as vocab_verb
from trainers.step.training_model import TrainingModel

# Name -> value of `tfbert records --packing`.
PACKING = {"packed": "true", "padded": "false"}


def short_documents(paths: list[str], most_characters: int) -> str:
    """Paragraphs of the files, each a document of its own."""
    found = []
    for path in paths:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        for paragraph in text.split("\n"):
            if 40 <= len(paragraph) <= most_characters:
                found.append(paragraph.strip())
    return "\n\n".join(found) + "\n"


def build(folder: Path, options) -> dict[str, Records]:
    """Builds records of both kinds from the same documents."""
    text = folder / "text.txt"
    paths = [path for name in options.input for path in glob.glob(name)]
    text.write_text(short_documents(paths, options.most_characters))
    vocab = folder / "vocab.txt"
    vocab_verb.main(
        ["--input", str(text), "--output", str(vocab)]
        + ["--size", str(options.vocab_size)]
    )
    found = {}
    for name, packing in PACKING.items():
        output = folder / name
        records_verb.main(
            ["--input", str(text), "--vocab", str(vocab)]
            + ["--output", str(output), "--packing", packing]
            + ["--max_length", str(options.length)]
        )
        found[name] = Records(output)
    return found


def make_run(records: Records, options):
    """Returns a function of steps that gives (seconds, real tokens)."""
    config = BertConfig.preset(
        options.size,
        vocab_size=len(records.vocabulary),
        max_position_embeddings=max(options.length, 512),
    )
    policy = "mixed_bfloat16" if options.dtype == "bfloat16" else "float32"
    model = TrainingModel(PretrainingTask(config, dtype=policy))
    model.compile(AdamW(1e-4))
    step = model.make_train_function()
    predictions = round(0.15 * options.length)
    batches = iter(
        pretraining_batches(
            records,
            Masking(max_predictions=predictions),
            seed=0,
            global_batch_size=options.batch,
        )
    )

    def run(steps: int) -> tuple[float, float]:
        start, tokens = time.perf_counter(), 0.0
        for _ in range(steps):
            tokens += float(np.asarray(step(batches)["tokens"]))
        return time.perf_counter() - start, tokens

    run(2)
    return run


def main() -> None:
    """Builds, trains in turns, prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--input", nargs="+", default=["trainers/sample/prose/*.txt"])
    add("--most_characters", type=int, default=1000, help="of a document")
    add("--size", default="mini", choices=PRESETS)
    add("--dtype", default="bfloat16", choices=["float32", "bfloat16"])
    add("--length", type=int, default=512)
    add("--vocab_size", type=int, default=8192)
    add("--batch", type=int, default=8)
    add("--rounds", type=int, default=7)
    add("--steps", type=int, default=3, help="steps of a turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records = build(Path(folder), options)
        runs = {name: make_run(r, options) for name, r in records.items()}
        seen = {name: [] for name in runs}
        for _ in range(options.rounds):
            for name, run in runs.items():
                seconds, tokens = run(options.steps)
                seen[name].append((seconds / options.steps, tokens / seconds))
        fill = {n: r.manifest.packing_efficiency for n, r in records.items()}
    speed = {}
    for name, rows in seen.items():
        step = statistics.median(seconds for seconds, _ in rows)
        speed[name] = statistics.median(rate for _, rate in rows)
        print(
            f"{name:7} {fill[name]:.1%} of places filled, {1000 * step:.0f} ms "
            f"a step, {speed[name]:,.0f} real tokens/s"
        )
    predicted = fill["packed"] / fill["padded"]
    measured = speed["packed"] / speed["padded"]
    print(
        f"packed against padded: predicted {predicted:.2f} x by the counts of "
        f"tokens, measured {measured:.2f} x ({measured / predicted - 1:+.1%})"
    )


if __name__ == "__main__":
    main()
