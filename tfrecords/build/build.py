"""Text files -> a folder of records, over many processes.

The builder reads documents, drops copies, decides who is held out, and hands
chunks of documents to workers that tokenize them and make rows; it writes
what comes back in the order in which it was handed out. What is written
depends on the text and the settings alone, not on the number of processes.
"""

import collections
import dataclasses
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfbert.text.vocabulary_files import read_vocabulary
from tfrecords import layout
from tfrecords.build import near_copies, pool, resuming
from tfrecords.build.chunks import Chunk, ChunkRows, Chunks
from tfrecords.build.plan import HELD_OUT, TRAIN, Plan
from tfrecords.build.settings import BEAM, BuildSettings
from tfrecords.build.split import Split
from tfrecords.storage.manifest import Manifest
from tfrecords.storage.writer import (
    UNFINISHED_FILE,
    staged_folder,
    staging_of,
)
from tfrecords.text import corpus, files

_log = logging.getLogger(__name__)

# (bytes read, bytes in all, documents, rows) so far.
Progress = Callable[[int, int, int, int], None]


def build_records(
    settings: BuildSettings,
    progress: Progress | None = None,
    tokens: Sequence[str] | None = None,
) -> dict[str, Manifest]:
    """Makes OUTPUT, and OUTPUT/held_out if documents are held out.

    Args:
      settings: what to make.
      progress: called from time to time.
      tokens: the vocabulary; None reads `settings.vocab`.

    Returns:
      {"train": manifest} and "held_out" if there is one.

    Raises:
      UserError: text, vocabulary or output are not as they must be. Nothing
        is left behind.
    """
    left_out: list[tuple[str, str]] = []
    paths = files.find_files(
        settings.input, lambda *entry: left_out.append(entry)
    )
    if tokens is None:
        tokens = read_vocabulary(settings.vocab)
    try:
        can_go_on = resuming.can_go_on(settings, paths)
        with staged_folder(settings.output, can_go_on) as folder:
            unfinished = resuming.Unfinished(
                folder, resuming.made_with(settings, tokens), can_go_on
            )
            build = _Build(settings, tokens, folder, unfinished)
            for reason, path in left_out:
                build.reject(reason, path, 0)
            return _build(build, settings, folder, paths, progress)
    except OSError as error:
        # Files of text that cannot be read are told of by the reader.
        raise UserError(
            f"{settings.output} cannot be written: {error.strerror or error}. "
            f"{_left(settings)}; make room, or name another --output."
        ) from None


def is_kept(output: str) -> bool:
    """Whether the same build would go on with what is made so far."""
    return (staging_of(output) / UNFINISHED_FILE).is_file()


def _left(settings: BuildSettings) -> str:
    if is_kept(settings.output):
        return "The same command goes on from what was made"
    return "Nothing was left there"


def _build(build, settings, folder, paths, progress):
    if settings.runner == BEAM:
        from tfrecords.build import beam

        return build.finish(beam.run(settings, paths, folder, build))
    text = corpus.Corpus(paths, settings.reading, build.reject)
    processes = settings.processes or pool.enough(text)
    with pool.workers(build.recipe, processes) as results_of:
        chunks = build.unfinished.left(build.chunks(text, progress))
        for result in results_of(chunks):
            build.take(result)
            if progress:
                progress(
                    text.bytes_read,
                    text.total_bytes,
                    build.documents,
                    build.rows,
                )
    return build.finish(text.sources)


def _near_duplicates(settings, text: corpus.Corpus, progress) -> set[int]:
    """Reads all text once for the digests of near duplicates."""
    if not settings.near_duplicates:
        return set()
    text = text.again()

    def texts():
        for number, document in enumerate(text):
            yield document.digests()[1], document.text
            if progress:
                progress(text.bytes_read, text.total_bytes, number + 1, 0)

    entries = near_copies.table(texts())
    return near_copies.superfluous(entries, settings.near_duplicates)


