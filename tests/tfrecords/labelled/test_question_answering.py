import json
import random

import numpy as np
import pytest

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfrecords.labelled import question_rows
from tfrecords.labelled.question_answering import Answer, read_examples

CONTEXT = "\U0001f600 é e\u0301 東京 is big."


def squad(*questions, context=CONTEXT):
    paragraph = {"context": context, "qas": list(questions)}
    return {"data": [{"title": "t", "paragraphs": [paragraph]}]}


def question(name="q", text="big", start=13, **more):
    answers = [{"text": text, "answer_start": start}]
    return {"id": name, "question": "what ?", "answers": answers, **more}


@pytest.fixture
def write(tmp_path):
    def write(content, name="data.json"):
        path = tmp_path / name
        if not isinstance(content, str):
            content = json.dumps(content)
        path.write_text(content, encoding="utf-8")
        return path

    return write


def test_a_list_of_questions_is_read_as_lines_are(write):
    rows = [
        {**question(name), "context": "a b c", "answers": []} for name in "xy"
    ]
    found = read_examples(write(rows))
    lines = read_examples(write("\n".join(map(json.dumps, rows)), "a.jsonl"))
    assert found.questions == lines.questions and found.ids == ["x", "y"]
    assert found.lines == lines.lines == [1, 2]


def test_squad_2(write):
    none = {
        **question("none", is_impossible=True),
        "answers": [],
        "plausible_answers": [{"text": "x", "answer_start": 99}],
    }
    two = question("two")
    two["answers"].append({"text": "東京", "answer_start": 7})
    read = read_examples(write(squad(question("one"), none, two)))
    assert read.ids == ["one", "none", "two"]
    assert read.lines == [1, 2, 3]
    assert read.answers[1] == []
    assert read.answers[2] == [Answer("big", 13), Answer("東京", 7)]
    assert read.unanswerable == 1
    for context, answers in zip(read.contexts, read.answers, strict=True):
        for answer in answers:
            assert context[answer.start : answer.end] == answer.text
    assert read.inputs()[0] == ("what ?", CONTEXT)


def test_json_lines(write):
    rows = [
        {"context": CONTEXT, **question("x")},
        {"question": "q", "context": "abc", "answers": []},
        {
            "question": "q",
            "context": "abc",
            "answers": {"text": ["b", "c"], "answer_start": [1, 2]},
        },
    ]
    text = "\n\n".join(map(json.dumps, rows))
    read = read_examples(write(text, "data.jsonl"))
    assert read.lines == [1, 3, 5]
    assert read.ids == ["x", "3", "5"]
    assert read.answers[1:] == [[], [Answer("b", 1), Answer("c", 2)]]


def test_a_misplaced_answer_is_named_or_counted(write):
    wrong, lost = question("wrong", "東京", 8), question("lost", "Paris", 1)
    half = question("half")
    half["answers"].append({"text": "東京", "answer_start": -1})
    path = write(squad(question("fine"), wrong, lost, half))
    message = "article 1, paragraph 1, question wrong: the answer '東京' is not"
    with pytest.raises(UserError, match=message) as caught:
        read_examples(path)
    assert "it counts characters" in str(caught.value)
    assert "the answer stands at 7" in str(caught.value)
    read = read_examples(path, skip_misplaced=True)
    assert read.ids == ["fine", "half"]
    assert (read.misplaced, read.dropped) == (3, 2)
    path = write(squad(lost), "lost.json")
    with pytest.raises(UserError, match="does not hold the answer at all"):
        read_examples(path)
    with pytest.raises(UserError, match="no question to use"):
        read_examples(path, skip_misplaced=True)


ANSWERS = '"answers" should be a list of objects'


@pytest.mark.parametrize(
    "content,message",
    [
        ("{", r"data.json:1: not JSON"),
        ('{"data":' + "[" * 100_000, "nested too deeply"),
        ('{\n"data": ]}', r"data.json:2: not JSON"),
        ('{"data": ' + "1" * 5000 + "}", "not JSON: Exceeds the limit"),
        ('"data"', "data.json: a JSON object was wanted, not"),
        ([], "data.json: the file has no question"),
        ([3], "data.json:record 1: a JSON object was wanted, not '3'"),
        ([{"question": "Who?"}], 'json:record 1: "context" should be text'),
        ({"version": 1}, 'a list "data" was wanted.*keys are: version'),
        ({"data": [{}]}, 'article 1: a list "paragraphs" was wanted'),
        ({"data": [{"paragraphs": [3]}]}, "paragraph 1: a JSON object was"),
        (squad(3), "paragraph 1, question 1: a JSON object was wanted"),
        (squad(question(), question()), "json: article 1.* that of .* too"),
        (squad(question([])), r"\[\] is neither a string nor"),
        (squad(question(question=" ")), '"question" should be text'),
        (squad(question(), context=7), '"context" should be text, not 7'),
        (squad(question(), context="\ud83d"), "half of a surrogate pair"),
        (squad(question(text="")), '"text" should be text'),
        (squad(question(start="13")), '"answer_start" should be a whole'),
        (squad(question(start=True)), '"answer_start" should be a whole'),
        (squad(question(answers=None)), ANSWERS),
        (squad(question(answers={"text": ["b"]})), ANSWERS),
        (
            squad(question(answers={"text": ["b"], "answer_start": []})),
            ANSWERS,
        ),
        (squad(question(is_impossible=True)), ANSWERS),
    ],
)
def test_broken_files(write, content, message):
    with pytest.raises(UserError, match=f"(?s){message}"):
        read_examples(write(content))


