"""Typed settings: YAML files, command-line overrides, resolved copies.

Settings are split by what they may change. `model`, `data`, `optimization`
and `seed` change the result; `runtime` must not (beyond arithmetic's
rounding), so a run may be resumed with other runtime settings.
"""

import dataclasses
from pathlib import Path
from typing import Literal

import yaml

from tfbert import files
from tfbert.config import BertConfig
from tfbert.file_names import SETTINGS_FILE
from trainers.settings.parser import Parser
from trainers.settings.plan import BatchPlan


@dataclasses.dataclass
class ModelSettings:
    """The encoder: a preset, and fields of bert_config.json that replace it.

    Args:
      preset: tiny, mini, small, medium, base or large; null: base, or the
        shape of init_from.
      init_from: weights to start from: a run, a Hugging Face folder, a
        keras-hub preset, or a checkpoint of google-research/bert or Model
        Garden; null: random weights.
      hidden_size: width of a token's vector.
      num_hidden_layers: encoder blocks.
      num_attention_heads: heads of each block.
      intermediate_size: width inside the feed-forward layer.
      hidden_act: gelu (erf) or gelu_new (tanh).
      hidden_dropout_prob: dropout of embeddings and block outputs.
      attention_probs_dropout_prob: dropout of attention probabilities.
      max_position_embeddings: longest sequence.
      type_vocab_size: number of segment ids.
      initializer_range: standard deviation of the initial weights.
      layer_norm_eps: added to the variance in layer norms.
      position_embedding_type: learned or sinusoidal.
      norm_position: post (as in the paper) or pre.
    """

    preset: (
        Literal["tiny", "mini", "small", "medium", "base", "large"] | None
    ) = None
    init_from: str | None = None
    hidden_size: int | None = None
    num_hidden_layers: int | None = None
    num_attention_heads: int | None = None
    intermediate_size: int | None = None
    hidden_act: str | None = None
    hidden_dropout_prob: float | None = None
    attention_probs_dropout_prob: float | None = None
    max_position_embeddings: int | None = None
    type_vocab_size: int | None = None
    initializer_range: float | None = None
    layer_norm_eps: float | None = None
    position_embedding_type: Literal["learned", "sinusoidal"] | None = None
    norm_position: Literal["post", "pre"] | None = None

    def bert_config(self, vocab_size: int) -> BertConfig:
        """The encoder's configuration for a vocabulary of `vocab_size`.

        Raises:
          UserError: init_from has no encoder, or one of another shape.
        """
        changes = self.changes()
        if self.init_from is None:
            preset = self.preset or "base"
            return BertConfig.preset(preset, vocab_size=vocab_size, **changes)
        # Imported here: a parser needs no converters.
        from tfbert.converters import sources
        from tfbert.weights import resizing

        if self.preset is not None:
            named = BertConfig.preset(self.preset).to_dict()
            sizes = ("hidden_size", "num_hidden_layers", "intermediate_size")
            changes = {name: named[name] for name in sizes} | changes
        return resizing.changed_config(
            sources.read_config(self.init_from),
            {**changes, "vocab_size": vocab_size},
            self.init_from,
        )

    def changes(self) -> dict:
        """The fields of BertConfig that are given."""
        fields = {field.name for field in dataclasses.fields(BertConfig)}
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if value is not None and name in fields
        }


