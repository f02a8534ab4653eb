"""The batches of a pretraining run, for training and for evaluation."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from trainers.pretraining.stages import RunRecords, StageData, masking_at
from trainers.run.run_data import RunData, RunStages

if TYPE_CHECKING:
    import tensorflow as tf

    from trainers.distributed.strategies import Distribution
    from trainers.run.run_data import Validation


def run_data(
    settings, read: RunRecords, distribution: "Distribution"
) -> RunData:
    """All that a run reads."""
    validation = validation_batches(settings, read, distribution)
    stages = None
    if len(read.stages) > 1:
        stages = _stages(settings, read, validation)
    return RunData(
        training_batches(settings, read, distribution),
        validation(settings.optimization.steps),
        row_ids(settings, read),
        stages,
    )


def _stages(settings, read: RunRecords, validation) -> RunStages:
    """What changes from stage to stage."""
    plan = settings.optimization.batch_plan
    lengths = [stage.records.sequence_length for stage in read.stages]
    starts_anew = settings.model.init_from is None

    def enter(model, before: int, batch: int) -> None:
        from trainers.pretraining.positions import lengthen

        number = plan.part_of(before).number
        # Weights to start from know all their positions.
        learnt = max(lengths[: number + 1])
        length = lengths[plan.part_of(batch).number]
        if starts_anew and length > learnt:
            lengthen(model, learnt, length)

    def work(steps: int) -> float:
        """Tokens of the first `steps` batches, padding included."""
        ends = [*plan.changes, max(steps, plan.parts[-1].first)]
        return float(
            sum(
                max(min(end, steps) - part.first, 0) * part.size * length
                for part, end, length in zip(
                    plan.parts, ends, lengths, strict=True
                )
            )
        )

    return RunStages(
        number=lambda batch: plan.part_of(batch).number,
        validation=validation,
        enter=enter,
        work=work,
    )


def training_batches(
    settings, read: RunRecords, distribution: "Distribution"
) -> "Callable[[int], tf.data.Dataset]":
    """A function: first batch -> distributed training batches from there.

    They are to be taken up to where another part of the plan begins.
    """
    from tfrecords.batches.dataset import pretraining_batches

    optimization = settings.optimization
    plan = optimization.batch_plan

    def make(first_batch):
        stage = read.stage_of(plan, first_batch)
        masking = masking_at(settings.data, stage, optimization.steps)
        return distribution.dataset(
            lambda first_replica, local_replicas: pretraining_batches(
                stage.records,
                masking(first_batch),
                seed=settings.seed,
                global_batch_size=plan.size_of(first_batch),
                num_replicas=distribution.num_replicas,
                first_replica=first_replica,
                local_replicas=local_replicas,
                first_row=plan.first_row(first_batch),
                micro_batches=optimization.accumulation_steps,
                masking_at=lambda step: masking(first_batch + step),
            )
        )

    return make


def validation_batches(
    settings, read: RunRecords, distribution: "Distribution"
) -> "Callable[[int], Validation | None]":
    """A function: batch -> held-out batches of its stage and their steps."""
    plan = settings.optimization.batch_plan
    made = {}

    def of(batch: int):
        stage = read.stage_of(plan, batch)
        if stage.held_out is None:
            return None
        key = id(stage.held_out)
        if key not in made:
            made[key] = _validation(settings, stage, distribution)
        return made[key]

    return of


def _validation(
    settings, stage: StageData, distribution: "Distribution"
) -> "Validation":
    from tfrecords.batches.dataset import evaluation_batches
    from trainers.run.run_setup import evaluation_batch_size

    steps = 0

    def make(first_replica, local_replicas):
        nonlocal steps
        dataset, steps = evaluation_batches(
            stage.held_out,
            settings.data.evaluation_masking,
            seed=settings.seed,
            global_batch_size=evaluation_batch_size(settings, distribution),
            num_replicas=distribution.num_replicas,
            first_replica=first_replica,
            local_replicas=local_replicas,
            max_rows=settings.data.evaluation_rows,
        )
        # Endless, so that shapes stay static under a strategy; the number of
        # steps ends an evaluation.
        return dataset.repeat()

    dataset = distribution.dataset(make)
    return dataset, steps


def row_ids(settings, read: RunRecords) -> Callable[[int], np.ndarray]:
    """A function: number of a global batch -> ids of its rows, int64 [B]."""
    plan = settings.optimization.batch_plan

    def of_batch(batch: int) -> np.ndarray:
        first = plan.first_row(batch)
        rows = first, first + plan.size_of(batch)
        positions = np.arange(*rows, dtype=np.int64)
        records = read.stage_of(plan, batch).records
        return records.rows_at(positions, settings.seed)[0]

    return of_batch
