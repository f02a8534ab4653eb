"""What can be measured of a build: name -> function that gives figures.

A case gets `Prepared` and the options, runs its commands once and returns
{figure: value}. Seconds, bytes: less is better; "a second": more is better.
What is prepared outside of what is timed is made before the first turn.
"""

import argparse
import math
import re
import time
from collections.abc import Callable

from benchmarks.builds.checkout import Run, TooLong
from benchmarks.builds.comparison import Value
from benchmarks.builds.prepared import Prepared

Figures = dict[str, Value]
Case = Callable[[Prepared, argparse.Namespace], Figures]

MB = 1e6
# Steps of the two runs whose difference is the time of a step.
FEW_STEPS, MANY_STEPS = 5, 35
# A rule between two stages of the demo: ----- 3/9  Title -----
STAGE = re.compile(r"(\d+)/\d+  (.+?) *[─-]*$")


def _times(name: str, run: Run, memory: bool = False) -> Figures:
    found = {f"{name}, wall s": run.wall, f"{name}, CPU s": run.cpu}
    if memory:
        found[f"{name}, peak MB"] = run.peak / MB
    return found


def help_(prepared: Prepared, options) -> Figures:
    """`tfbert --help`, and the slowest of the verbs' own."""
    verb = prepared.slowest_help
    return {
        **_times("tfbert --help", prepared.build.verb("--help")),
        **_times("slowest VERB --help", prepared.build.verb(verb, "--help")),
        "its VERB": verb,
    }


def vocab(prepared: Prepared, options) -> Figures:
    """A vocabulary of 20 kB of text: mostly start-up."""
    run = prepared.build.verb(
        "vocab",
        *("--input", prepared.data / "tiny.txt", "--size", 500),
        *("--output", prepared.new_path("vocab")),
    )
    return _times("vocab of 20 kB", run, memory=True)


def records(prepared: Prepared, options) -> Figures:
    """Records of 20 kB of text: mostly start-up."""
    run = prepared.build.verb(
        "records",
        *("--input", prepared.data / "tiny.txt", "--vocab", prepared.vocab),
        *("--output", prepared.new_path("records_of_tiny")),
    )
    return _times("records of 20 kB", run, memory=True)


def vocabulary_learning(prepared: Prepared, options) -> Figures:
    """Vocabularies of many characters, and of many tokens."""
    return {
        **_learnt(
            prepared,
            f"{options.ideographs:,} ideographs",
            ("ideographs", options.ideographs),
        ),
        **_learnt(
            prepared,
            f"8,000 syllables, {options.tokens:,} tokens",
            ("syllables", 8000, options.tokens),
        ),
    }


def _learnt(prepared: Prepared, name: str, words: tuple) -> Figures:
    """What took too long once is not tried again."""
    if name not in prepared.too_long:
        try:
            found = prepared.build.probe("vocabulary_learning", *words)
            return {
                f"{name}, CPU s": found["seconds"],
                f"{name}, sha256": found["sha256"],
            }
        except TooLong:
            prepared.too_long.add(name)
    return {f"{name}, CPU s": math.inf}


def mixture(prepared: Prepared, options) -> Figures:
    """Masked rows of 104 folders, and rows from files not in memory."""
    found = prepared.build.probe("mixture", "read", prepared.many_records, 5)
    return {
        "104 folders, rows a second": found["rows_per_second"],
        "104 folders, rows a second of CPU": found["rows_per_cpu_second"],
        "cold, rows a second": found["cold_rows_per_second"],
        "cold, KiB read a row": found["cold_kib_per_row"],
    }


def damage(prepared: Prepared, options) -> Figures:
    """Opening 2018 records, one in 50 damaged; four times as many."""
    rows = options.damaged_rows
    small, large = (
        prepared.build.probe("damage", number) for number in (rows, 4 * rows)
    )
    return {
        f"{rows:,} records, CPU s": small["cpu"],
        f"{4 * rows:,} records, CPU s": large["cpu"],
        "4 times as many, times as long": large["cpu"] / small["cpu"],
    }


