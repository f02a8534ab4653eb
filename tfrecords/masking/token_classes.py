"""What masking and rows need to know about the ids of a vocabulary."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from tfbert.errors import UserError
from tfbert.text.vocabulary_files import SPECIAL_TOKENS
from tfrecords.masking.word_list import WordList

_UNUSED = re.compile(r"\[unused\d+\]")

# Where a sentence may end; the rest of a text is cut wherever a row is full.
_SENTENCE_ENDS = frozenset(".!?;:。！？；…")


@dataclasses.dataclass(frozen=True, eq=False)
class TokenClasses:
    """Classes of token ids, as tables of the vocabulary's size V.

    Attributes:
      vocab_size: V.
      pad_id, unk_id, cls_id, sep_id, mask_id: the special tokens.
      maskable: bool [V], may be hidden: everything but special tokens.
      word_start: bool [V], False for pieces that go on with a word ("##ing").
      sentence_end: bool [V], a mark that ends a sentence.
      replacements: int32 [N], what may stand for a hidden token: neither
        special tokens nor the `[unused...]` ones.
      words: words of several tokens that a list names, or None.
    """

    vocab_size: int
    pad_id: int
    unk_id: int
    cls_id: int
    sep_id: int
    mask_id: int
    maskable: np.ndarray
    word_start: np.ndarray
    sentence_end: np.ndarray
    replacements: np.ndarray
    words: WordList | None = None

    def starts(self, token_ids: np.ndarray) -> np.ndarray:
        """Which tokens begin a word, bool [B, S], of int32 [B, S]."""
        starts = self.word_start[token_ids]
        if self.words is not None:
            starts &= ~self.words.goes_on(token_ids)
        return starts

    @classmethod
    def of(cls, tokens: Sequence[str]) -> "TokenClasses":
        """The classes of a vocabulary's tokens, in the order of their ids.

        Raises:
          UserError: a special token is missing.
        """
        ids = {token: index for index, token in enumerate(tokens)}
        missing = [token for token in SPECIAL_TOKENS if token not in ids]
        if missing:
            raise UserError(
                f"the vocabulary lacks the special tokens {missing}; take one "
                "that `tfbert vocab` made."
            )
        special = np.zeros(len(tokens), bool)
        special[[ids[token] for token in SPECIAL_TOKENS]] = True
        unused = np.array([bool(_UNUSED.fullmatch(t)) for t in tokens])
        start = np.array([not t.startswith("##") for t in tokens])
        return cls(
            len(tokens),
            *(ids[token] for token in SPECIAL_TOKENS),
            maskable=~special,
            word_start=start,
            sentence_end=np.array([t in _SENTENCE_ENDS for t in tokens]),
            replacements=np.flatnonzero(~(special | unused)).astype(np.int32),
        )
