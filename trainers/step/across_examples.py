"""Losses that compare the examples of a global batch with one another.

An example's negatives are on other replicas and in other micro-batches. So
(Gao et al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory
Limited Setup", section 3): the vectors of all micro-batches are computed, and
forgotten but for the vectors; those of all replicas are brought together; the
gradient of the loss with respect to them is taken; and a second forward pass,
with the same dropout, carries it back to the weights, one micro-batch after
the other. A replica that computes its batch in one piece keeps what it computed
and needs no second pass. The update is that of the whole batch on one device.

Legend: B examples of a replica, N of all, T texts of one, D dimensions.
"""

from collections.abc import Callable

import tensorflow as tf

from tfbert.tasks.embedding import EXAMPLE_LOSSES, VECTOR_GRADIENTS
from trainers.step.micro_batches import accumulate
from trainers.step.replica_sums import sum_over_replicas

_PLACES = "places"
# float32 holds whole numbers up to 2^24 exactly: keys travel in halves.
_HALF = 1 << 16


def vectors_of(
    forward: Callable, data: dict, parts: int, seed: tf.Tensor
) -> tf.Tensor:
    """The vectors of a replica's batch, float32 [B, T, D].

    Args:
      forward: (batch, dropout_seed) -> vectors [b, T, D] of a micro-batch.
      data: batch dict, [B, ...] each.
      parts: how many micro-batches it is cut into.
      seed: as `accumulate` takes it; so each micro-batch draws as it will.
    """
    count = next(iter(data.values())).shape[0]

    def compute(part, part_seed):
        part = dict(part)
        places = part.pop(_PLACES)
        vectors = forward(part, part_seed)
        shape = [count, *vectors.shape[1:]]
        return tf.scatter_nd(places[:, None], vectors, shape)

    with_places = {**data, _PLACES: tf.range(count)}
    return accumulate(compute, with_places, parts, seed)


def with_gradients(task, vectors: tf.Tensor, data: dict) -> dict:
    """The batch with each example's loss, and its vectors' gradients.

    Args:
      task: has `example_losses`.
      vectors: of this replica, float32 [B, T, D].
      data: batch dict of this replica; "text_keys", "is_real_example" and, if
        there, "scores" of all replicas are brought together.
    """
    replica = tf.distribute.get_replica_context()
    count = vectors.shape[0]
    everything, batch = _of_all_replicas(vectors, data)
    with tf.GradientTape() as tape:
        tape.watch(everything)
        losses = task.example_losses(everything, batch)  # [N]
        total = tf.reduce_sum(losses)
    gradients = tape.gradient(total, everything)
    first = replica.replica_id_in_sync_group * count
    return {
        **data,
        VECTOR_GRADIENTS: _rows(gradients, first, count),
        EXAMPLE_LOSSES: _rows(losses, first, count),
    }


def gather(values: tf.Tensor) -> tf.Tensor:
    """[B, ...] of each replica -> [replicas * B, ...], in their order.

    A sum of arrays that are zero but for one replica's place: the one
    collective that all strategies have on all devices.
    """
    replica = tf.distribute.get_replica_context()
    count = replica.num_replicas_in_sync
    if count == 1:
        return values
    place = tf.reshape(replica.replica_id_in_sync_group, [1, 1])
    spread = tf.scatter_nd(place, values[None], [count, *values.shape])
    summed = sum_over_replicas(spread)
    return tf.reshape(summed, [count * values.shape[0], *values.shape[1:]])


def _of_all_replicas(vectors: tf.Tensor, data: dict) -> tuple[tf.Tensor, dict]:
    """Vectors [N, T, D], and what else a loss reads, in one collective."""
    keys = data["text_keys"]
    real = tf.ones([vectors.shape[0]])
    if "is_real_example" in data:
        real = tf.cast(data["is_real_example"], tf.float32)
    columns = {
        "vectors": tf.reshape(vectors, [vectors.shape[0], -1]),
        "high": tf.cast(keys // _HALF, tf.float32),
        "low": tf.cast(keys % _HALF, tf.float32),
        "real": real[:, None],
    }
    if "scores" in data:
        columns["scores"] = tf.cast(data["scores"], tf.float32)[:, None]
    sizes = [value.shape[1] for value in columns.values()]
    together = gather(tf.concat(list(columns.values()), axis=1))
    found = dict(zip(columns, tf.split(together, sizes, axis=1), strict=True))
    high, low = (tf.cast(found[n], tf.int32) for n in ("high", "low"))
    batch = {
        "text_keys": high * _HALF + low,
        "is_real_example": found["real"][:, 0],
    }
    if "scores" in found:
        batch["scores"] = found["scores"][:, 0]
    shape = [-1, *vectors.shape[1:]]
    return tf.reshape(found["vectors"], shape), batch


def _rows(values: tf.Tensor, first: tf.Tensor, count: int) -> tf.Tensor:
    """The `count` rows from `first` on."""
    rows = values[first : first + count]
    rows.set_shape([count, *values.shape[1:]])
    return rows
