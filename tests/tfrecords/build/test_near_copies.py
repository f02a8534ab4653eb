import unicodedata

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.build import near_copies
from tfrecords.build.build import BuildSettings, build_records

RNG = np.random.default_rng(0)
WORDS = [f"word{number}" for number in range(3000)]


def text_of(count):
    return [str(word) for word in RNG.choice(WORDS, count)]


def jaccard(one, other):
    sets = [
        {tuple(words[i : i + 5]) for i in range(len(words) - 4)}
        for words in (one, other)
    ]
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


def signature(*texts):
    return near_copies.signatures([text.encode() for text in texts])


def gone(texts, threshold=0.8):
    """The numbers of the superfluous ones of `texts`."""
    entries = near_copies.table(
        (number, text.encode()) for number, text in enumerate(texts)
    )
    return near_copies.superfluous(entries, threshold)


@pytest.mark.parametrize("length", [30, 200, 2000])
@pytest.mark.parametrize("changes", [1, 3, 10])
def test_signatures_estimate_the_jaccard_index(length, changes):
    found, wanted = [], []
    for _ in range(40):
        one = text_of(length)
        other = list(one)
        for place in RNG.integers(0, length, changes * length // 100 + 1):
            other[place] = "changed"
        a, b = signature(" ".join(one), " ".join(other))
        found.append((a == b).mean())
        wanted.append(jaccard(one, other))
    # A signature's own error is 0.044 at most; of the mean a sixth of that.
    assert np.mean(found) == pytest.approx(np.mean(wanted), abs=0.025)
    assert np.abs(np.subtract(found, wanted)).max() < 0.2


def test_a_signature_does_not_depend_on_its_company():
    texts = [" ".join(text_of(n)) for n in (1, 3, 5, 6, 400)] + ["", "...", "a"]
    together = signature(*texts)
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_array_equal(signature(text)[0], row)


def test_case_punctuation_and_space_make_no_difference():
    one, other = signature(
        "The whale, the white whale! It came at dawn.",
        "the whale  the white\nWHALE -- it came at dawn",
    )
    np.testing.assert_array_equal(one, other)
    one, other = signature("ab c d e f", "a bc d e f")
    assert (one != other).any()


def test_unicode_spelling_and_case_make_no_difference():
    """As they make none to the tokenizer of uncased text."""
    text = "Ääkköset, naïve Café ŁÓDŹ Ελλάδα, が, 한국어 " * 9
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert forms[0] != forms[1]
    one, other, upper = signature(*forms, text.upper())
    np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(one, upper)
    assert gone(forms) == {0}  # The longer one stays.
    one, other = signature("naïve " * 9, "naive " * 9)
    assert (one != other).any()


class Signature(np.ndarray):
    """Counts the rows that are read of it."""

    read = 0

    def __getitem__(self, place):
        Signature.read += np.size(place)
        return np.asarray(super().__getitem__(place))


def rows_read(signatures):
    """(of a group of documents with these signatures, their leaders)."""
    count = len(signatures)
    leader, group = np.arange(count), np.arange(count)
    Signature.read = 0
    near_copies._join_alike(leader, signatures.view(Signature), group, 0.8)
    return Signature.read, leader


def test_alike_documents_take_linear_time():
    """A document is compared with its group's first, and is then done."""
    words = " ".join(text_of(50))
    for count in (1000, 2000):
        read, leader = rows_read(signature(*[words] * count))
        assert (leader == 0).all()
        assert read <= 2 * count


def test_documents_of_one_template_take_linear_time():
    """Each shares half of its words with each: a group, and no two alike."""
    for count in (1000, 2000):
        rows = RNG.integers(0, 1 << 16, (count, near_copies.BINS), np.uint16)
        rows[:, :64] = np.arange(64)
        read, leader = rows_read(rows)
        assert (leader == np.arange(count)).all()
        assert read <= near_copies._LEADERS * (count + 1)


def test_what_is_joined_is_compared_no_more():
    rows = signature(*[" ".join(text_of(50))] * 100)
    leader = np.zeros(100, int)
    Signature.read = 0
    near_copies._join_alike(leader, rows.view(Signature), np.arange(100), 0.8)
    assert Signature.read == 0


def test_copies_among_documents_of_one_template_are_found(monkeypatch):
    """Where they differ from the others, they share bands of their own."""
    monkeypatch.setattr(near_copies, "_LEADERS", 8)
    pool, template, texts = np.array(WORDS), text_of(400), []
    for _ in range(300):
        words = np.array(template, object)
        words[RNG.choice(400, 15, replace=False)] = RNG.choice(pool, 15)
        texts.append(" ".join(words))
    copies = [text.rsplit(" ", 8)[0] for text in texts[::10]]
    found = gone(texts + copies)
    assert len(found & set(range(300, 330))) >= 29
    assert len(found) <= 50


def test_chinese_characters_are_words():
    characters = [chr(0x4E00 + n) for n in RNG.integers(0, 3000, 300)]
    other = list(characters)
    other[150] = "x"
    one, two = signature("".join(characters), "".join(other))
    assert (one == two).mean() == pytest.approx(
        jaccard(characters, other), abs=0.1
    )


def corpus():
    texts = [" ".join(text_of(RNG.integers(40, 200))) for _ in range(60)]
    copies = {}
    for number in range(0, 60, 6):
        words = texts[number].split()
        copies[len(texts)] = number
        texts.append(" ".join(words[:-1]))  # Shorter: this one goes.
    return texts, copies


def test_the_longest_of_those_that_are_alike_stays():
    texts, copies = corpus()
    assert gone(texts) == set(copies)
    assert not gone(texts[:60], threshold=0.5)
    assert gone(["same words here", "Same words, here"], 1.0) == {0}


def test_order_and_copies_make_no_difference():
    texts, _ = corpus()
    entries = near_copies.table(
        (number, text.encode()) for number, text in enumerate(texts)
    )
    want = near_copies.superfluous(entries, 0.8)
    for seed in range(3):
        mixed = np.random.default_rng(seed).permutation(len(entries))
        mixed = np.concatenate([mixed, mixed[:9]])
        assert near_copies.superfluous(entries[mixed], 0.8) == want


def test_chains_keep_one():
    words = text_of(100)
    chain = [" ".join(words[n : n + 80]) for n in range(0, 20, 5)]
    assert len(gone(chain, 0.8)) == 3


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_few_are_missed(threshold):
    rows = near_copies._band_rows(threshold)
    bands = near_copies.BINS // rows
    assert (1 - threshold**rows) ** bands <= 0.01
    missed = 0
    for _ in range(100):
        words = text_of(300)
        cut = int(len(words) * (threshold + 1) / 2)
        texts = [" ".join(words), " ".join(words[:cut])]
        missed += gone(texts, threshold) != {1}
    assert missed <= 15


def test_no_documents():
    assert gone([]) == set()
    assert gone(["", ""]) == {0} or gone(["", ""]) == {1}


@pytest.fixture
def corpus_settings(tmp_path):
    """A function: options -> settings of a build of `corpus()`."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    (tmp_path / "vocab.txt").write_text("\n".join(special + WORDS) + "\n")
    texts, copies = corpus()
    half = len(texts) // 2
    for name, some in [("a", texts[:half]), ("b", texts[half:])]:
        (tmp_path / f"{name}.txt").write_text("\n\n".join(some) + "\n")

    def make(output, **how):
        how = {"near_duplicates": 0.8, "processes": 1, **how}
        return BuildSettings(
            input=[str(tmp_path / "a.txt"), str(tmp_path / "b.txt")],
            vocab=str(tmp_path / "vocab.txt"),
            output=str(tmp_path / output),
            max_length=16,
            **how,
        )

    return make, len(copies)


def test_a_build_leaves_them_out_and_counts_them(corpus_settings):
    make, copies = corpus_settings
    manifest = build_records(make("one"))["train"]
    assert manifest.rejected == {"near_duplicate": copies}
    assert manifest.documents == 60
    kept = build_records(make("all", near_duplicates=0.0))["train"]
    assert kept.documents == 60 + copies


@pytest.mark.parametrize(
    "how, message",
    [
        ({"near_duplicates": 1.5}, "near_duplicates 1.5"),
        ({"keep_duplicates": True}, "one of the two"),
    ],
)
def test_settings_that_cannot_be(corpus_settings, how, message):
    with pytest.raises(UserError, match=message):
        corpus_settings[0]("out", **how)


def test_the_standard_input_is_refused():
    with pytest.raises(UserError, match="read the text twice"):
        BuildSettings(["-"], "vocab.txt", "out", near_duplicates=0.8)
