"""Text files -> a folder of records, over many processes.

The builder reads documents, drops copies, decides who is held out, and hands
chunks of documents to workers that tokenize them and make rows; it writes
what comes back in the order in which it was handed out. What is written
depends on the text and the settings alone, not on the number of processes.
"""

import collections
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tfbert.errors import UserError
from tfrecords import corpus, files, near_duplicates, spec, workers
from tfrecords.manifest import Manifest
from tfrecords.plan import HELD_OUT, TRAIN, Plan
from tfrecords.shards import staged_folder
from tfrecords.split import Split
from tfrecords.tokenizing import Chunk, ChunkRows, Chunks, Recipe

# Who runs a build.
LOCAL, BEAM = RUNNERS = ("local", "beam")

# The shortest row worth having, and the longest that 16 bits of masking's
# place numbers are meant for.
MIN_LENGTH, MAX_LENGTH = 8, 8192

# (bytes read, bytes in all, documents, rows) so far.
Progress = Callable[[int, int, int, int], None]


@dataclasses.dataclass(frozen=True)
class BuildSettings:
    """What records are made of.

    Attributes:
      input: paths, folders and patterns of text files; see `corpus`.
      vocab: path of vocab.txt.
      output: the folder to make.
      max_length: S, tokens of a row.
      lowercase: the tokenizer's setting: no capitals, no accents.
      held_out: the share of documents that goes to OUTPUT/held_out.
      objective: one of `spec.OBJECTIVES`.
      packing: let short documents share rows.
      documents, text_field, on_bad_text: see `corpus.Reading`.
      keep_duplicates: keep documents that are copies of earlier ones.
      near_duplicates: leave out documents that are as alike as this, from 0
        to 1, to others; see `near_duplicates`. 0 keeps them.
      shard_rows: rows of a file, about.
      processes: workers; 0 is one for each core, as far as there is text to
        keep them busy. Does not change the result.
      seed: of sentence pairs; kept in the manifest.
      runner: "local", or "beam" for a pipeline of Apache Beam; see `beam`.
      beam_options: of the pipeline, as on a command line.
    """

    input: list[str]
    vocab: str
    output: str
    max_length: int = 128
    lowercase: bool = True
    held_out: float = 0.0
    objective: str = spec.MASKED_LM
    packing: bool = True
    documents: str = "blank_line"
    text_field: str = "text"
    on_bad_text: str = "error"
    keep_duplicates: bool = False
    near_duplicates: float = 0.0
    shard_rows: int = 65536
    processes: int = 0
    seed: int = 0
    runner: str = LOCAL
    beam_options: str = ""

    def __post_init__(self):
        """Raises UserError for settings that cannot be."""
        if not MIN_LENGTH <= self.max_length <= MAX_LENGTH:
            raise UserError(
                f"max_length {self.max_length}: wanted {MIN_LENGTH} to "
                f"{MAX_LENGTH} tokens."
            )
        if not 0 <= self.held_out < 1:
            raise UserError(
                f"held_out {self.held_out}: wanted a share of the documents, "
                "from 0 to less than 1."
            )
        if self.objective not in spec.OBJECTIVES:
            raise UserError(
                f"objective {self.objective!r}: wanted one of "
                f"{spec.OBJECTIVES}."
            )
        self._check_near_duplicates()
        if self.runner not in RUNNERS:
            raise UserError(f"runner {self.runner!r}: wanted one of {RUNNERS}.")
        if self.beam_options and self.runner != BEAM:
            raise UserError("beam_options are only for --runner beam.")
        self.reading  # noqa: B018 (raises for a choice that there is not)
        if self.shard_rows < 1 or self.processes < 0:
            raise UserError(
                f"shard_rows {self.shard_rows}, processes {self.processes}: "
                "wanted at least 1 row, and 0 processes (one for each core) "
                "or more."
            )

    def _check_near_duplicates(self) -> None:
        if not 0 <= self.near_duplicates <= 1:
            raise UserError(
                f"near_duplicates {self.near_duplicates}: wanted 0 (keep "
                "them), or how alike two documents are at least, up to 1."
            )
        if not self.near_duplicates:
            return
        if self.keep_duplicates:
            raise UserError(
                "keep_duplicates and near_duplicates: give one of the two."
            )
        if files.STDIN in self.input:
            raise UserError(
                "near_duplicates needs to read the text twice, and the "
                "standard input can be read only once. Put it into a file."
            )

    @property
    def reading(self) -> corpus.Reading:
        """How the text is read."""
        return corpus.Reading(self.documents, self.text_field, self.on_bad_text)

    @property
    def packed(self) -> bool:
        """Whether rows may hold several sequences; pairs never share."""
        return self.packing and self.objective == spec.MASKED_LM

    @property
    def recipe(self) -> Recipe:
        """The part that workers need."""
        return Recipe(
            self.vocab,
            self.lowercase,
            self.max_length,
            self.objective,
            self.packed,
            self.seed,
        )


