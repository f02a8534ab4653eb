"""A global batch in, the rows that one replica takes of it out."""

from tfbert.errors import UserError


def rows_of_replica(
    global_batch_size: int, num_replicas: int, micro_batches: int = 1
) -> int:
    """The rows of a global batch that one replica takes.

    Args:
      global_batch_size: rows of all replicas together.
      num_replicas: of all workers together.
      micro_batches: that each replica cuts its rows into.

    Raises:
      UserError: the global batch does not divide.
    """
    parts = num_replicas * micro_batches
    if global_batch_size < 1 or global_batch_size % parts:
        cut = ""
        if micro_batches > 1:
            cut = f" in {micro_batches} micro-batches each"
        raise UserError(
            f"a global batch of {global_batch_size} cannot be shared "
            f"equally by {num_replicas} replicas{cut}; make it a multiple of "
            f"{parts}."
        )
    return global_batch_size // num_replicas
