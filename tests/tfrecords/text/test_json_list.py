"""One JSON list as lines: whatever it holds, however it is laid out."""

import io
import json
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfbert.errors import UserError
from tfrecords.text import json_list

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def items(data, blocks=None):
    class Slow(io.BytesIO):
        def read(self, size=-1):
            return super().read(blocks or size)

    return json_list.as_lines(Slow(data), "a.json").read().splitlines()


@given(
    st.lists(VALUES, min_size=1, max_size=5),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
    st.integers(1, 9),
)
def test_every_list_comes_back(values, indent, ascii_only, blocks):
    text = json.dumps(values, indent=indent, ensure_ascii=ascii_only)
    data = text.replace("\n", "\r\n").encode("utf-8", "surrogatepass")
    found = items(data, blocks)
    assert [json.loads(item) for item in found] == values
    assert found == items(data)


def test_an_empty_list_has_no_items():
    assert items(b"\xef\xbb\xbf [ \n ] \n") == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "record 1: the JSON list does not end"),
        (b"[1, 2", "record 2: the JSON list does not end"),
        (b'[1, "a\\"]', "record 2: the JSON list does not end"),
        (b"[1, 2,]", "record 3: nothing stands before the end"),
        (b"[,1]", "record 1: nothing stands before the comma"),
        (b"[1]\n[2]", r"there is '\[' outside of it"),
        (b"[1]x", "there is 'x' outside of it"),
        (b"x[1]", "there is 'x' outside of it"),
        (b'"a"', "outside of it"),
    ],
)
def test_what_is_no_list_is_told(data, message):
    with pytest.raises(UserError, match=f"a.json:? ?.*{message}"):
        items(data)


def test_numbers_of_items_say_what_they_are():
    number = json_list.Record(3)
    assert f"a.json:{number}" == "a.json:record 3"
    assert f"{json_list.Record(12345):,}" == "12,345"
    assert json.dumps({"line": number}) == '{"line": 3}'


@pytest.mark.long
def test_memory_does_not_grow_with_the_list(tmp_path):
    path = tmp_path / "a.json"
    row = json.dumps({"text": "word " * 40, "label": "good"}).encode()
    with open(path, "wb") as file:
        file.write(b"[" + row)
        for _ in range(1000):
            file.write((b", " + row) * 1000)
        file.write(b"]")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open(path, "rb") as file:
        count = sum(1 for _ in json_list.as_lines(file, "a.json"))
    assert count == 1_000_001
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 20_000  # KiB; the file has 230 MB.