def iterator_end(prepared: Prepared, options) -> Figures:
    """What `fit` and `evaluate` wait for behind their last step."""
    found = prepared.build.probe("iterator_end", prepared.records, 1, 2, 3)
    return {f"end of {name}, wall s": wait for name, wait in found.items()}


def precision(prepared: Prepared, options) -> Figures:
    """A step of the card for processors, in the precision that it takes."""
    runs, chosen = [], ""
    for steps in (FEW_STEPS, MANY_STEPS):
        path = prepared.new_path("precision")
        run = prepared.build.verb(
            *("pretrain", "--config", prepared.card),
            *("--data.records", prepared.records, "--runtime.run_dir", path),
            *("--optimization.batch_size", 64),
            *("--optimization.steps", steps),
            *("--optimization.warmup_steps", 1),
            *("--runtime.strategy", "one_device"),
        )
        runs.append(run)
        text = (path / "settings.yaml").read_text(encoding="utf-8")
        chosen = re.search(r"precision: (\w+)", text)[1]
    steps = MANY_STEPS - FEW_STEPS
    wall, cpu = (
        (getattr(runs[1], of) - getattr(runs[0], of)) / steps
        for of in ("wall", "cpu")
    )
    return {
        "step of the card, wall ms": 1e3 * wall,
        "step of the card, CPU ms": 1e3 * cpu,
        "its precision": chosen,
    }


def predict(prepared: Prepared, options) -> Figures:
    """One text, asked of an export."""
    run = prepared.build.verb("predict", prepared.export, "a few words")
    return _times("predict one text", run, memory=True)


def demo(prepared: Prepared, options) -> Figures:
    """The demo and its stages, by the clock on the wall.

    Its commands are forked from a process that is no child of the demo's, so
    that neither their processor time nor their memory are counted with it.
    """
    words = []
    if not options.whole_demo:
        words = ["--pretrain_steps", 50, "--finetune_epochs", 1]
    stages: list[tuple[str, float]] = []

    def look(line: str) -> None:
        if found := STAGE.search(line):
            title = f"{found[1]} {found[2][:32]}"
            stages.append((title, time.perf_counter()))

    output = prepared.new_path("demo")
    start = time.perf_counter()
    run = prepared.build.run(
        "trainers.demo", "--output", output, *words, on_line=look
    )
    name = "demo" if options.whole_demo else "short demo"
    figures = {f"{name}, wall s": run.wall}
    ends = [began for _, began in stages[1:]] + [start + run.wall]
    for (title, began), end in zip(stages, ends, strict=True):
        figures[f"{title}, wall s"] = end - began
    return figures


def step(prepared: Prepared, options) -> Figures:
    """A training step of 32 rows of 128 tokens."""
    figures = {}
    for size in ("tiny", "mini"):
        for dtype in ("float32", "bfloat16"):
            found = prepared.build.probe("step", size, dtype)
            figures[f"{size}, {dtype}, CPU ms"] = found["cpu_ms"]
            figures[f"{size}, {dtype}, wall ms"] = found["wall_ms"]
    return figures


def evaluate_memory(prepared: Prepared, options) -> Figures:
    """Evaluating 1,500 rows in large batches."""
    run = prepared.build.verb(
        "evaluate",
        *(prepared.finetuned, "--data", prepared.train_file),
        *("--batch_size", 1024, "--name", "memory"),
    )
    return _times("evaluate in batches of 1,024", run, memory=True)


CASES: dict[str, Case] = {
    "help": help_,
    "vocab": vocab,
    "records": records,
    "vocabulary_learning": vocabulary_learning,
    "mixture": mixture,
    "iterator_end": iterator_end,
    "precision": precision,
    "damage": damage,
    "predict": predict,
    "demo": demo,
    "step": step,
    "evaluate_memory": evaluate_memory,
}
# Case -> what of `Prepared` it needs.
NEEDS = {
    "help": ("slowest_help",),
    "mixture": ("many_records",),
    "iterator_end": ("records",),
    "precision": ("records",),
    "predict": ("export",),
    "evaluate_memory": ("finetuned",),
}