@dataclasses.dataclass
class OptimizationSettings:
    """How weights are updated.

    Args:
      batch_size: rows in a global batch, over all replicas and micro-batches.
      accumulation_steps: micro-batches that each replica cuts its share into;
        saves memory, does not change the update.
      steps: updates in all.
      learning_rate: peak, reached at the end of warm-up.
      warmup_steps: steps of linear warm-up; null: 100, or a tenth of all
        steps where that is less.
      warmup_share: warm-up as a share of all steps, in the place of
        warmup_steps.
      schedule: how the rate falls after warm-up, to reach its end at `steps`:
        linear, cosine, polynomial (square), inverse_sqrt, one_cycle, or
        stable_decay, which stays at the peak and falls in the end.
      decay_share: of stable_decay, the share of all steps in which the rate
        falls; null: 0.2.
      optimizer: adamw; for very large batches lamb, or nvlamb, which divides
        the gradient by its norm in the place of clipping; muon, for the
        matrices of the blocks, with adamw for the rest.
      layer_decay: factor between the learning rates of a layer and of the
        layer below it; 1: the same rate for all.
      weight_decay: decoupled decay; biases and layer norms are excluded.
      beta_1: decay of the first moment.
      beta_2: decay of the second moment.
      epsilon: added to the square root of the second moment.
      clip_norm: largest global norm of the gradient; null: no limit.
      average_decay: of a moving average of the weights, such as 0.999, which
        is then evaluated, exported and fine-tuned; null: none.
    """

    batch_size: int = 256
    accumulation_steps: int = 1
    steps: int = 1000
    learning_rate: float = 1e-4
    warmup_steps: int | None = None
    warmup_share: float | None = None
    schedule: Literal[
        "linear",
        "cosine",
        "polynomial",
        "inverse_sqrt",
        "one_cycle",
        "stable_decay",
    ] = "linear"
    decay_share: float | None = None
    optimizer: Literal["adamw", "lamb", "nvlamb", "muon"] = "adamw"
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    clip_norm: float | None = 1.0
    average_decay: float | None = None

    @property
    def batch_plan(self) -> BatchPlan:
        """The size of each batch."""
        return BatchPlan(self.batch_size)


@dataclasses.dataclass
class SpikeSettings:
    """Steps whose loss or gradient stands far above those before.

    Args:
      action: off; warn names step, batch and rows; stop ends the run;
        rollback goes back to the newest checkpoint and leaves out the batches
        up to and with the bad one.
      window: steps whose median says what is usual.
      threshold: deviations (1.4826 x median absolute deviation) above the
        median that make a spike.
    """

    action: Literal["off", "warn", "stop", "rollback"] = "warn"
    window: int = 64
    threshold: float = 8.0


