"""The processes that turn chunks of documents into rows."""

import collections
import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Iterator

from tfbert.errors import UserError
from tfrecords import corpus, tokenizing
from tfrecords.tokenizing import ChunkRows, Recipe

# A process takes seconds to start, time in which another tokenizes this much.
_BYTES_WORTH_A_PROCESS = 16 << 20


def enough(text: corpus.Corpus) -> int:
    """As many processes as there are cores, and work for, on `text`."""
    cores = len(os.sched_getaffinity(0))
    if not text.total_bytes:
        return cores  # The standard input: who knows.
    return min(cores, -(-text.total_bytes // _BYTES_WORTH_A_PROCESS))


@contextlib.contextmanager
def workers(recipe: Recipe, count: int):
    """Yields a function: chunks -> their rows, in the same order."""
    if count == 1:
        make = tokenizing.RowMaker(recipe)
        yield lambda chunks: map(make, chunks)
        return
    # TensorFlow does not survive a fork. This kind of pool notices the death
    # of a worker.
    pool = concurrent.futures.ProcessPoolExecutor(
        count,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=tokenizing.start_worker,
        initargs=(recipe,),
    )
    try:
        yield lambda chunks: _in_order(pool, chunks, 2 * count)
    except concurrent.futures.process.BrokenProcessPool:
        raise UserError(
            "a worker process died, most likely for want of memory. Try fewer "
            f"--processes (now {count})."
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _in_order(pool, chunks, ahead) -> Iterator[ChunkRows]:
    """Rows of `chunks` in order, with at most `ahead` under way."""
    waiting: collections.deque = collections.deque()
    for chunk in chunks:
        waiting.append(pool.submit(tokenizing.make_rows, chunk))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
