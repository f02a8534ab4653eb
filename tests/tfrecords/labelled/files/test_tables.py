import gzip
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfbert.errors import UserError
from tfrecords.labelled.files import tables
from tfrecords.labelled.files.table_form import TableForm


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_tsv_quotes_are_text(tmp_path):
    path = write(
        tmp_path,
        "a.tsv",
        'id\tsentence\tlabel\n1\tsay "yes\tpos\n2\ta\u2028b "" c\tneg\n',
    )
    table = tables.read_table(path, ["sentence", "label"])
    assert table.columns["sentence"] == ['say "yes', 'a\u2028b "" c']
    assert table.columns["label"] == ["pos", "neg"]
    assert table.lines == [2, 3]
    assert table.where(1) == f"{path}:3"
    assert len(table) == 2


def test_csv_quoting_and_line_numbers(tmp_path):
    path = write(
        tmp_path,
        "a.csv",
        'sentence,label\r\n"one, ""two""\r\nthree",x\r\n\r\nfour,y\r\n',
    )
    table = tables.read_table(path, ["sentence", "label"])
    assert table.columns["sentence"] == ['one, "two"\r\nthree', "four"]
    assert table.lines == [3, 5]


def test_csv_cell_longer_than_the_modules_limit(tmp_path):
    path = write(tmp_path, "a.csv", "text,label\n" + "x" * 200_000 + ",y\n")
    [text] = tables.read_table(path, ["text"]).columns["text"]
    assert len(text) == 200_000


def test_jsonl_numbers_become_text(tmp_path):
    path = write(
        tmp_path,
        "a.jsonl",
        '\ufeff{"text": "a\\tb", "label": 1}\n\n{"text": "c", "label": true}\n',
    )
    table = tables.read_table(path, ["text", "label"])
    assert table.columns == {"text": ["a\tb", "c"], "label": ["1", "true"]}
    assert table.lines == [1, 3]


cells = st.text(
    st.characters(exclude_characters="\t\r\n", exclude_categories=["Cs"])
).filter(str.strip)


@given(st.lists(st.tuples(cells, cells), min_size=1))
def test_the_three_formats_agree(tmp_path_factory, rows):
    import csv

    folder = tmp_path_factory.mktemp("tables")
    tsv = "a\tb\n" + "".join(f"{a}\t{b}\n" for a, b in rows)
    write(folder, "x.tsv", tsv)
    with open(folder / "x.csv", "w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("a", "b"), *rows])
    lines = [json.dumps({"a": a, "b": b}) for a, b in rows]
    write(folder, "x.jsonl", "\n".join(lines))
    write(folder, "x.json", "[" + ",\r\n".join(lines) + "]\n")
    read = [
        tables.read_table(folder / f"x{suffix}", ["b", "a"]).columns
        for suffix in tables.FORMATS
    ]
    assert read[0] == read[1] == read[2] == read[3]
    assert read[0]["a"] == [a for a, _ in rows]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "x", "no column 'text'.*No separator was found"),
        ("a.tsv", "", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.jsonl", "", "no rows"),
        ("a.tsv", "text\tlabel\n", "no rows"),
        ("a.tsv", "text\tlabel\na\tb\nc\n", r"a\.tsv:3: 1 cells.*2 columns"),
        ("a.csv", "text,label\na,b,c\n", r"a\.csv:2: 3 cells"),
        ("a.tsv", "text\tlabel\na\t \n", r"a\.tsv:2: .*'label' is empty"),
        ("a.tsv", "text\tlabel\n\tb\n", r"a\.tsv:2: .*'text' is empty"),
        ("a.csv", 'text,label\n"a"b,c\n', r"a\.csv:2: not valid CSV"),
        ("a.csv", 'text,label\n"a,c\n', r"a\.csv:2: not valid CSV"),
        ("a.tsv", b"text\tlabel\nok\tb\n\xe9\tb\n", r"a\.tsv:3: not UTF-8"),
        ("a.tsv", "text\tlabel\ttext\na\tb\tc\n", r"two columns .* 'text'"),
        ("a.jsonl", "[1]\n", r"a\.jsonl:1: a JSON object with the keys"),
        ("a.jsonl", "{\n", r"a\.jsonl:1: not a JSON object"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: not a JSON object"),
        ("a.jsonl", "1" * 5000, r"a\.jsonl:1: not a JSON object: Exceeds"),
        ("a.json", "[]", "no rows"),
        ("a.json", "", "a.json: wanted a list of objects, or an object a line"),
        ("a.json", '{"text":\n"a"}', "begins with '{\"text\":'. pandas"),
        (
            "a.json",
            '[{"text": "a", "label": 1}, 7]',
            r"json:record 2: a JSON",
        ),
        (
            "a.json",
            '[{"text": "a", "label": 1},{"text": ',
            "record 2: the JSON",
        ),
        ("a.json", '[{"text": "a", "label": ""}]', "record 1: .*'label' is em"),
        ("a.json", '[{"text": "a", "label": nul}]', "record 1: not a JSON obj"),
        ("a.json", "[" * 100_000, "record 1: the JSON list does not end"),
        ("a.parquet", "x", "to_json"),
        ("a.xlsx", "x", "export the sheet"),
        ("a.csv", b"\xff\xfet\0", "UTF-16.*iconv -f utf-16"),
        ("a.csv", b"PAR1", "a Parquet file"),
        ("a.csv.gz", b"text", "not a sound gzip file"),
        ("a.jsonl", '{"text": null, "label": "b"}', "string or a number"),
        ("a.jsonl", '{"text": "\\ud800", "label": "b"}', "surrogate"),
        ("a.jsonl", '{"text": "a"}\n', r"a\.jsonl:1: .*no column 'label'"),
    ],
)
def test_mistakes_are_named(tmp_path, name, text, message):
    with pytest.raises(UserError, match=message):
        tables.read_table(write(tmp_path, name, text), ["text", "label"])


