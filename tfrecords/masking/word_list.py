"""Words of several tokens, given as a list: whole words for Chinese.

BERT's tokenizer makes a token of every Chinese character, so a vocabulary
does not tell where words end. A list of words does: a row is cut from left to
right into the longest words of the list (forward maximum matching, Liu and
Liang 1986), and what is in none stays a word of its own (whole word masking
for Chinese: Cui et al. 2019, section 2.2).
"""

import functools
import hashlib
import os
from collections.abc import Sequence

import numpy as np

from tfbert.errors import UserError
from tfrecords import keyed_order

# Longer words are names and sayings; they are cut.
MAX_TOKENS = 8


class WordList:
    """Words, as runs of token ids."""

    def __init__(self, words: Sequence[Sequence[int]]):
        """`words`: the token ids of each, two or more."""
        keys: dict[int, list] = {}
        for word in words:
            if 2 <= len(word) <= MAX_TOKENS:
                keys.setdefault(len(word), []).append(word)
        # Longest first: (length, sorted keys).
        self._keys = [
            (length, np.unique(_keys(np.array(keys[length]))[:, 0]))
            for length in sorted(keys, reverse=True)
        ]

    @functools.cached_property
    def fingerprint(self) -> str:
        """The identity of the words, sha256, hex."""
        digest = hashlib.sha256()
        for length, keys in self._keys:
            digest.update(f"{length} {len(keys)}\n".encode() + keys.tobytes())
        return digest.hexdigest()

    @classmethod
    def read(
        cls, path: str | os.PathLike, vocabulary: Sequence[str]
    ) -> "WordList":
        """Reads a list: the first column of each line is a word.

        The lines of jieba's dictionary will do, and so will segmented text
        with one word a line. Words with a character that is not in the
        vocabulary are passed over.

        Raises:
          UserError: there is no such file, or no word in it can be used.
        """
        ids = {token: index for index, token in enumerate(vocabulary)}
        words = []
        try:
            with open(path, encoding="utf-8") as stream:
                for line in stream:
                    word = [ids.get(c, -1) for c in "".join(line.split()[:1])]
                    if len(word) > 1 and min(word) >= 0:
                        words.append(word)
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path} cannot be read: {error}.") from None
        if not words:
            raise UserError(
                f"no word of {path} is made of two or more characters that "
                "are tokens of the vocabulary; wanted one word a line."
            )
        return cls(words)

    def goes_on(self, token_ids: np.ndarray) -> np.ndarray:
        """Which tokens go on with a word of the list.

        Args:
          token_ids: int32 [B, S].

        Returns:
          bool [B, S].
        """
        batch, length = token_ids.shape
        longest = np.ones((batch, length), np.int64)
        for size, known in reversed(self._keys):
            if size <= length:
                found = np.isin(_keys(token_ids, size), known)
                longest[:, : length - size + 1][found] = size
        going = np.zeros((batch, length), bool)
        left = np.zeros(batch, np.int64)  # Tokens that the word still has.
        for place in range(length):
            going[:, place] = left > 0
            left = np.where(left > 0, left, longest[:, place]) - 1
        return going


def _keys(token_ids: np.ndarray, size: int | None = None) -> np.ndarray:
    """A key for each run of `size` tokens, uint64 [B, S - size + 1]."""
    size = size or token_ids.shape[1]
    count = token_ids.shape[1] - size + 1
    keys = np.full((len(token_ids), count), size, np.uint64)
    for place in range(size):
        keys = keyed_order.fold(keys, token_ids[:, place : place + count])
    return keys
