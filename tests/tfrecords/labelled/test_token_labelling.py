import gzip
import json

import pytest

from tfbert.errors import UserError
from tfrecords.labelled.files.tags import IllegalTag, detect_scheme, to_bio
from tfrecords.labelled.token_labelling import read_sentences

# One sentence: two spans of A in a row, one of B, in each scheme.
SPANS = {
    "IOB1": "I-A I-A B-A O I-B",
    "IOB2": "B-A I-A B-A O B-B",
    "BIOES": "B-A E-A S-A O S-B",
}
BIO = SPANS["IOB2"].split()


@pytest.mark.parametrize("scheme", SPANS)
def test_schemes_become_bio(scheme):
    tags = SPANS[scheme].split()
    assert detect_scheme([["O"], tags]) == scheme
    assert to_bio(tags, scheme) == BIO


def test_other_schemes():
    bilou = "B-A L-A U-A O U-B".split()
    assert detect_scheme([bilou]) == "BIOES"
    assert to_bio(bilou, "BIOES") == BIO
    inside = "I-A I-A I-B O I-B".split()
    assert detect_scheme([inside]) == "IO"
    assert to_bio(inside, "IO") == "B-A I-A B-B O B-B".split()
    assert to_bio("A A B O B".split(), "IO") == to_bio(inside, "IO")
    plain = "NOUN VERB ADP X-Y O".split()
    assert detect_scheme([plain]) == "plain"
    assert to_bio(plain, "plain") == plain
    assert detect_scheme([["O", "O"]]) == "IO"
    # BIO of nothing else than whole spans of one word.
    assert detect_scheme([["B-A", "B-A"]]) == "IOB2"


@pytest.mark.parametrize(
    ("tags", "scheme", "place", "message"),
    [
        ("O I-A", "IOB2", 1, "begins with B"),
        ("B-B I-A", "IOB2", 1, "begins with B"),
        ("B-A I-A", "IOB1", 0, "does not follow"),
        ("I-A B-B", "IOB1", 1, "does not follow"),
        ("B-A E-A I-A", "BIOES", 2, "begins with B or S"),
        ("B-A O", "BIOES", 1, "cuts a span"),
        ("B-A E-B", "BIOES", 1, "begins with B or S"),
        ("S-A B-A", "BIOES", 1, "ends a sentence"),
        ("I-A B-A", "IO", 1, "no tag of the scheme IO"),
        ("B-A E-A", "IOB2", 1, "no tag of the scheme IOB2"),
        ("B-A PER", "IOB2", 1, "no tag of the scheme IOB2"),
    ],
)
def test_illegal_tags(tags, scheme, place, message):
    with pytest.raises(IllegalTag, match=message) as error:
        to_bio(tags.split(), scheme)
    assert error.value.place == place


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_columns(tmp_path):
    path = write(
        tmp_path / "a.conll",
        "-DOCSTART- -X- O O\r\n\r\n"
        "# sent_id = 1\n"
        "#  NN x B-A\n"
        "Eu\u00a0ro NN  x\tI-A\n"
        "#tag NN x O\n"
        "\n \t\n\n"
        "東京 NN x B-B",
    )
    found = read_sentences(path)
    assert found.words == [["#", "Eu\u00a0ro", "#tag"], ["東京"]]
    assert found.tags == [["B-A", "I-A", "O"], ["B-B"]]
    assert found.lines == [4, 10]
    assert found.where(0, 2) == f"{path}:6"
    assert found.has_spans and found.scheme == "IOB2"
    assert found.inputs()[1] == ("東京",)
    tags = read_sentences(path, tag_column=1)
    assert tags.tags == [["NN"] * 3, ["NN"]] and not tags.has_spans


def test_tabs(tmp_path):
    path = write(
        tmp_path / "a.iob2",
        "# text = a\tb\tc\td\n1\tNew York\tI-LOC\t-\n# \tx\tO\t-\n",
    )
    found = read_sentences(path, 1, 2, separator="tab")
    assert found.words == [["New York", "x"]]
    assert found.tags == [["B-LOC", "O"]]
    assert found.scheme == "IO"


def test_json_lines(tmp_path):
    rows = [
        {"tokens": ["a", "b"], "tags": ["B-A", "E-A"], "id": 1},
        {"tokens": ["c"], "tags": ["O"]},
    ]
    path = write(
        tmp_path / "a.jsonl", "\n\n".join(json.dumps(row) for row in rows)
    )
    found = read_sentences(path)
    assert found.words == [["a", "b"], ["c"]]
    assert found.tags == [["B-A", "I-A"], ["O"]]
    assert found.where(1, 0) == f"{path}:3"
    path = write(tmp_path / "a.json", json.dumps(rows))
    found = read_sentences(path)
    assert found.words == [["a", "b"], ["c"]]
    assert found.where(1, 0) == f"{path}:record 2"
    path = write(tmp_path / "b.jsonl", '{"w": ["a"], "pos": ["NN"]}')
    assert read_sentences(path, "w", "pos").tags == [["NN"]]


