import json
import shutil

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords.labelled.embedding.retrieval import (
    encode,
    is_retrieval,
    read_retrieval,
)


def write_folder(folder):
    (folder / "qrels").mkdir(parents=True)
    queries = [{"_id": f"q{i}", "text": f"query {i}"} for i in range(3)]
    corpus = [
        {"_id": "d0", "title": "Head", "text": "body", "metadata": {}},
        {"_id": "d1", "text": "other"},
    ]
    for name, rows in (("queries", queries), ("corpus", corpus)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, "utf-8")
    answers = "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td0\t1\nq0\td0\t0\n"
    (folder / "qrels" / "test.tsv").write_text(answers, "utf-8")
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("beir") / "set")


def test_a_folder_is_read(whole):
    found = read_retrieval(whole)
    # A grade of 0 is no answer, and a query without one is not asked.
    assert found.query_ids == ["q1"] and found.queries == ["query 1"]
    assert found.lines == [2] and len(found) == 1
    assert found.documents == ["Head body", "other"]
    assert found.relevant == [{1: 2.0, 0: 1.0}]
    assert found.inputs() == [("query 1",)]
    assert is_retrieval(whole) and is_retrieval(whole / "qrels" / "test.tsv")
    assert not is_retrieval("train.tsv")
    assert read_retrieval(whole / "qrels" / "test.tsv") == found


def test_rows_are_queries_then_documents(whole):
    def tokenizer(texts, second, max_length):
        ids = np.array([[len(text), 1] for text in texts], np.int32)
        return {
            "input_ids": ids,
            "input_mask": np.ones_like(ids),
            "segment_ids": np.zeros_like(ids),
        }

    found = encode(read_retrieval(whole), tokenizer, 2)
    lengths = [len("query 1"), len("Head body"), len("other")]
    assert found.columns["input_ids"][:, 0, 0].tolist() == lengths
    assert found.columns["text_keys"].tolist() == [[0], [1], [2]]


ANSWERS = "qrels/test.tsv"


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        (ANSWERS, "h\nq7\td0\t1\n", r"test.tsv:2: the id 'q7' is not in .*que"),
        (ANSWERS, "h\nq1\td7\t1\n", "the id 'd7' is not in .*corpus.jsonl.*d0"),
        (ANSWERS, "h\nq1 d1 1\n", "test.tsv:2: wanted query, document and a"),
        (ANSWERS, "h\nq1\td1\tmuch\n", "test.tsv:2: wanted query, document"),
        (ANSWERS, "h\nq1\td1\t0\n", "no row with a grade above 0"),
        ("qrels/dev.tsv", None, "there is no file .*dev.tsv"),
        ("corpus.jsonl", "{", "corpus.jsonl:1: not a JSON object"),
        ("corpus.jsonl", '{"_id": 1, "text": "a"}', "wanted strings under _id"),
        ("corpus.jsonl", '{"_id": "a"}', "wanted strings under _id and text"),
        ("corpus.jsonl", "\n", "the file has no lines"),
        ("queries.jsonl", None, "there is no file .*queries.jsonl; wanted"),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "a"}\n' * 2,
            "queries.jsonl:2: the id 'q1' occurs twice",
        ),
    ],
)
def test_mistakes_are_named(whole, tmp_path, file, text, message):
    folder = tmp_path / "set"
    shutil.copytree(whole, folder)
    if text is None:
        (folder / file).unlink(missing_ok=True)
    else:
        (folder / file).write_text(text, "utf-8")
    path = folder / file if file.startswith("qrels/dev") else folder
    with pytest.raises(UserError, match=message):
        read_retrieval(path)


def test_the_file_of_answers_is_one(whole, tmp_path):
    folder = tmp_path / "set"
    shutil.copytree(whole, folder)
    (folder / ANSWERS).rename(folder / "qrels" / "dev.tsv")
    assert read_retrieval(folder).query_ids == ["q1"]
    shutil.copy(folder / "qrels" / "dev.tsv", folder / "qrels" / "train.tsv")
    with pytest.raises(UserError, match="answers dev.tsv, train.tsv; give one"):
        read_retrieval(folder)
    shutil.rmtree(folder / "qrels")
    with pytest.raises(UserError, match="got the files of answers none"):
        read_retrieval(folder)
