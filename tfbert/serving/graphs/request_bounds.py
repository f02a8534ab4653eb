"""How much of a request is read: what bounds the memory of a server."""

import dataclasses

from tfbert import numpy_scalars
from tfbert.errors import UserError


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an export reads of a text, and answers of it, at most.

    Attributes:
      max_text_bytes: of a text whose words are labelled; an answer for each
        word takes memory for each.
      max_context_bytes: of the context of a question; to know where each
        token stands takes some 70 bytes for each.
      max_predicates: of a text, the first ones; each takes a row.
      max_masks: of a text, the first ones; each takes scores of the whole
        vocabulary.
      max_windows: of a text that is longer than a row, the first ones; None:
        as many as in training.
      refuse_longer: whether a request with a text of which not all is read
        gets an error, rather than an answer for what is read.

    Raises:
      UserError: one is below 1.
    """

    max_text_bytes: int = 32768
    max_context_bytes: int = 262144
    max_predicates: int = 256
    max_masks: int = 64
    max_windows: int | None = None
    refuse_longer: bool = False

    def __post_init__(self):
        numpy_scalars.replace_in(self)
        for name, value in dataclasses.asdict(self).items():
            if value is not None and not isinstance(value, bool) and value < 1:
                raise UserError(f"wanted {name} of 1 or more, got {value}")

    def facts(self, *names: str) -> dict[str, int]:
        """Those that hold for an export, for its card."""
        return {name: getattr(self, name) for name in names}


# What a model card says of each.
SENTENCES = {
    "max_text_bytes": "Of a text {:,} bytes are read.",
    "max_context_bytes": "Of a context {:,} bytes are read.",
    "max_predicates": "Of a text the first {:,} predicates are answered.",
    "max_masks": "Of a text the first {:,} masks are answered.",
    "max_windows": "A longer text is read in windows, the first {:,} of them.",
}
DEFAULT = Limits()
