"""Whether an encoder can tell the texts of a pair apart."""

from tfbert.errors import UserError


def check_segments(layer, what: str) -> None:
    """Refuses an encoder with one segment where two are needed.

    The vector of a segment that the encoder does not have is zero: the model
    would answer, and see no difference between first and second.

    Args:
      layer: a BertEncoder, or a task that has one.
      what: needs two segments.

    Raises:
      UserError: its type_vocab_size is below 2.
    """
    size = getattr(layer, "encoder", layer).config.type_vocab_size
    if size < 2:
        raise UserError(
            f"{what} need type_vocab_size of 2 or more, got {size}: the model "
            "would not see which text is the first; pretrain an encoder with "
            "model.type_vocab_size 2"
        )