@dataclasses.dataclass
class RuntimeSettings:
    """Where and how it runs; must not change the result.

    Args:
      run_dir: folder of the run; on a cluster all workers must see it.
      strategy: auto, one_device, mirrored, multi_worker (by TF_CONFIG or
        Slurm) or tpu.
      tpu: "local" on a TPU VM; or a TPU's name or address.
      devices: how many devices of this host to use; null: all. Without a
        GPU, this many logical CPUs.
      start_timeout: seconds to wait for the other workers at the start, and
        for what takes long later (first step, a batch of an evaluation,
        callbacks, checkpoint).
      stall_timeout: seconds without a sign of life, or in one step, after
        which a worker counts as stalled and the run ends; at least ten times
        the median step.
      precision: float32, or for mixed precision bfloat16, or float16 with a
        loss scale that adapts; auto: bfloat16 where the device multiplies
        faster in it, else float32.
      xla: compile forward and backward pass with XLA.
      deterministic: only operations that give the same bytes each time, also
        on a GPU, where the others are faster.
      recompute: keep one activation for each encoder block and compute the
        others again in the backward pass; less memory, a third more time.
      all_reduce_dtype: in which gradients travel between replicas.
      steps_per_loop: most steps between two looks of Python (progress,
        signals).
      evaluation_batch_size: rows of a batch in evaluations, over all replicas;
        null: those of one micro-batch of training on each.
      evaluate_every: steps between evaluations on held-out data.
      checkpoint_every: steps between checkpoints.
      keep_checkpoints: how many of the newest checkpoints stay.
      keep_best: how many more stay, those with the lowest validation loss.
      background_saving: write checkpoints beside the training, from a copy
        in the host's memory.
      on_save_error: when a checkpoint cannot be written, stop, or continue
        and try again at the next one.
      log_every: steps between rows of metrics.jsonl.
      log_gradient_norms: also log the gradient norm of the embeddings, of
        each block and of the heads.
      callbacks: classes of Keras callbacks, such as my.module.Class or
        trainers.watching.loggers.WandbLogger, one of each of which is made
        and told of all that happens.
      on_nan: at a gradient that is not finite, skip the update; stop; or
        rollback to the newest checkpoint and leave out the batches up to and
        with the bad one.
      max_skipped: steps in a row with a gradient that is not finite, or
        rollbacks to one checkpoint, after which the run stops.
      spike: what to do about sudden jumps of loss or gradient.
      allow_change: settings that may differ from those of the run that is
        resumed, such as optimization.steps.
    """

    run_dir: str = "runs/run"
    strategy: Literal[
        "auto", "one_device", "mirrored", "multi_worker", "tpu"
    ] = "auto"
    tpu: str | None = None
    devices: int | None = None
    start_timeout: float = 600.0
    stall_timeout: float = 300.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    xla: bool = False
    deterministic: bool = False
    recompute: bool = False
    all_reduce_dtype: Literal["float32", "bfloat16"] = "float32"
    steps_per_loop: int = 1
    evaluation_batch_size: int | None = None
    evaluate_every: int = 1000
    checkpoint_every: int = 1000
    keep_checkpoints: int = 3
    keep_best: int = 1
    background_saving: bool = True
    on_save_error: Literal["stop", "continue"] = "stop"
    log_every: int = 10
    log_gradient_norms: bool = False
    callbacks: list[str] = dataclasses.field(default_factory=list)
    on_nan: Literal["skip", "stop", "rollback"] = "skip"
    max_skipped: int = 10
    spike: SpikeSettings = dataclasses.field(default_factory=SpikeSettings)
    allow_change: list[str] = dataclasses.field(default_factory=list)

    @property
    def dtype(self) -> str:
        """The Keras dtype policy of the precision.

        Raises:
          ValueError: it is auto still; see `planning.precision.resolved`.
        """
        if self.precision == "auto":
            raise ValueError("wanted a precision, got auto; resolve it first")
        if self.precision == "float32":
            return "float32"
        return f"mixed_{self.precision}"


def dry_run_setting() -> bool:
    """The field `dry_run` of all settings of a run."""
    help = "show variables, memory, disk and predicted time; write nothing"
    return dataclasses.field(default=False, metadata={"help": help})


def add_settings(parser: Parser, settings_class: type) -> None:
    """Adds `--config FILE` and one option for each field of the settings.

    Args:
      settings_class: dataclass whose fields are section dataclasses or
        plain values.
    """
    parser.add_argument(
        "--config",
        action="config",
        help="YAML file with the settings below; later options win.",
    )
    for field in dataclasses.fields(settings_class):
        if dataclasses.is_dataclass(field.type):
            parser.add_class_arguments(field.type, field.name)
        elif field.type is bool:
            parser.add_argument(
                f"--{field.name}",
                action="store_true",
                help=field.metadata.get("help", ""),
            )
        else:
            parser.add_argument(
                f"--{field.name}",
                type=field.type,
                default=field.default,
                help=field.metadata.get("help", ""),
            )


def parse_settings(parser: Parser, settings_class: type, argv=None):
    """Returns the settings that files and options give, as dataclasses."""
    return instantiate(parser, parser.parse_args(argv), settings_class)


def instantiate(parser: Parser, namespace, settings_class: type):
    """Returns what a parser has found, as dataclasses."""
    objects = parser.instantiate(namespace)
    names = [field.name for field in dataclasses.fields(settings_class)]
    return settings_class(**{name: objects[name] for name in names})


def save_settings(settings, run_dir: str | Path) -> None:
    """Writes the resolved settings into the run's folder."""
    text = yaml.safe_dump(dataclasses.asdict(settings), sort_keys=False)
    files.write_file(Path(run_dir) / SETTINGS_FILE, text)
