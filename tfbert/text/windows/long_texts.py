"""What is done with texts that are longer than a row."""

import dataclasses

from tfbert.errors import UserError

HEAD, HEAD_TAIL, WINDOWS = "head", "head_tail", "windows"
HOW = (WINDOWS, HEAD, HEAD_TAIL)
# Windows of a text that are read if nobody says: 14,000 tokens at 128, 57,000
# at 512. In training their activations are all held at once.
MAX_WINDOWS = 128
# What is shared by neighbours if nobody says: so many a row's length.
_OVERLAPS_IN_A_ROW = 8


@dataclasses.dataclass(frozen=True)
class LongTexts:
    """How a text is read that is longer than a row.

    Attributes:
      how: "windows": all of it, in windows that overlap, each a row; "head":
        its first tokens; "head_tail": its first and its last tokens, a
        quarter and three quarters (Sun et al. 2019, "How to Fine-Tune BERT
        for Text Classification?", section 5.3.1).
      overlap: tokens that neighbouring windows share, at most.
      max_windows: how many windows of a text are read, the first ones.
      refuse: whether a request with a text that would be cut gets an error,
        of models that are served.
    """

    how: str = HEAD
    overlap: int = 0
    max_windows: int = 1
    refuse: bool = False

    def __post_init__(self):
        if self.how not in HOW:
            raise UserError(
                f"wanted long_texts of {', '.join(HOW)}, got {self.how!r}"
            )
        if self.max_windows < 1:
            raise UserError(
                f"wanted max_windows above 0, got {self.max_windows}"
            )


CUT = LongTexts()


def default_overlap(max_length: int) -> int:
    """What windows share if nobody says."""
    return max_length // _OVERLAPS_IN_A_ROW


def check_overlap(overlap: int, max_length: int) -> None:
    """Refuses an overlap that makes windows stand still, or nearly so.

    Raises:
      UserError: it is below 0, or more than half a window.
    """
    most = (max_length - 2) // 2
    if not 0 <= overlap <= most:
        raise UserError(
            f"wanted window_overlap from 0 to {most} (half a window, which is "
            f"a row of max_length {max_length} without [CLS] and [SEP]), got "
            f"{overlap}; give a smaller one, or longer rows"
        )
