"""One training step, side by side with other libraries.

    python -m benchmarks.training_step --sizes tiny mini --dtypes bfloat16

Contenders (benchmarks/contenders/) take turns in one process, A B C A B C, and
between them the rate of a large matrix product is measured; a row is the
median over the turns. "cpu" is the processor time of all threads: it hardly
depends on what else the machine does, where the wall time does. Libraries that
are not installed are left out (`pip install 'tfbert[peers,hf]'`).
"""

import argparse
import json
import os
import statistics
import time

# Threads of one contender must not spin while another has its turn.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.contenders import CONTENDERS, find
from benchmarks.contenders.steps import make_batch
from tfbert.config import PRESETS, BertConfig
from trainers.watching.matmul_rate import matmul_rate
from trainers.watching.model_flops import step_flops

# Seconds for a look at the matmul rate, at each turn of each contender.
RATE_SECONDS = 0.1
ROWS = {128: 32, 512: 8}
ROWS_OF_LARGE = {128: 8, 512: 2}


def measure(size: str, dtype: str, length: int, options) -> dict:
    """Times all contenders in turn; returns medians by contender."""
    config = BertConfig.preset(size, hidden_act=options.hidden_act)
    usual = ROWS_OF_LARGE if size in ("base", "large") else ROWS
    rows = options.batch or usual.get(length, 8)
    predictions = options.predictions or round(0.15 * length)
    batch = make_batch(config, rows, length, predictions)
    policy = "mixed_bfloat16" if dtype == "bfloat16" else "float32"
    runs = {}
    for name in options.contenders:
        make = find(name)
        if make is None:
            print(f"  {name}: not installed", flush=True)
            continue
        runs[name] = make(config, policy, batch)
        loss = runs[name](2)
        print(f"  {name}: loss {loss:.3f}", flush=True)
    times, work, rates = take_turns(runs, dtype, options)
    rate = statistics.median(rates)
    flops = step_flops(config, rows, length, predictions)
    result = {
        "size": size,
        "dtype": dtype,
        "length": length,
        "rows": rows,
        "predictions": predictions,
        "matmul": rate,
        "contenders": {},
    }
    for name in runs:
        seconds = statistics.median(times[name])
        result["contenders"][name] = {
            "milliseconds": round(1000 * seconds, 1),
            "fastest": round(1000 * min(times[name]), 1),
            "cpu_milliseconds": round(1000 * statistics.median(work[name]), 1),
            "tokens_per_second": round(rows * length / seconds),
            "share_of_matmul_rate": round(flops / seconds / rate, 3),
        }
    return result


def take_turns(runs: dict, dtype: str, options) -> tuple[dict, dict, list]:
    """Lets each contender run its steps, turn after turn.

    Returns:
      (seconds of a step by contender, processor seconds, matmul rates)
    """
    times = {name: [] for name in runs}
    work = {name: [] for name in runs}
    rates = []
    for _ in range(options.rounds):
        for name, run in runs.items():
            rates.append(matmul_rate(dtype, seconds=RATE_SECONDS))
            start, processor = time.perf_counter(), time.process_time()
            run(options.steps)
            spent = time.perf_counter() - start, time.process_time() - processor
            times[name].append(spent[0] / options.steps)
            work[name].append(spent[1] / options.steps)
    return times, work, rates


def report(result: dict) -> None:
    """Prints a row for each contender, beside the first."""
    print(
        f"{result['size']} {result['dtype']}, {result['rows']} rows of "
        f"{result['length']}, matmul {result['matmul'] / 1e9:.0f} GFLOP/s"
    )
    first = next(iter(result["contenders"].values()), None)
    for name, row in result["contenders"].items():
        columns = [f"  {name:16}"]
        for key in ("milliseconds", "fastest", "cpu_milliseconds"):
            label = key.replace("milliseconds", "").strip("_") or "median"
            columns.append(
                f"{label} {row[key]:.1f} ms ({row[key] / first[key]:.2f} x)"
            )
        columns.append(f"{row['tokens_per_second']:,} tokens/s")
        columns.append(f"{row['share_of_matmul_rate']:.0%} of matmul")
        print("  ".join(columns), flush=True)


def main() -> None:
    """Measures and prints every combination that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--sizes", nargs="+", default=["tiny", "mini"], choices=PRESETS)
    add("--dtypes", nargs="+", default=["float32", "bfloat16"])
    add("--lengths", nargs="+", type=int, default=[128])
    add("--contenders", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    add("--batch", type=int, help="default 32 of 128, 8 of 512; base 8, 2")
    add("--predictions", type=int, help="of a row; default 15 %% of it")
    add("--rounds", type=int, default=7)
    add("--steps", type=int, default=3, help="steps of a turn")
    add("--hidden_act", default="gelu")
    add("--output", default=None, help="JSON file for the figures")
    options = parser.parse_args()
    results = []
    for size in options.sizes:
        for length in options.lengths:
            for dtype in options.dtypes:
                results.append(measure(size, dtype, length, options))
                report(results[-1])
    if options.output:
        with open(options.output, "w", encoding="utf-8") as stream:
            json.dump(results, stream, indent=2)


if __name__ == "__main__":
    main()
