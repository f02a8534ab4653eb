import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.sentence_windows import SentenceTokenizer
from tfbert.tokenization import Tokenizer

WORDS = "a b c d e f g un want able . , ! ##a ##b ##want ##able".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
TOKENIZER = Tokenizer([*SPECIAL, *WORDS, "東", "京"])
SENTENCES = SentenceTokenizer(TOKENIZER)


def random_words(rng, count):
    parts = ["a", "b", "unwantable", "d.", "\x01", "zzz", "unable", "e"]
    return [parts[i] for i in rng.integers(len(parts), size=count)]


def test_every_word_has_a_piece_and_nothing_shifts():
    words = tf.ragged.constant([["a", "\x01", "unwantable"], [], ["d.e"]])
    pieces = SENTENCES.pieces(words)
    tokens = TOKENIZER.tokens(pieces)
    assert tokens == [
        [["a"], ["[UNK]"], ["un", "##want", "##able"]],
        [],
        [["d", ".", "e"]],
    ]


def test_a_word_of_megabytes():
    words = tf.ragged.constant([["." * 10_000_000, "b"]])
    pieces = SENTENCES.pieces(words)
    assert pieces[0].row_lengths().numpy().tolist() == [1024, 1]


@pytest.mark.parametrize("max_length", [3, 4, 5, 8, 13, 64])
def test_every_word_stands_in_one_window(max_length):
    rng = np.random.default_rng(max_length)
    sentences = [random_words(rng, n) for n in (0, 1, 3, 40, 7, 0, 25)]
    ragged = tf.ragged.constant(sentences, tf.string, ragged_rank=1)
    pieces = SENTENCES.pieces(ragged)
    windows = SENTENCES.windows(pieces, max_length)
    batch = {name: value.numpy() for name, value in windows.batch.items()}
    ids, mask = batch["input_ids"], batch["input_mask"]
    assert ids.shape[1] <= max_length
    lengths = mask.sum(axis=1)
    assert (ids[:, 0] == TOKENIZER.cls_id).all()
    rows_index = np.arange(len(ids))
    assert (ids[rows_index, lengths - 1] == TOKENIZER.sep_id).all()
    assert (ids[mask == 0] == TOKENIZER.pad_id).all()
    assert not batch["segment_ids"].any()
    taken = set()
    room = max_length - 2
    for sentence, rows, columns in zip(
        pieces.to_list(),
        windows.rows.to_list(),
        windows.columns.to_list(),
        strict=True,
    ):
        flat = [piece for word in sentence for piece in word]
        place = 0
        for word, row, column in zip(sentence, rows, columns, strict=True):
            assert ids[row, column] == word[0]
            assert (row, column) not in taken
            taken.add((row, column))
            # A quarter of a row of context on both sides, if there is.
            least = (room - max(room // 2, 1)) // 2
            assert column - 1 >= min(least, place)
            after = lengths[row] - 2 - column
            assert after >= min(least, len(flat) - place) - 1
            place += len(word)
    # Each sentence has a row at least, and no more than it needs.
    sizes = [sum(map(len, sentence)) for sentence in pieces.to_list()]
    stride = max(room // 2, 1)
    wanted = [1 + -(-max(size - room, 0) // stride) for size in sizes]
    assert len(ids) == sum(wanted)


def test_marks():
    words = tf.ragged.constant([["a", "unable", "b"], ["c"], ["d"]])
    batch = SENTENCES.windows(SENTENCES.pieces(words), 16, [1, -1, 0]).batch
    segments = batch["segment_ids"].numpy()
    assert segments.tolist() == [
        [0, 0, 1, 1, 0, 0],
        [0] * 6,
        [0, 1, 0, 0, 0, 0],
    ]


def test_text_splits_into_basic_words_with_spans():
    texts = ["  Unwantable, a 東京!", "", "\x01 \xff".encode("latin1"), "É.zz"]
    split = SENTENCES.split(tf.constant(texts))
    words = [[w.decode() for w in row] for row in split.words.to_list()]
    assert words == [
        ["Unwantable", ",", "a", "東", "京", "!"],
        [],
        [],
        ["É", ".", "zz"],
    ]
    for text, row, starts, ends in zip(
        texts, words, split.starts.to_list(), split.ends.to_list(), strict=True
    ):
        if isinstance(text, str):
            assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == row
    # Words that are apart already have the same pieces.
    again = SENTENCES.pieces(split.words)
    assert again.to_list() == split.pieces.to_list()


def test_no_sentences():
    split = SENTENCES.split(tf.zeros([0], tf.string))
    windows = SENTENCES.windows(split.pieces, 8)
    assert windows.batch["input_ids"].shape == (0, 2)
    assert windows.rows.nrows() == 0


def test_a_row_needs_room():
    split = SENTENCES.split(tf.constant(["a"]))
    with pytest.raises(ValueError, match="need 3"):
        SENTENCES.windows(split.pieces, 2)


def test_a_tokenizer_that_reads_special_tokens_is_refused():
    reads = Tokenizer([*SPECIAL, *WORDS], special_tokens_in_text=True)
    with pytest.raises(UserError, match="tokenizer of plain text"):
        SentenceTokenizer(reads)