class _Build:
    """The builder's own part: everything but making rows."""

    def __init__(
        self,
        settings: BuildSettings,
        tokens: Sequence[str],
        folder: Path,
        unfinished: resuming.Unfinished,
    ):
        self._settings = settings
        self.unfinished = unfinished
        # With the tokens themselves: the file may change, or be elsewhere.
        self.recipe = dataclasses.replace(
            settings.recipe, vocabulary=tuple(tokens)
        )
        self._rejected: collections.Counter = collections.Counter()
        # Told of at the end: when a chunk comes back depends on the workers.
        self._left_out: list[tuple[str, str, int]] = []
        self._log = open(folder / layout.REJECTED_FILE, "w", encoding="utf-8")
        self._splits = {TRAIN: Split(settings, tokens, folder)}
        if settings.held_out:
            below = folder / layout.HELD_OUT_FOLDER
            below.mkdir(exist_ok=True)
            self._splits[HELD_OUT] = Split(settings, tokens, below)
        if unfinished.state is not None:
            self._go_on(unfinished.state["build"], folder)

    def _go_on(self, state: dict, folder: Path) -> None:
        """Takes up what an earlier start has made."""
        try:
            for name, split in self._splits.items():
                split.go_on(state["splits"][name])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"{folder} holds what an earlier start of this build has "
                f"made, and not all of it is there ({error}). Remove it to "
                "build anew."
            ) from error
        self._left_out = [tuple(entry) for entry in state["left_out"]]
        _log.info(
            f"Going on with what an earlier start has made: "
            f"{self.documents:,} documents, {self.rows:,} rows."
        )

    def _state(self) -> dict:
        return {
            "splits": {n: split.state() for n, split in self._splits.items()},
            "left_out": self._left_out,
        }

    @property
    def documents(self) -> int:
        return sum(split.documents for split in self._splits.values())

    @property
    def rows(self) -> int:
        return sum(split.rows for split in self._splits.values())

    def reject(self, reason: str, file: str, line: int) -> None:
        """Counts what is left out, and writes it down.

        `line` is 0 for a file of a folder that is not read.
        """
        self._rejected[reason] += 1
        entry = {"reason": reason, "file": file, "line": line}
        self._log.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def chunks(self, text: corpus.Corpus, progress) -> Iterator[Chunk]:
        """The documents that are kept, gathered for the workers."""
        gathered = {name: Chunks(name) for name in self._splits}
        settings = self._settings
        near = _near_duplicates(settings, text, progress)
        plan = Plan(
            settings.held_out,
            settings.keep_duplicates,
            near,
            settings.objective,
        )
        for document in text:
            place = plan.place(
                document.digests(),
                len(document.text),
                document.part,
                (document.file, document.line),
            )
            if place.reason:
                self.reject(place.reason, document.file, document.line)
                continue
            gathered[place.split].add(document)
            if place.full:
                yield gathered[place.split].close()
        plan.check()
        for chunks in gathered.values():
            chunk = chunks.close()
            if chunk:
                yield chunk

    def take(self, result: ChunkRows) -> None:
        """Writes the rows of a chunk."""
        pairs = self._settings.objective != layout.MASKED_LM
        for place, length in zip(
            result.chunk.places, result.lengths.tolist(), strict=True
        ):
            if not length:
                self._left_out.append(("no_tokens", *place[:2]))
            elif pairs and length == 1:
                self._left_out.append(("one_token", *place[:2]))
        self._splits[result.chunk.split].take(result)
        self.unfinished.took(self._state)

    def finish(self, sources: list[files.Source]) -> dict[str, Manifest]:
        """Writes the manifests.

        Raises:
          UserError: no row came of all the text, or none was held out.
        """
        for entry in self._left_out:
            self.reject(*entry)
        self._log.close()
        if not self._splits[TRAIN].rows:
            raise UserError(
                f"no text in {self._settings.input}: {len(sources)} files, "
                f"{sum(s.bytes for s in sources)} bytes, "
                f"{sum(s.documents for s in sources)} documents, none of "
                f"which is left for training (rejected: "
                f"{dict(self._rejected) or 'nothing'}; held out: "
                f"{self.documents}). Give it text."
            )
        if HELD_OUT in self._splits and not self._splits[HELD_OUT].rows:
            raise UserError(
                f"held_out {self._settings.held_out}: none of the "
                f"{self.documents} documents falls to the held-out side. "
                "Raise the share, or give more documents."
            )
        rejected = dict(sorted(self._rejected.items()))
        account = [dataclasses.asdict(source) for source in sources]
        return {
            name: split.finish(name, rejected, account)
            for name, split in self._splits.items()
        }
