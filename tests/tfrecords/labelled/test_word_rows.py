import numpy as np
import pytest

from tfbert.text.tokenizer import Tokenizer
from tfrecords.labelled.word_rows import (
    NO_LABEL,
    TaggedWords,
    encode,
    split_further,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = Tokenizer([*SPECIAL, "a", "b", "##b", "c", "-", "東", "京"])
LABELS = ["O", "B-X", "I-X"]


def random_sentences(count=1200):
    rng = np.random.default_rng(0)
    words, tags = [], []
    for _ in range(count):
        size = rng.integers(1, 30)
        words.append(
            rng.choice(["a", "abb", "c-c", "\x02", "z"], size).tolist()
        )
        tags.append(rng.choice([*LABELS, "B-NEW"], size).tolist())
    return TaggedWords(words, tags, rng.integers(-1, 3, count).tolist())


def without_marks(sentences):
    return TaggedWords(
        sentences.words, sentences.tags, [-1] * len(sentences.words)
    )


@pytest.mark.parametrize("max_length", [9, 128])
def test_labels_stand_at_first_pieces(max_length):
    sentences = random_sentences()
    if max_length == 9:
        # Rows of a marked word hold only what is around it.
        sentences = without_marks(sentences)
    found = encode(sentences, TOKENIZER, LABELS, max_length)
    columns = found.columns
    assert found.sequence_length == (9 if max_length == 9 else 72)
    flat = [tag for tags in sentences.tags for tag in tags]
    wanted = [LABELS.index(t) if t in LABELS else NO_LABEL for t in flat]
    at = found.rows, found.places
    np.testing.assert_array_equal(columns["label_ids"][at], wanted)
    assert len(set(zip(*at, strict=True))) == len(flat)
    # Nothing else has a label.
    labelled = (columns["label_ids"] != NO_LABEL).sum()
    assert labelled == sum(label != NO_LABEL for label in wanted)
    ids = [
        TOKENIZER.vocabulary.index(w[0]) if w in ("a", "abb", "c-c") else 1
        for line in sentences.words
        for w in line
    ]
    np.testing.assert_array_equal(columns["input_ids"][at], ids)
    # The first piece of a word that is marked has segment 1.
    marks = [
        place == mark
        for words, mark in zip(sentences.words, sentences.marked, strict=True)
        for place in range(len(words))
    ]
    np.testing.assert_array_equal(columns["segment_ids"][at], marks)
    assert found.extra_rows == len(found) - len(sentences.words)
    values = found.word_values(columns["input_ids"])
    assert [len(v) for v in values] == [len(w) for w in sentences.words]
    np.testing.assert_array_equal(np.concatenate(values), ids)


def test_of_a_marked_sentence_one_row_is_read():
    words = ["a"] * 10 + ["b"] + ["c"] * 10
    tags = ["B-X"] * 21
    sentences = TaggedWords(
        [words, words, ["a", "b"]], [tags, tags, tags[:2]], [10, 0, 1]
    )
    found = encode(sentences, TOKENIZER, LABELS, 9)
    assert len(found) == 3 and found.extra_rows == 0
    rows = np.split(found.rows, [21, 42])
    assert np.flatnonzero(rows[0] == 0).tolist() == list(range(7, 14))
    assert np.flatnonzero(rows[1] == 1).tolist() == list(range(7))
    assert rows[2].tolist() == [2, 2]
    assert (found.columns["segment_ids"].sum(axis=1) == 1).all()
    # Labels of words that are read, and no others.
    assert (found.columns["label_ids"] == 1).sum() == 16
    logits = np.ones([3, 9, 3], np.float32)
    logits[:, :, 1] = 5
    values = found.word_values(logits)
    assert [v.argmax(axis=1).tolist() for v in values] == [
        [0] * 7 + [1] * 7 + [0] * 7,
        [1] * 7 + [0] * 14,
        [1, 1],
    ]


def test_other_lengths():
    found = encode(TaggedWords([["a"]], [["O"]], [0]), TOKENIZER, LABELS, 128)
    assert found.sequence_length == 8
    longer = found.with_length(16)
    assert longer.columns["label_ids"][0].tolist() == [-1, 0] + [-1] * 14
    assert longer.columns["segment_ids"].sum() == 1
    assert longer.with_length(3).sequence_length == 3
    with pytest.raises(ValueError, match="would cut"):
        found.with_length(2)


def test_words_split_as_raw_text_is():
    found = split_further(
        TaggedWords(
            [["東京", "a-b", "\x02"], ["abb"]],
            [["B-X", "O", "I-X"], ["NOUN"]],
            [1, -1],
        ),
        TOKENIZER,
    )
    assert found.words == [["東", "京", "a", "-", "b", "\x02"], ["abb"]]
    assert found.tags == [["B-X", "I-X", "O", "O", "O", "I-X"], ["NOUN"]]
    assert found.marked == [2, -1]
