"""Peak memory of pretraining, by size: `python -m benchmarks.peak_memory`.

Each size is trained for a few steps by `tfbert pretrain` in a process of its
own, whose largest resident set the kernel reports when it ends. Beside it
stands what no implementation can do without: weights, their gradients and
AdamW's two moments in float32 (16 bytes a parameter).

The text is the shipped sample; the vocabulary is padded with unused tokens to
the size of BERT's, so that the embedding table has its real size. The last
checkpoint is part of the run, and so of its peak.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rich.console
import rich.table

from trainers.files.run_folder import RunFolder

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "trainers" / "sample" / "prose"
SIZES = ("tiny", "mini", "base")
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Weight, gradient and two moments, float32.
BYTES_PER_PARAMETER = 16
GB = 1e9


def main() -> None:
    """Trains each size and prints the table."""
    arguments = parse_arguments()
    table = rich.table.Table(
        title=f"Peak memory of pretraining: batch {arguments.batch_size}, "
        f"sequence {arguments.sequence_length}, {arguments.precision}, "
        + ("recompute, " if arguments.recompute else "")
        + f"{arguments.steps} steps, {os.cpu_count()} cores"
    )
    table.add_column("model")
    for name in ("parameters", "peak GB", "16 bytes each GB", "seconds"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        records = make_records(Path(folder), arguments)
        alone, seconds = peak_bytes([sys.executable, "-c", "import tensorflow"])
        table.add_row(
            "TensorFlow alone", "", f"{alone / GB:.2f}", "", f"{seconds:.0f}"
        )
        for size in arguments.sizes:
            table.add_row(*measure(size, records, Path(folder), arguments))
    rich.console.Console().print(table)


def parse_arguments() -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", nargs="+", default=SIZES)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--sequence_length", type=int, default=128)
    parser.add_argument("--vocab_size", type=int, default=30522)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32"
    )
    parser.add_argument(
        "--recompute",
        action="store_true",
        help="compute activations again in the backward pass",
    )
    return parser.parse_args()


def make_records(folder: Path, arguments) -> Path:
    """Records of part of the sample over a vocabulary of the full size."""
    text = next(iter(sorted(SAMPLE.glob("*.txt")))).read_text("utf-8")
    words = sorted({word.lower() for word in text.split() if word.isalpha()})
    tokens = [*SPECIAL_TOKENS, *words][: arguments.vocab_size]
    padding = range(arguments.vocab_size - len(tokens))
    tokens += [f"[unused{number}]" for number in padding]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(tokens) + "\n", "utf-8")
    source = folder / "text.txt"
    source.write_text(text[:300_000], "utf-8")
    run_verb(
        "records",
        ("--input", source, "--vocab", vocabulary),
        ("--output", folder / "records"),
        ("--max_length", arguments.sequence_length),
    )
    return folder / "records"


def measure(size: str, records: Path, folder: Path, arguments) -> list[str]:
    """Trains one size; returns its row of the table."""
    run_dir = folder / size
    peak, seconds = run_verb(
        "pretrain",
        ("--model.preset", size, "--data.records", records),
        ("--optimization.batch_size", arguments.batch_size),
        ("--optimization.steps", arguments.steps),
        ("--optimization.warmup_steps", 1),
        ("--runtime.precision", arguments.precision),
        ("--runtime.recompute", str(arguments.recompute).lower()),
        ("--runtime.strategy", "one_device", "--runtime.run_dir", run_dir),
    )
    parameters = RunFolder(run_dir).num_parameters
    return [
        size,
        f"{parameters:,}",
        f"{peak / GB:.2f}",
        f"{parameters * BYTES_PER_PARAMETER / GB:.2f}",
        f"{seconds:.0f}",
    ]


def run_verb(verb: str, *options: tuple) -> tuple[int, float]:
    """Runs `tfbert VERB`; returns (peak bytes, seconds)."""
    words = [str(word) for pair in options for word in pair]
    return peak_bytes([sys.executable, "-m", f"trainers.{verb}", *words])


def peak_bytes(command: list[str]) -> tuple[int, float]:
    """Runs a command; returns (peak resident bytes, seconds).

    The kernel counts the parent's size at the fork into a child's peak, so
    this module does not import TensorFlow.

    Raises:
      SystemExit: the command failed; its output is the message.
    """
    with tempfile.TemporaryFile("w+") as output:
        begun = time.monotonic()
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begun
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            raise SystemExit(
                f"{' '.join(command)} ended with {child.returncode}:\n"
                + output.read()
            )
    # Linux counts in KiB, macOS in bytes.
    scale = 1 if sys.platform == "darwin" else 1024
    return usage.ru_maxrss * scale, seconds


if __name__ == "__main__":
    main()