def test_broken_lines_and_endings(write):
    good = json.dumps({"context": CONTEXT, **question()})
    for bad, message in (("{", "not a JSON object"), ("3", "a JSON object")):
        with pytest.raises(UserError, match=f"data.jsonl:2: {message}"):
            read_examples(write(f"{good}\n{bad}", "data.jsonl"))
    with pytest.raises(UserError, match="files that end in .json"):
        read_examples(write("x", "data.tsv"))


VOCABULARY = "[PAD] [UNK] [CLS] [SEP] [MASK] a b ##a ##b é 東 京 . !".split()


def draw_file(seed):
    draw = random.Random(seed)
    words = "a b ab ba É e\u0301 東京 . \U0001f600 ﬁ \u200b".split(" ")
    questions = []
    for _ in range(40):
        context = " ".join(draw.choices(words, k=draw.randrange(1, 40))) + "a"
        start = draw.randrange(len(context))
        text = context[start : start + draw.randrange(1, 9)].strip() or "a"
        start = context.index(text)
        answers = [{"text": text, "answer_start": start}] * draw.randrange(2)
        questions.append(
            {
                "question": "ab " * draw.randrange(1, 5),
                "context": context,
                "answers": answers,
            }
        )
    return "\n".join(map(json.dumps, questions))


def test_targets_hold_the_answer(write):
    examples = read_examples(write(draw_file(0), "data.jsonl"))
    options = {"window_stride": 3, "max_question_length": 6}
    encoded = question_rows.encode(
        examples, Tokenizer(VOCABULARY), max_length=16, **options
    )
    assert encoded.sequence_length == 16
    starts = encoded.columns["start_positions"]
    ends = encoded.columns["end_positions"]
    held = {}
    for row, n in enumerate(encoded.example):
        first, column = encoded.first[row], encoded.column[row]
        own = slice(encoded.splits[n], encoded.splits[n + 1])
        spans = list(zip(encoded.starts[own], encoded.ends[own], strict=True))
        window = spans[first : first + encoded.count[row]]
        if not starts[row]:
            assert not ends[row]
        else:
            # The columns are those of the characters of the answer.
            answer = examples.answers[n][0]
            got = window[starts[row] - column : ends[row] - column + 1]
            want = [
                s for s in spans if s[1] > answer.start and s[0] < answer.end
            ]
            assert got == want
            held[n] = True
    # Long enough windows hold every answer that has a token.
    for n, answers in enumerate(examples.answers):
        if not answers:
            assert n not in held
    assert len(held) > 10
    assert encoded.windowed == len(set(encoded.example[encoded.first > 0]))
    assert len(encoded) == len(encoded.example)


def test_answers_that_no_window_holds_are_counted(write):
    def row(context, text):
        answers = [{"text": text, "answer_start": context.index(text)}]
        return {"question": "a", "context": context, "answers": answers}

    rows = [
        row("a b " * 8, "b a b a b a b a b a"),
        row("a b " * 8, "b a"),
        row("a b \u200b", "\u200b"),
        {"question": "a", "context": "a", "answers": []},
    ]
    examples = read_examples(
        write("\n".join(map(json.dumps, rows)), "data.jsonl")
    )
    options = {"window_stride": 4, "max_question_length": 4}
    encoded = question_rows.encode(
        examples, Tokenizer(VOCABULARY), max_length=12, **options
    )
    assert encoded.unheld == 2
    assert encoded.with_length(12).unheld == 2


def test_ids_of_some_questions_only(write):
    rows = [
        {"question": "a", "context": "a", "answers": []},
        {"question": "a", "context": "a", "answers": [], "id": "1"},
        {"question": "b", "context": "a", "answers": [], "id": 3},
        {"question": "c", "context": "a", "answers": []},
    ]
    path = write("\n".join(map(json.dumps, rows)), "data.jsonl")
    found = read_examples(path)
    assert found.ids == ["without id 1", "1", "3", "4"]


def test_lengths_change_padding_only(write):
    examples = read_examples(write(draw_file(1), "data.jsonl"))
    tokenizer = Tokenizer(VOCABULARY)
    options = {"window_stride": 50, "max_question_length": 6}
    encoded = question_rows.encode(
        examples, tokenizer, max_length=100, **options
    )
    assert encoded.sequence_length % 8 == 0
    assert encoded.windowed == encoded.full_rows == 0
    longer = encoded.with_length(120)
    assert longer.sequence_length == 120
    again = longer.with_length(encoded.sequence_length)
    for key, value in encoded.columns.items():
        np.testing.assert_array_equal(again.columns[key], value)
    with pytest.raises(ValueError, match="would cut tokens off"):
        encoded.with_length(8)


def test_an_answer_without_tokens_has_no_span():
    starts, ends = np.array([0, 4]), np.array([2, 6])
    assert question_rows.token_span(Answer("x", 2), starts, ends) is None
    assert question_rows.token_span(Answer("xxx", 1), starts, ends) == (0, 0)
    assert question_rows.token_span(Answer("xxxx", 1), starts, ends) == (0, 1)
