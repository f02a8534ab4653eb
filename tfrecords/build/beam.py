"""The builder as a pipeline of Apache Beam, for text beyond one machine.

    files -> documents -> digests -> plan (one worker)
                   \\-> documents with their chunk -> chunks -> rows

Workers read, tokenize and make rows; each chunk's rows go to a file of their
own in a folder that all machines see, and the builder puts them together. The
plan is the local builder's, so the result is the same folder, byte for byte.
"""

import dataclasses
import io
import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfbert.errors import UserError
from tfbert.files import write_file
from tfrecords.build import near_copies
from tfrecords.build.chunks import Chunk, ChunkRows, RowMaker, make_chunk
from tfrecords.build.plan import Plan
from tfrecords.build.rows import Rows
from tfrecords.text import corpus, files, remote

try:
    import apache_beam
except ImportError:
    apache_beam = None

_PARTS = "parts"
_PLAN = "plan.json"

# An object's base class, where Beam is missing.
_DoFn = apache_beam.DoFn if apache_beam else object

_DOCUMENT, _REJECT, _SOURCE, _MISTAKE = (
    "document",
    "reject",
    "source",
    "mistake",
)


def run(settings, paths: list[str], folder: Path, build) -> list[files.Source]:
    """Makes the rows of all text and hands them to the builder.

    Args:
      settings: `BuildSettings`.
      paths: of the text.
      folder: where the records are being written; seen by all workers.
      build: takes rejected documents, and chunks in the plan's order.

    Returns:
      The account of the files.

    Raises:
      UserError: Beam is missing or its options are wrong, or the text is not
        as it must be.
    """
    if apache_beam is None:
        raise UserError(
            "--runner beam needs Apache Beam: pip install 'tfbert[beam]'."
        )
    if files.STDIN in paths:
        raise UserError("--runner beam reads files, not the standard input.")
    # Workers may have another working directory.
    paths = [
        (path, path if remote.is_remote(path) else os.path.abspath(path))
        for path in paths
    ]
    parts = folder.absolute() / _PARTS
    parts.mkdir()
    with apache_beam.Pipeline(options=_options(settings)) as pipeline:
        _add_steps(pipeline, settings, build.recipe, paths, parts)
    plan = json.loads((parts / _PLAN).read_text(encoding="utf-8"))
    if plan["mistakes"]:
        raise UserError(plan["mistakes"][0])
    for reason, file, line in plan["rejected"]:
        build.reject(reason, file, line)
    for split, number in plan["chunks"]:
        path = _part(parts, split, number)
        build.take(_read_part(path, split, number))
        path.unlink()
    (parts / _PLAN).unlink()
    for left in parts.iterdir():  # Of attempts that were given up.
        left.unlink()
    parts.rmdir()
    return [files.Source(**source) for source in plan["sources"]]


def _options(settings):
    from apache_beam.options.pipeline_options import PipelineOptions

    words = shlex.split(settings.beam_options)
    try:
        options = PipelineOptions(words)
        options.get_all_options(drop_default=True)
    except SystemExit:
        raise UserError(
            f"beam_options {settings.beam_options!r}: Apache Beam does not "
            "understand them."
        ) from None
    return options


def _add_steps(pipeline, settings, recipe, paths, parts: Path) -> None:
    """Adds the steps of the picture above."""
    numbered = [(number, *both) for number, both in enumerate(paths)]
    events = (
        pipeline
        | "files" >> apache_beam.Create(numbered)
        | "spread" >> apache_beam.Reshuffle()
        | "read" >> apache_beam.ParDo(_Read(settings.reading))
    )
    plan = (
        events
        | "digest" >> apache_beam.ParDo(_Digest(bool(settings.near_duplicates)))
        | "all" >> apache_beam.Map(lambda event: (None, event))
        | "gather" >> apache_beam.GroupByKey()
        | "plan"
        >> apache_beam.ParDo(
            _MakePlan(
                settings.held_out,
                settings.keep_duplicates,
                settings.near_duplicates,
                settings.objective,
                str(parts / _PLAN),
            )
        )
    )
    _ = (
        events
        | "place"
        >> apache_beam.ParDo(_Place(), apache_beam.pvalue.AsDict(plan))
        | "chunk" >> apache_beam.GroupByKey()
        | "rows" >> apache_beam.ParDo(_MakeRows(recipe, str(parts)))
    )


class _Read(_DoFn):
    """(file number, its name, its path) -> (file number, place, kind, what).

    Places count what comes of a file, in its order.
    """

    def __init__(self, reading: corpus.Reading):
        self._reading = reading

    def process(self, element) -> Iterator[tuple]:
        number, name, path = element
        rejected: list[tuple] = []
        place = 0
        text = corpus.Corpus(
            [path], self._reading, lambda *what: rejected.append(what)
        )
        try:
            for document in text:
                for reason, _, line in rejected:
                    yield number, place, _REJECT, (reason, name, line)
                    place += 1
                rejected.clear()
                document = dataclasses.replace(document, file=name)
                yield number, place, _DOCUMENT, document
                place += 1
        except UserError as error:
            # Told by the builder: an exception here would be tried again,
            # and end as a traceback.
            message = str(error).replace(path, name)
            yield number, place, _MISTAKE, message
            return
        for reason, _, line in rejected:
            yield number, place, _REJECT, (reason, name, line)
            place += 1
        source = dataclasses.replace(text.sources[0], file=name)
        yield number, place, _SOURCE, dataclasses.asdict(source)


