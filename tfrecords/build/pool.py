"""The processes that turn chunks of documents into rows."""

import contextlib

from tfrecords import worker_processes
from tfrecords.build.chunks import (
    Recipe,
    RowMaker,
    make_rows,
    start_worker,
)
from tfrecords.text import corpus
from tfrecords.worker_processes import cores

# A process needs a moment to start, in which another tokenizes this much.
_BYTES_WORTH_A_PROCESS = 16 << 20

_IMPORTED = ("tfrecords.build.pool_imports",)


def enough(text: corpus.Corpus) -> int:
    """As many processes as there are cores, and work for, on `text`."""
    if not text.total_bytes:
        return cores()  # The standard input: who knows.
    return min(cores(), -(-text.total_bytes // _BYTES_WORTH_A_PROCESS))


@contextlib.contextmanager
def workers(recipe: Recipe, count: int):
    """Yields a function: chunks -> their rows, in the same order.

    One worker is this process itself. Others end with it, however it ends.

    Raises:
      UserError: a worker died; says of what.
    """
    if count == 1:
        make = RowMaker(recipe)
        yield lambda chunks: map(make, chunks)
        return
    work = worker_processes.Work(make_rows, start_worker, (recipe,), _IMPORTED)
    with worker_processes.working(work, count) as results_of:
        yield results_of
