"""A file of rows -> the same rows with their answers, in a file."""

import collections
import concurrent.futures
import contextlib
import dataclasses
import importlib.metadata
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfrecords import worker_processes
from tfrecords.labelled.files import tables
from trainers.reports.answered_files import windows
from trainers.reports.answered_files.formats import RowFormat
from trainers.reports.answered_files.part_file import PartFile
from trainers.reports.answered_files.windows import Window
from trainers.reports.served.asking import Asked
from trainers.reports.served.model_files import ModelFiles

# (bytes of the input read, bytes in all, rows answered) so far.
Progress = Callable[[int, int, int], None]


@dataclasses.dataclass(frozen=True)
class Job:
    """What is to be answered, and how.

    Attributes:
      model: what answers.
      input: file of rows.
      output: file that is made: .jsonl, .csv or .tsv.
      columns: of the input that the model reads; () for those of its
        training data.
      reading: how the input is read.
      batch_size: rows that the model answers at once.
      workers: processes; one is this process itself.

    Raises:
      UserError: a number below 1, or input and output are one file.
    """

    model: ModelFiles
    input: Path
    output: Path
    columns: Sequence[str] = ()
    reading: tables.Reading = tables.BY_LOOKING
    batch_size: int = 64
    workers: int = 1

    def __post_init__(self):
        for name in ("batch_size", "workers"):
            if (value := getattr(self, name)) < 1:
                raise UserError(f"wanted {name} of 1 or more, got {value}")
        if os.path.realpath(self.input) == os.path.realpath(self.output):
            raise UserError(
                f"{self.output} is the input; name another --output."
            )

    def made_with(self) -> dict[str, str]:
        """What the bytes of the output depend on, but for the input."""
        form = dataclasses.asdict(self.reading.form)
        return {
            self.model.called: self.model.fingerprint(),
            "signature": self.model.signature,
            "text_column": ", ".join(self.columns) or "of the training data",
            "batch_size": str(self.batch_size),
            "version of TensorFlow": importlib.metadata.version("tensorflow"),
            **{name: str(value) for name, value in form.items()},
        }


@dataclasses.dataclass(frozen=True)
class Account:
    """What was done.

    Attributes:
      rows: of the output.
      before: those of them that an earlier start had answered.
      left_out: bad rows of the input.
      seconds: that this start took to answer, loading aside.
      form: how the input was read, for the user.
      renamed: columns of answers whose names the input had already.
    """

    rows: int
    before: int
    left_out: int
    seconds: float
    form: str
    renamed: dict[str, str]


def answer_file(
    job: Job,
    begins: Callable[[int], None] = lambda rows: None,
    progress: Progress = lambda done, total, rows: None,
) -> Account:
    """Makes the output of a job; goes on where an earlier start ended.

    Args:
      job: what to do.
      begins: called with the number of rows that are answered already.
      progress: called from time to time.

    Raises:
      UserError: see `Job`, `PartFile`, `RowStream` and `Asked`. What was
        answered before is kept.
    """
    names = RowFormat(job.output, False)
    model = job.model.load()
    rows = windows.open_rows(job.input, model, job.columns, job.reading)
    with contextlib.closing(rows):
        part = PartFile(job.output, job.made_with())
        state = part.state
        before = state.get("rows", 0)
        begins(before)
        start = time.perf_counter()
        if part.finished:
            names = RowFormat(job.output, False, state["names"])
        else:
            with contextlib.closing(part):
                names = _write(job, model, rows, part, progress)
                part.finish()
        seconds = time.perf_counter() - start
        state = part.state
    return Account(
        rows=state["rows"],
        before=before,
        left_out=state["left_out"],
        seconds=seconds,
        form=rows.form or "",
        renamed=names.renamed,
    )


def _write(job, model, rows, part: PartFile, progress: Progress) -> RowFormat:
    """Answers the rows that are left."""
    done = part.state.get("rows", 0)
    left = windows.windows(
        rows, model.choices_column(job.columns), job.batch_size
    )
    left = _behind(done, left, part)
    form = None
    try:
        with _answering(job, model) as answered:
            for window, answers in answered(left):
                if form is None:
                    names = part.state.get("names")
                    form = RowFormat(job.output, rows.plain, names)
                where = [f"{job.input}:{line}" for line in window.lines]
                data = form.lines(where, window.cells, answers)
                done += len(answers)
                state = {
                    "rows": done,
                    "left_out": window.left_out,
                    "input_sha256": window.digest,
                    "names": form.names,
                }
                part.add(data, state)
                progress(window.bytes_read, rows.total_bytes, done)
    except BaseException:
        # A disk that is full is told of already.
        with contextlib.suppress(UserError):
            part.keep()
        raise
    return form or RowFormat(job.output, rows.plain, part.state["names"])


def _behind(
    done: int, found: Iterator[Window], part: PartFile
) -> Iterator[Window]:
    """The windows behind the first `done` rows, which are to be the same."""
    count = 0
    digest = None
    for window in found:
        if count < done:
            count += len(window.lines)
            digest = window.digest
            if count < done:
                continue
            if count > done or digest != part.state["input_sha256"]:
                raise part.unusable_input(f"its first {done:,} rows differ")
        else:
            yield window
    if count < done:
        raise part.unusable_input(
            f"it has {count:,} rows, not {done:,} or more"
        )


@contextlib.contextmanager
def _answering(job: Job, model: Asked):
    """Yields a function: windows -> (window, its answers), in order."""
    sent: collections.deque = collections.deque()

    def sending(found: Iterator[Window]) -> Iterator[Window]:
        for window in found:
            sent.append(window)
            # A process needs no other columns than those that it asks about.
            yield dataclasses.replace(window, cells=[])

    def with_windows(results: Iterator[list[dict]]):
        for answers in results:
            yield sent.popleft(), answers

    if job.workers == 1:
        stopped = threading.Event()
        pool = concurrent.futures.ThreadPoolExecutor(1)

        def answer(window: Window) -> list[dict]:
            return windows.answers(
                model, window, job.batch_size, job.input, stopped.is_set
            )

        try:
            yield lambda found: with_windows(
                worker_processes.in_order(pool, answer, sending(found), 2)
            )
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)
        return
    threads = max(1, worker_processes.cores() // job.workers)
    work = worker_processes.Work(
        _answer_here,
        _start_worker,
        (job, threads),
        option="--workers",
        died="Give the same command again: it goes on from there.",
    )
    with worker_processes.working(work, job.workers) as results_of:
        yield lambda found: with_windows(results_of(sending(found)))


# In a worker process: what it is to do, and the model that it asks.
_here: list = []


def _start_worker(job: Job, threads: int) -> None:
    # Ctrl-C reaches all processes; the first one ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for kind in ("INTRAOP", "INTEROP"):
        os.environ.setdefault(f"TF_NUM_{kind}_THREADS", str(threads))
    _here[:] = job, job.model.load()


def _answer_here(window: Window) -> list[dict]:
    job, model = _here
    return windows.answers(model, window, job.batch_size, job.input)
