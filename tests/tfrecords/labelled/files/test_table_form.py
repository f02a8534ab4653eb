"""Cells of a file: which lines, and at what price in memory."""

import io
import tracemalloc

import pytest

from tfrecords.labelled.files import table_form
from tfrecords.labelled.files.tables import read_table


@pytest.mark.parametrize("name", ["d.csv", "d.tsv"])
def test_reading_takes_little_more_than_file_and_cells(tmp_path, name):
    mark = "," if name.endswith("csv") else "\t"
    row = "a text of some length as reviews are " * 20
    path = tmp_path / name
    with open(path, "w") as stream:
        stream.write(f"text{mark}label\n")
        for number in range(3000):
            stream.write(f"{row}{number}{mark}good or bad\n")
    tracemalloc.start()
    table = read_table(path, ["text", "label"])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * path.stat().st_size
    assert len({id(label) for label in table.columns["label"]}) == 1


@pytest.mark.parametrize(
    "text", ['a,b\r\nc,d\re,f\n\n\r\ng,"h\r\ni\rj\nk"\u2028', "", "\n", "a"]
)
def test_lines_are_those_of_a_file(text):
    assert list(table_form._lines(text)) == list(io.StringIO(text, newline=""))
