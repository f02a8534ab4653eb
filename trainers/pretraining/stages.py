"""What each stage of a run reads: records, held-out records, masks.

A run without stages has one. Stages read records of several lengths rather
than one set of records that is cut while reading: rows are packed anew at
each length, so that no word and no sentence is cut where a long row was, and
records say by themselves what was trained on.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from tfbert.errors import UserError
from tfrecords.batches.batch import AnyRecords
from tfrecords.masking.masking import Masking
from trainers.pretraining import data as pretraining_data
from trainers.pretraining.data import DEFAULT_RECORDS, PretrainingData
from trainers.settings.plan import BatchPlan
from trainers.settings.stages import Stage, check_stages


@dataclasses.dataclass(frozen=True)
class StageData:
    """What one stage reads.

    Attributes:
      records: what is trained on.
      held_out: what is evaluated, if there is any.
      rate: the share of tokens to predict in this stage; None: as the data's
        settings say.
    """

    records: AnyRecords
    held_out: AnyRecords | None
    rate: float | None = None


@dataclasses.dataclass(frozen=True)
class RunRecords:
    """What a run reads, stage by stage.

    Attributes:
      stages: one, or one for each of optimization.stages.
    """

    stages: tuple[StageData, ...]

    @property
    def last(self) -> AnyRecords:
        """What is trained on in the end."""
        return self.stages[-1].records

    @property
    def longest(self) -> int:
        """Tokens of the longest rows."""
        return max(stage.records.sequence_length for stage in self.stages)

    @property
    def all(self) -> list[AnyRecords]:
        """The records that are trained on, each once."""
        return list({id(s.records): s.records for s in self.stages}.values())

    @property
    def opened(self) -> list[AnyRecords]:
        """All records, the held-out ones too, each once."""
        held_out = (s.held_out for s in self.stages if s.held_out is not None)
        every = [*self.all, *held_out]
        return list({id(records): records for records in every}.values())

    def stage_of(self, plan: BatchPlan, batch: int) -> StageData:
        """The stage that a batch belongs to; a ramp's parts are one stage."""
        if len(self.stages) == 1:
            return self.stages[0]
        return self.stages[plan.part_of(batch).number]

    def length_at(self, plan: BatchPlan, batch: int) -> int:
        """Tokens of the rows of a batch."""
        return self.stage_of(plan, batch).records.sequence_length

    def hashes(self) -> dict[str, str]:
        """What is trained on, as a run and its checkpoints remember it."""
        found = [
            pretraining_data.hashes(stage.records) for stage in self.stages
        ]
        if len(found) == 1:
            return found[0]
        text = "\n".join(one["data"] for one in found)
        digest = hashlib.sha256(text.encode("utf-8")).hexdigest()
        return {**found[-1], "data": digest}


def open_run_records(
    data: PretrainingData, stages: Sequence[Stage] | None
) -> RunRecords:
    """Opens all that a run reads.

    Raises:
      UserError: something is not there, damaged, or does not go together.
    """
    if stages is None:
        records = pretraining_data.open_training(data)
        held_out = pretraining_data.open_held_out(data, records)
        return RunRecords((StageData(records, held_out),))
    check_stages(list(stages))
    _check_used(data, stages)
    found: dict[tuple, tuple] = {}
    parts = []
    for stage in stages:
        if stage.source not in found:
            own = _own_data(data, stage)
            records = pretraining_data.open_training(own)
            held_out = pretraining_data.open_held_out(own, records)
            found[stage.source] = records, held_out
        parts.append(StageData(*found[stage.source], stage.masking_rate))
    _check_alike([part.records for part in parts])
    return RunRecords(tuple(parts))


def _check_used(data: PretrainingData, stages: Sequence[Stage]) -> None:
    """Raises UserError where the data's own records are read by no stage."""
    own = data.mixture is not None or data.records != DEFAULT_RECORDS
    if own and all(stage.records is not None for stage in stages):
        named = data.records if data.mixture is None else "data.mixture"
        raise UserError(
            f"{named} is read by no stage: each of optimization.stages names "
            "records of its own; leave it out, or leave records out of the "
            "stage that reads it"
        )


