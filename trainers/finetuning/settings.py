"""The settings of fine-tuning, and how blanks in them are filled."""

import dataclasses
import math
from typing import TYPE_CHECKING, Literal

from tfbert.config import BertConfig
from tfbert.errors import UserError
from trainers.finetuning.kinds.by_name import KINDS
from trainers.finetuning.kinds.kind import Kind
from trainers.settings.ranges import check_ranges
from trainers.settings.sections import (
    ModelSettings,
    OptimizationSettings,
    RuntimeSettings,
    dry_run_setting,
)

if TYPE_CHECKING:
    from trainers.distributed.strategies import Distribution


DEFAULT_LENGTH = 128


@dataclasses.dataclass
class FinetuningModel(ModelSettings):
    """The encoder: from a run, or of some shape with random weights.

    Args:
      preset: tiny, mini, small, medium, base or large, for random weights.
      init_from: a pretraining run, or a Hugging Face folder, keras-hub
        preset, or checkpoint of google-research/bert or Model Garden, for
        its weights, its shape and its vocabulary.
      hidden_dropout_prob: dropout of embeddings and block outputs, and
        before the classifier.
      attention_probs_dropout_prob: dropout of attention probabilities.
      freeze: what does not learn: embeddings; a number of the lowest blocks,
        with the embeddings; encoder: all blocks; null: all learns.
    """

    preset: (
        Literal["tiny", "mini", "small", "medium", "base", "large"] | None
    ) = None
    freeze: Literal["embeddings", "encoder"] | int | None = None

    def encoder_config(self, vocab_size: int) -> BertConfig:
        """The encoder's configuration.

        Raises:
          UserError: neither or both of preset and init_from, or a shape that
            differs from that of init_from.
        """
        if (self.init_from is None) == (self.preset is None):
            raise UserError(
                "wanted either model.init_from (a pretraining run, for its "
                "weights) or model.preset (random weights of that size), got "
                + ("neither" if self.preset is None else "both")
            )
        if self.init_from is None:
            return self.bert_config(vocab_size)
        # Imported here: a parser needs no converters.
        from tfbert.converters import sources
        from tfbert.weights import resizing

        config = resizing.changed_config(
            sources.read_config(self.init_from), self.changes(), self.init_from
        )
        known = config.vocab_size
        if known > vocab_size and sources.has_tokenizer(self.init_from):
            # A table of more rows than tokens is padded; when the weights are
            # read those behind are left out.
            known = sources.read_tokenizer(self.init_from).vocab_size
        if known != vocab_size:
            raise UserError(
                f"the encoder in {self.init_from} knows {known} "
                f"tokens, the tokenizer {vocab_size}; leave data.tokenizer "
                "out to take the one of model.init_from"
            )
        return dataclasses.replace(config, vocab_size=vocab_size)


