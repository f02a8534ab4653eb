"""Layers that fine-tuning leaves as they are."""

from tfbert.errors import UserError
from tfbert.tasks.task import Task


def freeze(task: Task, what: str | int | None) -> Task:
    """Takes layers of the encoder out of training; call it before compile.

    They get no gradient, which also saves its time, and the optimizer keeps
    no moments for them. Their dropout stays.

    Args:
      task: its encoder's layers are frozen.
      what: "embeddings"; a number n of blocks, the lowest, with the
        embeddings below them; "encoder": all blocks, so that pooler and heads
        learn; None: nothing.

    Returns:
      The task.

    Raises:
      UserError: the encoder has fewer blocks.
    """
    if what is None:
        return task
    encoder = task.encoder
    blocks = {"embeddings": 0, "encoder": len(encoder.blocks)}.get(what, what)
    if not isinstance(blocks, int) or not 0 <= blocks <= len(encoder.blocks):
        raise UserError(
            "wanted model.freeze to be embeddings, encoder, or a number of "
            f"blocks up to {len(encoder.blocks)}, got {what!r}"
        )
    for layer in (encoder.embeddings, *encoder.blocks[:blocks]):
        layer.trainable = False
    return task
