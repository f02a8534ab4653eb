"""Where tokens go in a row of BERT's input."""

import tensorflow as tf

from tfbert.batch_keys import TOKEN_KEYS


def lay_out(
    first: tf.RaggedTensor,
    second: tf.RaggedTensor | None,
    *,
    max_length: int,
    pad_id: int,
    cls_id: int,
    sep_id: int,
) -> dict[str, tf.Tensor]:
    """Makes [CLS] first [SEP], or [CLS] first [SEP] second [SEP], padded.

    Too long a pair loses tokens from the end of the longer text, one at a
    time, and of equally long ones from the second (google-research/bert,
    `_truncate_seq_pair`). In closed form, with `room` tokens to keep: the
    first text keeps what the second leaves it or the larger half of the
    room, the second what is left then.

    Args:
      first, second: ids, int32 [B, None].
      max_length: S, with room for the special tokens.
      pad_id, cls_id, sep_id: ids of the special tokens.

    Returns:
      `input_ids`, `input_mask` and `segment_ids`, int32 [B, S] each.
    """
    room = max_length - (2 if second is None else 3)
    first_ids, first_length = _dense(first, room)
    if second is None:
        (first_length,) = kept_lengths(room, first_length)
        end = first_length + 2
    else:
        second_ids, second_length = _dense(second, room)
        first_length, second_length = kept_lengths(
            room, first_length, second_length
        )
        end = first_length + second_length + 3
    # [S] against [B, 1]: what is at each place of each row.
    place = tf.range(max_length)
    middle = first_length + 1
    ids = tf.where(place < middle, _shifted(first_ids, place - 1), pad_id)
    if second is not None:
        from_second = _shifted(second_ids, place - middle - 1)
        ids = tf.where((place > middle) & (place < end), from_second, ids)
    ids = tf.where((place == middle) | (place == end - 1), sep_id, ids)
    ids = tf.where(place == 0, cls_id, ids)
    mask = tf.cast(place < end, tf.int32)
    segments = tf.cast((place > middle) & (place < end), tf.int32)
    return dict(zip(TOKEN_KEYS, (ids, mask, segments), strict=True))


def kept_lengths(room: int, *lengths: tf.Tensor) -> list[tf.Tensor]:
    """What a row keeps of one text or of two, see `lay_out`.

    Args:
      room: places for their tokens.
      *lengths: tokens of each, int32 [...].
    """
    if len(lengths) == 1:
        return [tf.minimum(lengths[0], room)]
    first, second = lengths
    first = tf.minimum(first, tf.maximum(room - second, (room + 1) // 2))
    return [first, tf.minimum(second, room - first)]


def _dense(ids: tf.RaggedTensor, width: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The first `width` ids of each row, [B, width], and lengths [B, 1]."""
    lengths = tf.cast(ids.row_lengths(), tf.int32)[:, None]
    # One column at least, so that there is something to gather from.
    return ids.to_tensor(shape=[None, max(width, 1)]), lengths


def _shifted(values: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """`values[row, column]`, columns clipped; columns are [S] or [B, S]."""
    columns = tf.clip_by_value(columns, 0, values.shape[1] - 1)
    if columns.shape.rank == 1:
        return tf.gather(values, columns, axis=1)
    return tf.gather(values, columns, axis=1, batch_dims=1)