def _own_data(data: PretrainingData, stage: Stage) -> PretrainingData:
    """The data's settings as they are in a stage."""
    own = data
    if isinstance(stage.records, str):
        own = dataclasses.replace(own, records=stage.records, mixture=None)
    elif stage.records is not None:
        mixed = [pretraining_data.MixedRecords(path) for path in stage.records]
        own = dataclasses.replace(own, records=DEFAULT_RECORDS, mixture=mixed)
    if stage.temperature is not None:
        if own.mixture is None:
            raise UserError(
                "the temperature of a stage is that of several folders of "
                f"records, got {own.records}; leave it out"
            )
        own = dataclasses.replace(own, temperature=stage.temperature)
    return own


def _check_alike(parts: list[AnyRecords]) -> None:
    """Raises UserError unless one model can learn from all stages."""
    last = parts[-1]
    for records in parts:
        if records.vocabulary != last.vocabulary:
            raise UserError(
                f"wanted stages with one vocabulary, got another one in "
                f"{records.path} than in {last.path}; build both with the same "
                "`tfbert records --vocab`"
            )
        if records.has_labels != last.has_labels:
            raise UserError(
                f"wanted stages of pairs of sentences, or none, got "
                f"{records.path} and {last.path}, one of them with next "
                "sentences"
            )


def about_run(read: RunRecords, task_class: Callable | None = None) -> dict:
    """The content of run.json; the kind of another task is its name."""
    kind = "pretraining" if task_class is None else task_class.__name__.lower()
    about = {
        "kind": kind,
        "records": str(Path(read.last.path).absolute()),
        "max_length": read.longest,
        "hashes": read.hashes(),
    }
    if len(read.stages) > 1:
        about["stages"] = [str(Path(r.path).absolute()) for r in read.all]
    return about


def check_sizes(settings, read: RunRecords, config) -> None:
    """Raises UserError unless rows fill a batch, masks and the encoder."""
    plan = settings.optimization.batch_plan
    steps = settings.optimization.steps
    for part in plan.parts:
        stage = read.stage_of(plan, part.first)
        records = stage.records
        if records.num_rows < part.size:
            raise UserError(
                f"wanted at least one batch of {part.size} rows, got "
                f"{records.num_rows} in {records.path}; lower "
                "optimization.batch_size, or build records from more text"
            )
        pretraining_data.predictions(
            masking_at(settings.data, stage, steps)(part.first), records
        )
        length = records.sequence_length
        if length > config.max_position_embeddings:
            raise UserError(
                f"wanted records of at most model.max_position_embeddings = "
                f"{config.max_position_embeddings} tokens a row, got {length} "
                f"in {records.path}; raise the setting, or build shorter "
                "records"
            )


def masking_at(
    data: PretrainingData, stage: StageData, steps: int
) -> Callable[[int], Masking]:
    """How tokens are hidden, by the number of the global batch.

    The rate is that of the stage, or goes in a straight line from
    data.masking.rate at the first batch to data.final_masking_rate at the
    last of `steps`. P is that of the highest rate, so that shapes stay.

    Args:
      data: the data's settings.
      stage: that the batches belong to.
      steps: of the run.
    """
    masking = data.masking
    first = masking.rate if stage.rate is None else stage.rate
    last = first if stage.rate is not None else data.final_masking_rate
    if last is None or last == first:
        fixed = dataclasses.replace(masking, rate=first)
        return lambda batch: fixed
    widest = dataclasses.replace(masking, rate=max(first, last))
    places = pretraining_data.predictions(widest, stage.records)

    def at(batch: int) -> Masking:
        done = min(batch / max(steps - 1, 1), 1.0)
        rate = first + (last - first) * done
        return dataclasses.replace(masking, rate=rate, max_predictions=places)

    return at


def describe(read: RunRecords, plan: BatchPlan, steps: int) -> str:
    """What is trained on, in a line or one for each stage."""
    if len(read.stages) == 1:
        return pretraining_data.describe(read.last)
    ends = [*plan.changes, steps]
    lines = [
        f"  stage {part.number + 1}: steps {part.first + 1:,} to {end:,}, "
        f"batches of {part.size:,}, {pretraining_data.describe(stage.records)}"
        for part, end, stage in zip(plan.parts, ends, read.stages, strict=True)
    ]
    return "\n".join([f"{len(lines)} stages:", *lines])