def test_no_such_file_and_no_file_at_all(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        tables.read_table(tmp_path / "a.tsv", ["text"])
    (tmp_path / "b.tsv").mkdir()
    with pytest.raises(UserError, match="b.tsv is a folder; a file was wanted"):
        tables.read_table(tmp_path / "b.tsv", ["text"])


def test_missing_column_lists_the_nearest_first(tmp_path):
    path = write(tmp_path, "a.tsv", "id\tlabel\tSentence\n1\tx\ty\n")
    with pytest.raises(UserError, match="no column 'sentense'.*: Sentence, "):
        tables.read_table(path, ["sentense"])


def test_packed_files_and_capitals(tmp_path):
    packed = gzip.compress(b"text\tlabel\na\tb\n")
    path = write(tmp_path, "a.TSV.GZ", packed)
    assert tables.read_table(path, ["label"]).columns == {"label": ["b"]}
    path = write(tmp_path, "a.JSONL", '{"text": "a"}')
    assert tables.read_table(path, ["text"]).columns == {"text": ["a"]}


def test_spaces_behind_commas(tmp_path):
    path = write(tmp_path, "a.csv", 'text, label\na, "b, c"\n')
    assert tables.read_table(path, ["label"]).columns == {"label": ["b, c"]}
    # They are of the cells where the header has none.
    path = write(tmp_path, "b.csv", "text,label\na, b\n")
    assert tables.read_table(path, ["label"]).columns == {"label": [" b"]}


FORMS = [
    ("a.csv", "text;label\na,b;c\n", "semicolons"),
    ("a.csv", "text\tlabel\na,b\tc\n", "tabs"),
    ("a.tsv", 'text,label\n"a,b",c\n', "commas"),
    ("a.data", "label|text\nc|a,b\n", "pipes"),
    ("a", 'text\tlabel\n"a,b"\tc\n', "tabs.*quotation marks are text"),
    ("a.tsv", '"text"\t"label"\n"a,b"\t"c"\n', "tabs.*may be quoted"),
    ("a.txt", 'text\tlabel\n"a\nb"\tc\n', "tabs.*may be quoted"),
    ("a.json", '{"text": "a,b", "label": "c"}\n', "JSON Lines"),
    ("a", '{"text": "a,b", "label": "c"}\n', "JSON Lines"),
    ("a.json", ' [{"text": "a,b", "label": "c"}]', "a JSON list"),
    ("a.json", '[\n{\n"text": "a,b",\n"label": "c"\n}\n]', "a JSON list"),
]


@pytest.mark.parametrize(("name", "text", "form"), FORMS)
def test_a_form_is_found_by_looking(tmp_path, name, text, form):
    table = tables.read_table(write(tmp_path, name, text), ["text", "label"])
    assert table.columns["label"] == ["c"]
    assert table.columns["text"][0].replace("\n", ",").strip('"') == "a,b"
    assert re.search(form, table.form)


def test_columns_without_a_header_are_numbers(tmp_path):
    path = write(tmp_path, "a.tsv", "x\t1\t\tone, two\ny\t0\t*\tthree\n")
    table = tables.read_table(path, ["3", "1"])
    assert table.columns == {"3": ["one, two", "three"], "1": ["1", "0"]}
    assert table.lines == [1, 2]
    assert "no header" in table.form


def test_a_header_is_none_of_the_rows(tmp_path):
    path = write(tmp_path, "a.tsv", "sentence\tlabel\na\tb\nc\td\n")
    found = tables.read_table(path, ["0", "1"])
    assert found.columns["1"] == ["b", "d"] and "is the header" in found.form
    told = tables.Reading(TableForm(header=False))
    found = tables.read_table(path, ["0", "1"], reading=told)
    assert found.columns["1"] == ["label", "b", "d"]
    # A name may be a number too.
    path = write(tmp_path, "b.tsv", "1\t0\na\tb\n")
    assert tables.read_table(path, ["0"]).columns == {"0": ["b"]}
    told = tables.Reading(TableForm(header=True))
    path = write(tmp_path, "c.tsv", "x\ty\na\tb\n")
    found = tables.read_table(path, ["1"], reading=told)
    assert found.columns == {"1": ["b"]}


def test_a_form_can_be_told(tmp_path):
    path = write(tmp_path, "a.csv", 'text:label\n"a:b\n')
    told = tables.Reading(TableForm(":", quoting="none"))
    table = tables.read_table(path, ["text", "label"], reading=told)
    assert table.columns == {"text": ['"a'], "label": ["b"]}
    assert "apart by ':'" in table.form


@pytest.mark.parametrize("name", ["tab", "\\t", "\t"])
def test_a_tab_has_a_name(name):
    assert TableForm(name).separator == "\t"


def test_bad_rows_are_counted_where_they_are_left_out(tmp_path):
    text = "q\ta\tlabel\n1\t2\tx\n1\t2\n\t2\ty\n1\t2\ty\n"
    path = write(tmp_path, "a.tsv", text)
    skip = tables.Reading(bad_rows="skip")
    table = tables.read_table(path, ["q", "label"], reading=skip)
    assert table.lines == [2, 5]
    assert "2 bad rows left out (lines 3, 4)" in table.form
    with pytest.raises(UserError, match=r"a\.tsv:3: .*bad_rows skip"):
        tables.read_table(path, ["q", "label"])
    with pytest.raises(UserError, match="no column 'z'"):
        tables.read_table(path, ["z"], reading=skip)


@pytest.mark.parametrize(
    ("columns", "form", "message"),
    [
        (["0", "5"], {}, r"a:1: there is no column '5'.*3 cells"),
        (["0", "label"], {}, r"a:1: there is no column '0'.*by number"),
        (["x", "1"], {"header": False}, "no column 'x'.*numbered from 0"),
        (["9"], {"header": True}, r"no column '9'"),
        (["0"], {"separator": "::"}, "wanted a separator of tab, comma"),
        (["0"], {"quoting": "all"}, "wanted quoting of csv or none"),
    ],
)
def test_what_contradicts_the_file_is_named(tmp_path, columns, form, message):
    path = write(tmp_path, "a", "a,b,c\nd,e,f\n")
    with pytest.raises(UserError, match=message):
        reading = tables.Reading(TableForm(**form))
        tables.read_table(path, columns, reading=reading)


def test_bad_rows_are_errors_or_skipped():
    with pytest.raises(UserError, match="bad_rows of error or skip"):
        tables.Reading(bad_rows="drop")