def build_records(
    settings: BuildSettings, progress: Progress | None = None
) -> dict[str, Manifest]:
    """Makes OUTPUT, and OUTPUT/held_out if documents are held out.

    Args:
      settings: what to make.
      progress: called from time to time.

    Returns:
      {"train": manifest} and "held_out" if there is one.

    Raises:
      UserError: text, vocabulary or output are not as they must be. Nothing
        is left behind.
    """
    # The tokenizer checks the vocabulary, before any text is read.
    from tfbert.tokenization import Tokenizer

    paths = files.find_files(settings.input)
    tokenizer = Tokenizer(settings.vocab, lowercase=settings.lowercase)
    try:
        with staged_folder(settings.output) as folder:
            return _build(settings, tokenizer, folder, paths, progress)
    except OSError as error:
        # Files of text that cannot be read are told of by the reader.
        raise UserError(
            f"{settings.output} cannot be written: {error.strerror or error}. "
            "Nothing was left there; make room, or name another --output."
        ) from None


def _build(settings, tokenizer, folder, paths, progress):
    build = _Build(settings, tokenizer, folder)
    if settings.runner == BEAM:
        from tfrecords import beam

        return build.finish(beam.run(settings, paths, folder, build))
    text = corpus.Corpus(paths, settings.reading, build.reject)
    processes = settings.processes or workers.enough(text)
    with workers.workers(settings.recipe, processes) as results_of:
        for result in results_of(build.chunks(text, progress)):
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

    entries = near_duplicates.table(texts())
    return near_duplicates.superfluous(entries, settings.near_duplicates)


class _Build:
    """The builder's own part: everything but making rows."""

    def __init__(self, settings: BuildSettings, tokenizer, folder: Path):
        self._settings = settings
        self._rejected: collections.Counter = collections.Counter()
        # Told of at the end: when a chunk comes back depends on the workers.
        self._left_out: list[tuple[str, str, int]] = []
        self._log = open(folder / spec.REJECTED_FILE, "w", encoding="utf-8")
        self._splits = {TRAIN: Split(settings, tokenizer, folder)}
        if settings.held_out:
            below = folder / spec.HELD_OUT_FOLDER
            below.mkdir()
            self._splits[HELD_OUT] = Split(settings, tokenizer, below)

    @property
    def documents(self) -> int:
        return sum(split.documents for split in self._splits.values())

    @property
    def rows(self) -> int:
        return sum(split.rows for split in self._splits.values())

    def reject(self, reason: str, file: str, line: int) -> None:
        """Counts a line or document that is left out, and writes it down."""
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
        pairs = self._settings.objective != spec.MASKED_LM
        for place, length in zip(
            result.chunk.places, result.lengths.tolist(), strict=True
        ):
            if not length:
                self._left_out.append(("no_tokens", *place[:2]))
            elif pairs and length == 1:
                self._left_out.append(("one_token", *place[:2]))
        self._splits[result.chunk.split].take(result)

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