class _Digest(_DoFn):
    """The same events, with what the plan needs in a document's place."""

    def __init__(self, signs: bool):
        self._signs = signs

    def process(self, element) -> Iterator[tuple]:
        number, place, kind, what = element
        if kind == _DOCUMENT:
            signature = b""
            if self._signs:
                row = near_copies.signatures([what.text])[0]
                signature = row.tobytes()
            what = (
                what.digests(),
                len(what.text),
                what.part,
                (what.file, what.line),
                signature,
            )
        yield number, place, kind, what


class _MakePlan(_DoFn):
    """All events -> (file number, {place: (split, chunk)}), and plan.json."""

    def __init__(
        self, held_out, keep_duplicates, threshold, objective, path: str
    ):
        self._how = held_out, keep_duplicates
        self._threshold = threshold
        self._objective = objective
        self._path = path

    def process(self, element) -> Iterator[tuple[int, dict]]:
        _, events = element
        events = sorted(events, key=lambda event: event[:2])
        plan = Plan(*self._how, self._near(events), self._objective)
        placed: dict[int, dict] = {}
        told: dict[str, list] = {
            name: [] for name in ("rejected", "chunks", "sources", "mistakes")
        }
        opened: dict[tuple, bool] = {}
        for number, place, kind, what in events:
            if kind == _REJECT:
                told["rejected"].append(what)
            elif kind == _SOURCE:
                told["sources"].append(what)
            elif kind == _MISTAKE:
                told["mistakes"].append(what)
            else:
                digests, size, part, where, _ = what
                found = plan.place(digests, size, part, where)
                if found.reason:
                    told["rejected"].append((found.reason, *where))
                    continue
                chunk = (found.split, found.number)
                placed.setdefault(number, {})[place] = chunk
                opened[chunk] = True
                if found.full:
                    told["chunks"].append(chunk)
                    del opened[chunk]
        try:
            plan.check()
        except UserError as error:
            told["mistakes"].append(str(error))
        # The last chunk of each split is not full; training comes first.
        told["chunks"] += sorted(opened, reverse=True)
        text = json.dumps(told, ensure_ascii=False)
        Path(self._path).write_text(text, encoding="utf-8")
        if not told["mistakes"]:
            yield from placed.items()

    def _near(self, events) -> set[int]:
        if not self._threshold:
            return set()
        entries = np.array(
            [
                (what[0][1], what[1], np.frombuffer(what[4], np.uint16))
                for _, _, kind, what in events
                if kind == _DOCUMENT
            ],
            near_copies.ENTRY,
        )
        return near_copies.superfluous(entries, self._threshold)


class _Place(_DoFn):
    """Documents that are kept -> (chunk, (file number, place, document))."""

    def process(
        self, element, plan: dict
    ) -> Iterator[tuple[tuple[str, int], tuple]]:
        number, place, kind, document = element
        chunk = plan.get(number, {}).get(place)
        if kind == _DOCUMENT and chunk is not None:
            yield tuple(chunk), (number, place, document)


class _MakeRows(_DoFn):
    """A chunk's documents -> a file of its rows."""

    def __init__(self, recipe, parts: str):
        self._recipe = recipe
        self._parts = Path(parts)
        self._make = None

    def setup(self) -> None:
        self._make = RowMaker(self._recipe)

    def process(self, element) -> None:
        (split, number), documents = element
        documents = sorted(documents, key=lambda entry: entry[:2])
        chunk = make_chunk(split, number, [entry[2] for entry in documents])
        _write_part(_part(self._parts, split, number), self._make(chunk))


def _part(parts: Path, split: str, number: int) -> Path:
    return parts / f"{split}-{number:08d}.npz"


def _write_part(path: Path, result: ChunkRows) -> None:
    """Writes a chunk's rows; a second attempt writes the same."""
    made = result.rows
    places = json.dumps(result.chunk.places).encode()
    stream = io.BytesIO()
    some = {} if made.documents is None else {"documents": made.documents}
    np.savez(
        stream,
        **some,
        values=made.values,
        lengths=result.lengths,
        counts=[made.sequences, made.tokens, result.unknown, result.text_bytes],
        places=np.frombuffer(places, np.uint8),
    )
    write_file(path, stream.getvalue())


def _read_part(path: Path, split: str, number: int) -> ChunkRows:
    with np.load(path, allow_pickle=False) as part:
        sequences, tokens, unknown, text_bytes = part["counts"].tolist()
        places = [tuple(p) for p in json.loads(part["places"].tobytes())]
        return ChunkRows(
            chunk=Chunk(split, number, [], places),
            rows=Rows(part["values"], sequences, tokens, part.get("documents")),
            lengths=part["lengths"],
            unknown=unknown,
            text_bytes=text_bytes,
        )
