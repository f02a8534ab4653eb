import random

import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.questions import check_lengths, make_windows

VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a b c ##a ##b é 東 京 . !".split()
WORDS = "a b c ab ba abab É é 東京 . ! \U0001f600 ﬁ".split()


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer(VOCABULARY)


@pytest.fixture(scope="module")
def window_function(tokenizer):
    """Compiled once for all lengths of text."""

    @tf.function(autograph=False)
    def function(questions, contexts):
        return make_windows(
            tokenizer,
            questions,
            contexts,
            max_length=14,
            window_stride=3,
            max_question_length=5,
        )

    return function


def text(draw, most):
    return " ".join(draw.choices(WORDS, k=draw.randrange(most)))


def test_every_token_is_in_a_window_and_in_its_place(
    tokenizer, window_function
):
    draw = random.Random(0)
    questions = [text(draw, 9) for _ in range(50)] + [""]
    contexts = [text(draw, 40) for _ in range(50)] + [""]
    windows = window_function(tf.constant(questions), tf.constant(contexts))
    ids = windows.batch["input_ids"].numpy()
    mask = windows.batch["input_mask"].numpy()
    segments = windows.batch["segment_ids"].numpy()
    example = windows.example.numpy()
    assert (np.diff(example) >= 0).all()
    assert set(example) == set(range(51))
    for n in range(51):
        asked = tokenizer([questions[n]]).numpy()[0][:5].tolist()
        context = tokenizer([contexts[n]]).numpy()[0].tolist()
        covered = set()
        rows = np.flatnonzero(example == n)
        for i, row in enumerate(rows):
            first, count = (
                windows.first[row].numpy(),
                windows.count[row].numpy(),
            )
            held = context[first : first + count]
            want = [tokenizer.cls_id, *asked, tokenizer.sep_id, *held]
            want.append(tokenizer.sep_id)
            assert len(want) <= 14
            assert ids[row, : len(want)].tolist() == want
            assert mask[row].sum() == len(want)
            assert segments[row].sum() == count + 1
            column = windows.column[row].numpy()
            assert ids[row, column : column + count].tolist() == held
            # All but the last are full and begin a stride apart.
            room = 14 - 3 - len(asked)
            assert first == i * min(3, room)
            assert count == room or i == len(rows) - 1
            covered.update(range(first, first + count))
        assert covered == set(range(len(context)))
        # No window too many: without the last, a token would be missing.
        if len(rows) > 1:
            end = windows.first[rows[-2]].numpy() + room
            assert end < len(context)


def test_a_stride_wider_than_the_room_loses_no_token(tokenizer):
    windows = make_windows(
        tokenizer,
        ["a b c"],
        ["a b c " * 9],
        max_length=9,
        window_stride=100,
        max_question_length=3,
    )
    assert windows.first.numpy().tolist() == list(range(0, 27, 3))


def test_a_question_of_megabytes_is_cut_at_once(tokenizer, window_function):
    long = "東" * 6000
    contexts = tf.constant(["a", "a"])
    rows = window_function(tf.constant([long, long[:20]]), contexts)
    ids = rows.batch["input_ids"].numpy()
    assert ids[0].tolist() == ids[1].tolist()
    # 16 KiB end within a character: what is left of it is no token.
    spaces = " " * ((1 << 14) - 2) + "東"
    rows = window_function(tf.constant([spaces, ""]), contexts)
    ids = rows.batch["input_ids"].numpy()
    assert ids[0].tolist() == ids[1].tolist()


def test_no_questions_give_no_windows(window_function):
    none = tf.constant([], tf.string)
    windows = window_function(none, none)
    assert windows.batch["input_ids"].shape[0] == 0
    assert windows.example.shape == (0,)


def test_a_tokenizer_without_offsets_is_refused():
    reads = Tokenizer(VOCABULARY, special_tokens_in_text=True)
    lengths = {"window_stride": 3, "max_question_length": 5}
    with pytest.raises(UserError, match="needs a tokenizer of plain text"):
        make_windows(reads, ["a"], ["a"], max_length=14, **lengths)


def test_lengths_without_room_are_refused():
    check_lengths(10, 1, 6)
    with pytest.raises(UserError, match="max_question_length from 1 to 6"):
        check_lengths(10, 1, 7)
    with pytest.raises(UserError, match="max_question_length from 1 to 6"):
        check_lengths(10, 1, 0)
    with pytest.raises(UserError, match="window_stride above 0"):
        check_lengths(10, 0, 6)
