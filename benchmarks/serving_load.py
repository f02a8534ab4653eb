"""An export under load: requests from several threads at once.

    python -m benchmarks.serving_load --export exports/reviews

Each thread sends one request after another, as a client that waits for its
answer, through TensorFlow's C library, which is what TF Serving runs. Texts
are of mixed lengths, the same for every number of threads. Numbers of threads
take turns (1 2 4 ... 1 2 4 ...); throughput and p50, p99 are medians over the
turns. "of 1" is the throughput by that of one thread. Memory is that of the
process after the row, and never falls.
"""

import argparse
import dataclasses
import random
import statistics
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rich.console
import rich.table

from tfbert.serving.package import versions
from tfbert.serving.package.c_session import Session

WORDS = "a the film was very good but too long and not as funny".split()


@dataclasses.dataclass(frozen=True)
class Load:
    """What a number of threads reached in a turn.

    Attributes:
      texts_per_second: of all threads.
      p50, p99: milliseconds of a request.
    """

    texts_per_second: float
    p50: float
    p99: float


def requests(
    names: Sequence[str], batch: int, longest: int, count: int = 64
) -> list[dict[str, np.ndarray]]:
    """Requests of texts of one to `longest` words, short ones more often."""
    draw = random.Random(0)

    def text() -> bytes:
        length = 1 + int(longest * draw.random() ** 2)
        return " ".join(draw.choices(WORDS, k=length)).encode()

    return [
        {
            name: np.array([text() for _ in range(batch)], object)
            for name in names
        }
        for _ in range(count)
    ]


def under_load(
    session: Session,
    signature: str,
    asked: Sequence[dict[str, np.ndarray]],
    threads: int,
    seconds: float,
) -> Load:
    """Sends requests from so many threads, for so long."""
    end = time.perf_counter() + seconds
    times: list[list[float]] = [[] for _ in range(threads)]
    texts = [0] * threads
    ready = threading.Barrier(threads + 1)

    def client(number: int) -> None:
        ready.wait()
        place = number * 7
        while time.perf_counter() < end:
            one = asked[place % len(asked)]
            begun = time.perf_counter()
            session.run(signature, one)
            times[number].append(1000 * (time.perf_counter() - begun))
            texts[number] += len(next(iter(one.values())))
            place += 1

    clients = [
        threading.Thread(target=client, args=(number,))
        for number in range(threads)
    ]
    for thread in clients:
        thread.start()
    begun = time.perf_counter()
    end = begun + seconds
    ready.wait()
    for thread in clients:
        thread.join()
    taken = time.perf_counter() - begun
    found = [t for some in times for t in some]
    p50, p99 = np.percentile(found, [50, 99])
    return Load(sum(texts) / taken, float(p50), float(p99))


def memory() -> float:
    """Memory of this process, MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def main(argv: Sequence[str] | None = None) -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--export", required=True)
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument(
        "--threads", type=int, nargs="*", default=[1, 2, 4, 8, 16]
    )
    parser.add_argument("--batch", type=int, default=1, help="texts a request")
    parser.add_argument("--longest", type=int, default=100, help="words")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--turns", type=int, default=3)
    args = parser.parse_args(argv)
    session = Session(versions.newest_version(args.export))
    names = list(session.inputs[args.signature])
    asked = requests(names, args.batch, args.longest)
    for one in asked:
        session.run(args.signature, one)
    turns: dict[int, list[Load]] = {threads: [] for threads in args.threads}
    used = {}
    for _ in range(args.turns):
        for threads, loads in turns.items():
            loads.append(
                under_load(
                    session, args.signature, asked, threads, args.seconds
                )
            )
            used[threads] = memory()
    table = rich.table.Table(
        title=f"{args.export}, {args.batch} texts a request"
    )
    for head in ("threads", "texts/s", "of 1", "p50 ms", "p99 ms", "MB"):
        table.add_column(head, justify="right")
    first = None
    for threads, loads in turns.items():
        speed, p50, p99 = (
            statistics.median(getattr(load, field.name) for load in loads)
            for field in dataclasses.fields(Load)
        )
        first = first or speed
        table.add_row(
            str(threads),
            f"{speed:,.0f}",
            f"{speed / first:.2f}",
            f"{p50:.1f}",
            f"{p99:.1f}",
            f"{used[threads]:,.0f}",
        )
    rich.console.Console().print(table)


if __name__ == "__main__":
    main()