@dataclasses.dataclass
class FinetuningData:
    """Labelled files, and how they are read.

    Args:
      train: file to learn from.
      validation: file that chooses the best step; null: the last step is
        taken.
      test: file that the best weights are measured on after training; null:
        none (`tfbert evaluate` can do it later).
      text_columns: the column of the sentence, or the two columns of a pair;
        numbers from 0 where a file has no header, such as 0,3.
      label_column: the column of the label, name or number; multiple_choice:
        the right choice, a number from 0 or a letter from A.
      label_separator: multi_label: what stands between a cell's labels.
      question_column: multiple_choice: the column of the question.
      choice_columns: multiple_choice: the column of a JSON list of choices,
        or one column for each choice.
      form: embedding: pairs, triples, scored, or texts; null: by the columns.
      objective: embedding: in_batch (pairs, triples, texts), cosent or cosine
        (scored); null: the first of these that fits.
      temperature: embedding: what cosines are divided by.
      pooling: embedding: mean, cls or max of the tokens' vectors.
      dimensions: embedding: the first so many dimensions learn to be vectors
        by themselves, such as [64, 128].
      max_length: tokens of a row; null: 128, or what the encoder can take
        where that is less.
      long_texts: texts that are longer than a row: windows (read whole, in
        rows that overlap, for one answer), head (their first tokens) or
        head_tail (the first quarter of a row, and the last three of theirs);
        null: windows where a training text is longer.
      window_overlap: tokens that neighbouring windows share, at most; null:
        an eighth of max_length.
      window_pooling: how windows become an answer: mean_vectors, mean_logits,
        max_logits, or attention, which is learnt; null: mean_vectors.
      max_windows: how many windows of a text are read, the first ones; null:
        128.
      tokenizer: folder with vocab.txt and tokenizer_config.json (records or
        a run); null: that of model.init_from.
      metric: figure of the validation that chooses the best weights, the
        higher the better; null: the task's own (see docs/finetuning.md).
      window_stride: question answering: tokens between the starts of two
        windows over a context; null: a third of max_length.
      max_question_length: question answering: most tokens of a question.
      max_answer_length: question answering: most tokens of an answer.
      answer_unit: question answering: what F1 counts, word or (for Chinese)
        character.
      skip_misplaced_answers: question answering: leave answers out, and count
        them, that are not in their context at their offset.
      token_column: token and role labelling: the word's column, from 0; in
        .jsonl files the key of the words (tokens, if a number is given).
      tag_column: token labelling: the tag's column; negative: from the last;
        in .jsonl files the key of the tags (tags, if a number is given).
      separator: what is between columns: tab, comma, semicolon, pipe, or a
        character; null: found by looking. Token labelling: whitespace (null)
        or tab.
      header: whether the first line names the columns; null: found by looking.
      quoting: csv (cells may be in quotation marks, RFC 4180), or none
        (quotation marks are text); null: found by looking.
      bad_rows: a row with too few or too many cells, or without text: error;
        or skip, which leaves it out and counts it.
      tag_scheme: token labelling: IO, IOB1, IOB2 (BIO), BIOES, or plain (no
        spans); null: what the tags look like.
      predicate_column: role labelling: the column that is "-" where a word
        is no predicate.
      first_role_column: role labelling: the first predicate's column of
        bracketed spans; one follows for each further predicate.
      find_predicates: role labelling: also learn to find predicates.
      split_words: token and role labelling: split words further, at
        punctuation and between ideographs, as raw text is when it is served.
    """

    train: str | None = None
    validation: str | None = None
    test: str | None = None
    text_columns: list[int | str] = dataclasses.field(
        default_factory=lambda: ["text"]
    )
    label_column: int | str = "label"
    label_separator: str = ","
    question_column: int | str = "question"
    choice_columns: list[int | str] = dataclasses.field(
        default_factory=lambda: ["choices"]
    )
    form: Literal["pairs", "triples", "scored", "texts"] | None = None
    objective: Literal["in_batch", "cosent", "cosine"] | None = None
    temperature: float = 0.05
    pooling: Literal["mean", "cls", "max"] = "mean"
    dimensions: list[int] = dataclasses.field(default_factory=list)
    max_length: int | None = None
    long_texts: Literal["windows", "head", "head_tail"] | None = None
    window_overlap: int | None = None
    window_pooling: (
        Literal["mean_vectors", "mean_logits", "max_logits", "attention"] | None
    ) = None
    max_windows: int | None = None
    tokenizer: str | None = None
    metric: str | None = None
    window_stride: int | None = None
    max_question_length: int = 64
    max_answer_length: int = 30
    answer_unit: Literal["word", "character"] = "word"
    skip_misplaced_answers: bool = False
    token_column: int | str = 0
    tag_column: int | str = -1
    separator: str | None = None
    header: bool | None = None
    quoting: Literal["csv", "none"] | None = None
    bad_rows: Literal["error", "skip"] = "error"
    tag_scheme: str | None = None
    predicate_column: int = 1
    first_role_column: int = 2
    find_predicates: bool = True
    split_words: bool = False

    def __post_init__(self):
        # Columns are names; where there is no header, "0", "1" and so on.
        for name in ("text_columns", "choice_columns"):
            setattr(self, name, list(map(str, getattr(self, name))))
        for name in ("label_column", "question_column"):
            setattr(self, name, str(getattr(self, name)))


@dataclasses.dataclass
class FinetuningOptimization(OptimizationSettings):
    """How weights are updated.

    Args:
      batch_size: examples in a global batch, over all replicas.
      epochs: how often each example is seen, if steps is null.
      steps: updates in all; null: from epochs.
      warmup_steps: steps of linear warm-up; null: as warmup_share says.
      warmup_share: warm-up as a share of all steps.
      class_weights: how much the examples of a class count in the loss of
        classification: balanced, or a number by label; null: all the same.
    """

    batch_size: int = 32
    epochs: float = 3.0
    steps: int | None = None
    learning_rate: float = 5e-5
    warmup_steps: int | None = None
    warmup_share: float = 0.1
    class_weights: Literal["balanced"] | dict[str, float] | None = None


