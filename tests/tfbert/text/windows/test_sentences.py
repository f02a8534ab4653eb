import numpy as np
import pytest
import tensorflow as tf

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.windows.sentences import SentenceTokenizer, around

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


@pytest.mark.parametrize("max_length", [3, 4, 9, 16])
def test_a_row_holds_what_is_around_a_marked_word(max_length):
    rng = np.random.default_rng(max_length)
    sentences = [random_words(rng, n) for n in (0, 1, 3, 40, 7)]
    ragged = tf.ragged.constant(sentences, tf.string, ragged_rank=1)
    pieces = SENTENCES.pieces(ragged)
    lines = pieces.to_list()
    asked = [(3, m) for m in range(40)] + [(1, 0), (4, 6), (2, 1), (3, 5)]
    asked += [(0, -1), (3, -1), (4, 7)]
    numbers, marked = map(np.array, zip(*asked, strict=True))
    near = around(pieces, numbers, marked, max_length)
    room = max_length - 2
    for got, first, mark, number, wanted in zip(
        near.pieces.to_list(),
        near.firsts.numpy(),
        near.marked.numpy(),
        numbers,
        marked,
        strict=True,
    ):
        line = lines[number]
        if not 0 <= wanted < len(line):
            assert got == line and first == 0 and mark == wanted
            continue
        size = sum(map(len, line))
        assert first + mark == wanted
        # Words from the first on; of the last word what there is room for.
        there = line[first : first + len(got)]
        assert got[:-1] == there[:-1]
        assert got[-1] == there[-1][: len(got[-1])]
        held = sum(map(len, got))
        assert held <= room
        if size <= room:
            assert got == line
        else:
            # Full, but for a word that begins before the row.
            assert held > room - 3
        before = sum(map(len, got[:mark]))
        half = (room - 1) // 2
        assert before <= half or first + len(got) == len(line)
        assert before > half - 3 or first == 0
    rows = SENTENCES.windows(near.pieces, max_length, near.marked).batch
    held = rows["segment_ids"].numpy()[:44].sum(axis=1)
    assert (held > 0).all()


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


def test_words_are_utf_8_whatever_the_text_is():
    texts = [b"ab\xffcd go", b"\xe6\x9d", b"\xf0\x9f\x98 ok", "é\0".encode()]
    split = SENTENCES.split(tf.constant(texts))
    for text, words, starts, ends in zip(
        texts,
        split.words.to_list(),
        split.starts.to_list(),
        split.ends.to_list(),
        strict=True,
    ):
        readable = text.decode("utf-8", "replace")
        for word, start, end in zip(words, starts, ends, strict=True):
            assert word.decode() == readable[start:end]
    assert split.words[0].numpy().tolist() == ["ab\ufffdcd".encode(), b"go"]


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
