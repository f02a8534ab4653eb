"""The settings of a build of records."""

import dataclasses

from tfbert import numpy_scalars
from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.build.chunks import Recipe
from tfrecords.text import corpus, files, formats

# Who runs a build.
LOCAL, BEAM = RUNNERS = ("local", "beam")

# The shortest row worth having, and the longest that 16 bits of masking's
# place numbers are meant for.
MIN_LENGTH, MAX_LENGTH = 8, 8192


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
      documents, text_field, on_bad_text, format, max_line: see
        `corpus.Reading`.
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
    objective: str = layout.MASKED_LM
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
    format: str = formats.AUTO
    max_line: int = 16

    def __post_init__(self):
        """Raises UserError for settings that cannot be."""
        numpy_scalars.replace_in(self)
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
        if self.objective not in layout.OBJECTIVES:
            raise UserError(
                f"objective {self.objective!r}: wanted one of "
                f"{layout.OBJECTIVES}."
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
        return corpus.Reading(
            self.documents,
            self.text_field,
            self.on_bad_text,
            self.format,
            self.max_line,
        )

    @property
    def packed(self) -> bool:
        """Whether rows may hold several sequences; pairs never share."""
        return self.packing and self.objective == layout.MASKED_LM

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