@dataclasses.dataclass
class FinetuningRuntime(RuntimeSettings):
    """Where and how it runs; must not change the result.

    Args:
      run_dir: folder of the run; on a cluster all workers must see it.
      evaluate_every: steps between evaluations on validation data; null: an
        epoch.
      checkpoint_every: steps between checkpoints; null: an epoch.
      keep_checkpoints: how many of the newest checkpoints stay, beside the
        best weights.
      keep_best: how many more checkpoints stay, those with the lowest
        validation loss.
      early_stopping: evaluations without better weights, by data.metric,
        after which the run ends; null: it goes on to its last step.
      skip_padding: compute the tokens of the examples alone, and not what
        fills their rows up; null: unless on a TPU, where that was never
        measured.
    """

    run_dir: str = "runs/finetune"
    evaluate_every: int | None = None
    checkpoint_every: int | None = None
    keep_checkpoints: int = 1
    keep_best: int = 0
    early_stopping: int | None = None
    skip_padding: bool | None = None


@dataclasses.dataclass
class FinetuningSettings:
    """All settings of a fine-tuning run."""

    model: FinetuningModel
    data: FinetuningData
    optimization: FinetuningOptimization
    runtime: FinetuningRuntime
    task: str = dataclasses.field(
        default="classification",
        metadata={"help": f"what is learnt: {', '.join(KINDS)}"},
    )
    seed: int = dataclasses.field(
        default=0,
        metadata={"help": "of new weights, order and dropout"},
    )
    seeds: int = dataclasses.field(
        default=1,
        metadata={
            "help": "repeat with this many seeds, from `seed` on, each in "
            "RUN_DIR/seed-N, and print mean and spread"
        },
    )
    sweep: str | None = dataclasses.field(
        default=None,
        metadata={
            "help": "run every combination of settings, such as "
            "'optimization.learning_rate=[1e-5, 3e-5]; "
            "optimization.batch_size=[16, 32]', each in a folder in RUN_DIR, "
            "and choose the best by validation"
        },
    )
    dry_run: bool = dry_run_setting()


def with_length(data: FinetuningData, model: FinetuningModel) -> FinetuningData:
    """The data with a max_length, which fits the encoder if it was null."""
    if data.max_length is not None:
        return data
    most = model.max_position_embeddings
    if most is None and model.init_from is not None:
        from tfbert.converters import sources

        most = sources.read_config(model.init_from).max_position_embeddings
    length = min(DEFAULT_LENGTH, most or DEFAULT_LENGTH)
    return dataclasses.replace(data, max_length=length)


def check_kind(
    kind: Kind, settings: FinetuningSettings, config: BertConfig
) -> None:
    """Refuses lengths, metrics and the like that do not fit.

    Raises:
      UserError: the encoder cannot take sequences of data.max_length, the
        kind has no such data.metric, or cannot learn with other settings.
    """
    data = settings.data
    least, most = kind.least_length(), config.max_position_embeddings
    length = kind.max_length
    if not least <= length <= most:
        cure = (
            f"; give --data.max_length {most}, or --model."
            f"max_position_embeddings {length}, which lengthens the "
            "encoder's table"
        )
        raise UserError(
            f"wanted data.max_length from {least} to {most} (the encoder's "
            f"max_position_embeddings), got {length}"
            + (cure if length > most else "")
        )
    if data.metric is not None and data.metric not in kind.measured:
        raise UserError(
            f"wanted data.metric of {', '.join(kind.measured)} for "
            f"{kind.name} with {kind.describe()}, got {data.metric!r}"
        )
    kind.check_settings(config, settings)


def with_padding(
    runtime: FinetuningRuntime, distribution: "Distribution"
) -> FinetuningRuntime:
    """The same with `skip_padding` decided, if it was null."""
    if runtime.skip_padding is not None:
        return runtime
    return dataclasses.replace(runtime, skip_padding=distribution.kind != "tpu")


def resolve(
    settings: FinetuningSettings, num_examples: int
) -> FinetuningSettings:
    """Fills in steps, warm-up and intervals from the size of the data.

    Raises:
      UserError: epochs or batch size cannot be trained with.
    """
    optimization, runtime = settings.optimization, settings.runtime
    check_ranges(settings)
    epoch = num_examples / optimization.batch_size
    steps = optimization.steps
    if steps is None:
        steps = max(math.ceil(epoch * optimization.epochs), 1)
    warmup = optimization.warmup_steps
    if warmup is None:
        warmup = round(optimization.warmup_share * steps)
    every = min(max(math.ceil(epoch), 1), steps)
    return dataclasses.replace(
        settings,
        optimization=dataclasses.replace(
            optimization, steps=steps, warmup_steps=warmup
        ),
        runtime=dataclasses.replace(
            runtime,
            evaluate_every=runtime.evaluate_every or every,
            checkpoint_every=runtime.checkpoint_every or every,
        ),
    )
