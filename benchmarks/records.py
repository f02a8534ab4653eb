"""Building records, side by side with Google's create_pretraining_data.

    python -m benchmarks.records --input 'corpus/*.txt' --vocab vocab.txt

Both run as a user would run them, start-up included, each in a process of its
own. Google's script gets a part of the text, since it is slow, and its rate
is per byte. `tfbert records` also gets the text many times over, to show that
its memory does not grow with it. Memory is the sum over all processes of a
command, by what each does not share (PSS).
"""

import argparse
import glob
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import rich.console
import rich.table

ROOT = Path(__file__).parents[1]
MB = 1e6


def main() -> None:
    """Runs the contenders and prints the table."""
    arguments = parse_arguments()
    table = rich.table.Table(
        title=f"Text to records, rows of {arguments.max_length}, "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    names = ("command", "MB of text", "seconds", "MB/s", "peak memory MB")
    for name in (*names, "MB written"):
        table.add_column(name, justify="left" if name == "command" else "right")
    result = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for run in runs(arguments, Path(scratch)):
            result.append(run)
            rate = run["text_mb"] / run["seconds"]
            table.add_row(
                run["name"],
                f"{run['text_mb']:.1f}",
                f"{run['seconds']:.1f}",
                f"{rate:.2f}",
                f"{run['peak_mb']:.0f}",
                f"{run['written_mb']:.1f}",
            )
    rich.console.Console().print(table)
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(result, indent=1))


def parse_arguments() -> argparse.Namespace:
    """The options of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--input", nargs="+", required=True)
    parser.add_argument("--vocab", required=True)
    parser.add_argument("--max_length", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--google_mb", type=float, default=1.0)
    parser.add_argument("--google_python", default=sys.executable)
    parser.add_argument("--scratch", help="folder for temporary files")
    parser.add_argument("--json", help="write the figures here, too")
    return parser.parse_args()


def runs(arguments, scratch: Path):
    """Yields the figures of each command."""
    text = b"\n\n".join(
        Path(path).read_bytes()
        for name in arguments.input
        for path in sorted(glob.glob(name, recursive=True))
        if os.path.isfile(path)
    )
    path = scratch / "line.txt"
    path.write_bytes(text[:1000])
    for processes in (1, 2):
        output = scratch / f"started{processes}"
        command = [sys.executable, "-m", "trainers.records"]
        command += ["--input", str(path), "--vocab", arguments.vocab]
        command += ["--processes", str(processes), "--output", str(output)]
        yield measure(
            f"tfbert records, start with {processes}", command, path, output
        )
    for repeats in dict.fromkeys([1, arguments.repeats]):
        path = scratch / f"text{repeats}.txt"
        write_copies(path, text, repeats)
        output = scratch / f"records{repeats}"
        command = [sys.executable, "-m", "trainers.records"]
        command += ["--input", str(path), "--vocab", arguments.vocab]
        command += ["--max_length", str(arguments.max_length)]
        command += ["--output", str(output)]
        yield measure(
            f"tfbert records, text x {repeats}", command, path, output
        )
        path.unlink()
    if arguments.google_python == sys.executable:
        if not importlib.util.find_spec("official"):
            return
    path = scratch / "google.txt"
    path.write_bytes(text[: int(arguments.google_mb * MB)])
    output = scratch / "google.tfrecord"
    command = [arguments.google_python, "-m"]
    command += ["official.nlp.data.create_pretraining_data"]
    command += [f"--input_file={path}", f"--output_file={output}"]
    command += [f"--vocab_file={arguments.vocab}", "--do_lower_case=True"]
    command += [f"--max_seq_length={arguments.max_length}", "--dupe_factor=1"]
    command += ["--max_predictions_per_seq=20"]
    yield measure("create_pretraining_data", command, path, output)


def write_copies(path: Path, text: bytes, repeats: int) -> None:
    """Writes `text` several times, each document different each time."""
    with path.open("wb") as stream:
        for number in range(repeats):
            mark = f"\n\nCopy {number}.\n".encode()
            stream.write(text if not number else text.replace(b"\n\n", mark))
            stream.write(b"\n\n")


def measure(name: str, command: list[str], text: Path, output: Path) -> dict:
    """Runs a command; its seconds, peak memory and output."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peak = 0
    while True:
        try:
            _, said = process.communicate(timeout=0.2)
            break
        except subprocess.TimeoutExpired:
            peak = max(peak, memory_of(process.pid))
    seconds = time.perf_counter() - start
    if process.returncode:
        raise SystemExit(f"{command}:\n{said.decode()[-2000:]}")
    files = [output] if output.is_file() else output.rglob("*")
    return {
        "name": name,
        "text_mb": text.stat().st_size / MB,
        "seconds": seconds,
        "peak_mb": peak / MB,
        "written_mb": sum(f.stat().st_size for f in files) / MB,
    }


def memory_of(process: int) -> int:
    """Bytes of a process and all below it, shared pages counted once."""
    total = 0
    try:
        with open(f"/proc/{process}/smaps_rollup") as stream:
            for line in stream:
                if line.startswith("Pss:"):
                    total += 1024 * int(line.split()[1])
        with open(f"/proc/{process}/task/{process}/children") as stream:
            children = stream.read().split()
    except (FileNotFoundError, ProcessLookupError):
        return total
    return total + sum(memory_of(int(child)) for child in children)


if __name__ == "__main__":
    main()
