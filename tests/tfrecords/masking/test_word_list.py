import dataclasses

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.masking.masking import Masking
from tfrecords.masking.token_classes import TokenClasses
from tfrecords.masking.word_list import MAX_TOKENS, WordList

CHARACTERS = [chr(0x4E00 + number) for number in range(40)]
TOKENS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *CHARACTERS,
    "sea",
    "##s",
]
FIRST = 5  # The id of the first character.


def longest_match(row, words):
    """Forward maximum matching, in the plainest way."""
    going, place = [], 0
    while place < len(row):
        size = max(
            [n for n in range(2, 9) if tuple(row[place : place + n]) in words],
            default=1,
        )
        size = min(size, len(row) - place)
        going += [False] + [True] * (size - 1)
        place += size
    return going


def test_rows_are_cut_into_the_longest_words():
    rng = np.random.default_rng(0)
    words = {
        tuple(rng.integers(5, 15, rng.integers(2, 6)).tolist())
        for _ in range(60)
    }
    rows = rng.integers(5, 15, (200, 30))
    found = WordList(sorted(words)).goes_on(rows)
    assert found.any()
    for row, going in zip(rows.tolist(), found.tolist(), strict=True):
        assert going == longest_match(row, words)
    # Words that are longer than a row.
    assert not WordList([[5] * MAX_TOKENS]).goes_on(rows[:, :4]).any()


def test_lists_are_read_by_their_first_column(tmp_path):
    path = tmp_path / "words.txt"
    a, b, c, d = CHARACTERS[:4]
    path.write_text(
        f"{a}{b} 3 n\n{c}\n\n{b}{c}{d}\t7\n{a}\u9fff\n{a}sea\n",
        encoding="utf-8",
    )
    words = WordList.read(path, TOKENS)
    row = np.array([[2, 5, 6, 7, 8, 6, 7, 8, 3]])
    assert words.goes_on(row).astype(int).tolist() == [
        [0, 0, 1, 0, 0, 0, 1, 1, 0]
    ]
    path.write_text("sea\n")
    with pytest.raises(UserError, match="no word of"):
        WordList.read(path, TOKENS)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match="cannot be read"):
        WordList.read(path, TOKENS)


@pytest.mark.parametrize("strategy", ["whole_word", "ngram", "span"])
def test_no_word_of_the_list_is_hidden_in_part(strategy):
    words = [[FIRST + n, FIRST + n + 1] for n in range(0, 40, 2)]
    classes = dataclasses.replace(
        TokenClasses.of(TOKENS), words=WordList(words)
    )
    rng = np.random.default_rng(1)
    rows = np.full((300, 22), 2)
    firsts = FIRST + 2 * rng.integers(0, 20, (300, 10))
    rows[:, 1:21:2], rows[:, 2:21:2], rows[:, 21] = firsts, firsts + 1, 3
    masking = Masking(strategy=strategy, rate=0.3)
    made = masking.apply(
        rows.astype(np.int32), np.arange(300), np.zeros(300, int), 0, classes
    )
    hidden = np.zeros(rows.shape, bool)
    np.put_along_axis(
        hidden,
        made["masked_lm_positions"].astype(int),
        made["masked_lm_weights"] > 0,
        axis=1,
    )
    hidden[:, 0] = False
    assert hidden.any(axis=1).all()
    np.testing.assert_array_equal(hidden[:, 1:21:2], hidden[:, 2:21:2])


def test_the_identity_is_that_of_the_words():
    words = [[5, 6], [7, 8, 9]]
    one = WordList(words).fingerprint
    assert WordList([[7, 8, 9], [5, 6], [5, 6]]).fingerprint == one
    assert WordList([[5, 6], [7, 8, 10]]).fingerprint != one