@pytest.mark.parametrize(
    ("name", "text", "options", "message"),
    [
        ("a.txt", "a O\nb\n", {}, "a.txt:2: 1 columns, but the first line"),
        ("a.txt", "a O\n\nb B-X\nc I-Y\n", {}, "a.txt:4: illegal tag.*I-Y"),
        ("a.txt", "a O\n", {"scheme": "BIO"}, "wanted a scheme of"),
        ("a.txt", "a O\n", {"separator": ","}, "wanted a separator of"),
        ("a.txt", "a O\n", {"tag_column": 2}, "a.txt:1: there is no column 2"),
        ("a.txt", "a O\n", {"tag_column": 0}, "would both come from"),
        ("a.txt", "a O\n", {"tag_column": "x"}, "columns have numbers"),
        ("a.txt", "\n\n", {}, "has no sentence"),
        ("a.txt", "a\tO\n\tO\n", {"separator": "tab"}, "2: the word is empty"),
        ("a.jsonl", "{", {}, "a.jsonl:1: not a JSON object"),
        ("a.jsonl", "\n[]", {}, "a.jsonl:2: a JSON object was wanted"),
        ("a.jsonl", '{"token": []}', {}, "'tokens' should be a list"),
        ("a.jsonl", '{"tokens": ["a", ""]}', {}, r"tokens\[1\] should be"),
        ("a.jsonl", '{"tokens": ["\\ud83d"]}', {}, "half of a surrogate"),
        ("a.jsonl", "[" * 100_000, {}, "a.jsonl:1: not a JSON object: nested"),
        ("a.jsonl", "\n" + "1" * 5000, {}, "a.jsonl:2: not a JSON object"),
        ("a.txt", "a O\nb\tc O\n", {}, "3 columns.*data.separator to tab"),
        (
            "a.jsonl",
            '{"tokens": ["a"], "tags": ["O", "O"]}',
            {},
            "1 tokens, but 2 tags",
        ),
    ],
)
def test_mistakes(tmp_path, name, text, options, message):
    with pytest.raises(UserError, match=message):
        read_sentences(write(tmp_path / name, text), **options)


@pytest.mark.parametrize("name", ["a", "empty nodes"])
def test_tokens_of_several_words_are_no_words(tmp_path, name):
    # CoNLL-U: "du" is de + le; 3.1 is not in the text.
    extra = "3.1\tx\tVERB\n" if name != "a" else ""
    path = write(
        tmp_path / "a.conllu",
        "# text = la fin du jour\n1\tla\tDET\n2\tfin\tNOUN\n"
        "3-4\tdu\t_\n3\tde\tADP\n" + extra + "4\tle\tDET\n"
        "5\tjour\tNOUN\n\n1-2\tau\t_\n1\t\u00e0\tADP\n2\tle\tX\n",
    )
    found = read_sentences(path, 1, 2, separator="tab")
    assert found.words == [["la", "fin", "de", "le", "jour"], ["\u00e0", "le"]]
    assert found.tags == [["DET", "NOUN", "ADP", "DET", "NOUN"], ["ADP", "X"]]
    assert found.where(0, 4) == f"{path}:{8 if extra else 7}"
    assert found.lines == [2, 11 if extra else 10]


def test_what_looks_like_a_range_may_be_a_word(tmp_path):
    path = write(tmp_path / "a.txt", "1 O\n2-1 B-X\n2 O\n")
    assert read_sentences(path).words == [["1", "2-1", "2"]]
    # Words that are not numbered.
    path = write(tmp_path / "b.txt", "a 1 O\n2-1 2 B-X\n")
    assert read_sentences(path, 1).words == [["1", "2"]]


def test_comment_and_documents_of_other_widths(tmp_path):
    path = write(
        tmp_path / "a.conll",
        "-DOCSTART-\n\n# id 0d1e-7f domain=train\n"
        "the _ _ O\nRome _ _ B-LOC\n-DOCSTART- -X-\n# _ _ O\n",
    )
    found = read_sentences(path)
    assert found.words == [["the", "Rome"], ["#"]]
    assert found.lines == [4, 7]


def test_words_of_white_space_are_words(tmp_path):
    path = write(tmp_path / "a.txt", "\u3000 O\n\u00a0\tB-X\n")
    assert read_sentences(path).words == [["\u3000", "\u00a0"]]
    path = write(tmp_path / "a.tsv", "\u3000\tO\n")
    assert read_sentences(path, separator="tab").words == [["\u3000"]]
    path = write(tmp_path / "a.jsonl", '{"tokens": ["\u3000"], "tags": ["O"]}')
    assert read_sentences(path).words == [["\u3000"]]


def test_tags_without_types(tmp_path):
    path = write(tmp_path / "a.txt", "a B\nb I\nc O\nd B\n")
    found = read_sentences(path)
    assert found.has_spans and found.scheme == "IOB2"
    assert found.tags == [["B-_", "I-_", "O", "B-_"]]
    # Chinese words.
    path = write(tmp_path / "b.txt", "a B\nb M\nc E\nd S\n")
    assert read_sentences(path).tags == [["B-_", "I-_", "I-_", "B-_"]]
    assert read_sentences(path, scheme="plain").tags == [list("BMES")]


def test_packed_files(tmp_path):
    path = tmp_path / "a.conll.gz"
    path.write_bytes(gzip.compress(b"a O\nb B-X\n"))
    assert read_sentences(path).words == [["a", "b"]]
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(UserError, match="not a sound gzip file"):
        read_sentences(path)
