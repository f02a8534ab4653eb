"""Labelled files as they are published are read without preparation.

The rows are made up; their form is that of the published files.
"""

import json

import pytest

from tfbert.text.tokenizer import Tokenizer
from trainers.finetune import build_parser
from trainers.finetuning.data import load_data
from trainers.finetuning.settings import FinetuningSettings
from trainers.settings.sections import parse_settings

MNLI = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\t"
    "sentence2_binary_parse\tsentence1_parse\tsentence2_parse\tsentence1\t"
    "sentence2\tlabel1\t{more}gold_label\n"
)
PARSES = "( a b )\t( a b )\t(ROOT (X a))\t(ROOT (X b))"


def mnli(votes):
    more = "".join(f"label{vote}\t" for vote in range(2, votes + 1))
    rows = [
        f'{place}\t{place}\t{place}n\tfiction\t{PARSES}\tHe said "no.\tNo.\t'
        + f"{label}\t" * votes
        + f"{label}\n"
        for place, label in enumerate(["neutral", "entailment"])
    ]
    return MNLI.format(more=more) + "".join(rows)


def stsb(score):
    return (
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\t"
        "sentence1\tsentence2\tscore\n"
        "0\tmain-captions\tMSRvid\t2012test\t1\tnone\tnone\tA man.\tMen.\t"
        f"{score}\n1\tmain-news\tx\t2015\t2\thttp://a\tnone\tOne.\tTwo.\t0.0\n"
    )


# Name of the form -> files, options, and the training examples expected.
FILES = {
    "CoLA": (
        {"train.tsv": 'gj04\t1\t\tSay "so.\ngj04\t0\t*\tThem, go.\n'},
        "--data.text_columns 3 --data.label_column 1",
        [('Say "so.', "1"), ("Them, go.", "0")],
    ),
    "SST-2": (
        {"train.tsv": "sentence\tlabel\nno one 's \t0\n, warm \t1\n"},
        "--data.text_columns sentence",
        [("no one 's ", "0"), (", warm ", "1")],
    ),
    "MRPC": (
        {
            "train.txt": "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n"
            '1\t70\t71\t" I see ," he said .\tHe saw "\r\n'
            "0\t72\t73\tOne .\tTwo .\r\n"
        },
        "--data.text_columns '#1 String,#2 String' --data.label_column Quality",
        [('" I see ," he said .', 'He saw "', "1"), ("One .", "Two .", "0")],
    ),
    "QQP": (
        {
            "train.tsv": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
            '1\t2\t3\tWhat is "a"?\tIs it?\t0\n4\t5\t6\tHow\n'
            "7\t8\t9\tA?\tB?\t1\n"
        },
        "--data.text_columns question1,question2 --data.label_column "
        "is_duplicate --data.bad_rows skip",
        [('What is "a"?', "Is it?", "0"), ("A?", "B?", "1")],
    ),
    "STS-B": (
        {"train.tsv": stsb("5.000")},
        "--task regression --data.text_columns sentence1,sentence2 "
        "--data.label_column score",
        [("A man.", "Men.", "5.000"), ("One.", "Two.", "0.0")],
    ),
    "MNLI": (
        {"train.tsv": mnli(1), "dev_matched.tsv": mnli(5)},
        "--data.text_columns sentence1,sentence2 --data.label_column "
        "gold_label --data.validation dev_matched.tsv",
        [('He said "no.', "No.", "neutral")],
    ),
    "QNLI": (
        {
            "train.tsv": "index\tquestion\tsentence\tlabel\n0\tWho?\tIt is "
            '"x.\tentailment\n1\tWhy?\tNo.\tnot_entailment\n'
        },
        "--data.text_columns question,sentence",
        [("Who?", 'It is "x.', "entailment")],
    ),
    "RTE": (
        {
            "train.tsv": "index\tsentence1\tsentence2\tlabel\n"
            "0\tOne.\tTwo.\tnot_entailment\n1\tTwo.\tOne.\tentailment\n"
        },
        "--data.text_columns sentence1,sentence2",
        [("One.", "Two.", "not_entailment")],
    ),
    "AG News": (
        {
            "train.csv": '"3","Bears, ""back""","Of\\band of them."\n'
            '"1","Up","Down"\n'
        },
        "--data.text_columns 1,2 --data.label_column 0",
        [('Bears, "back"', "Of\\band of them.", "3"), ("Up", "Down", "1")],
    ),
    "Amazon reviews": (
        {
            "train.json": "".join(
                json.dumps(row) + "\n"
                for row in (
                    {"reviewerID": "A", "reviewText": "Fine.", "overall": 5.0},
                    {"reviewerID": "B", "reviewText": "", "overall": 2.0},
                    {"reviewerID": "C", "overall": 2.0},
                    {"reviewerID": "D", "reviewText": "No.", "overall": 1.0},
                )
            )
        },
        "--data.text_columns reviewText --data.label_column overall "
        "--data.bad_rows skip",
        [("Fine.", "5.0"), ("No.", "1.0")],
    ),
    "Yelp reviews": (
        {
            "train.json": '{"review_id": "a", "stars": 4.0, "text": "A\\nB"}\n'
            '{"review_id": "b", "stars": 1.0, "text": "C"}\n'
        },
        "--data.label_column stars",
        [("A\nB", "4.0"), ("C", "1.0")],
    ),
    "BANKING77": (
        {
            "train.csv": "text,category\nWhere is it?,card_arrival\n"
            '"Is ""it"", or\nnot?",lost\n'
        },
        "--data.label_column category",
        [("Where is it?", "card_arrival"), ('Is "it", or\nnot?', "lost")],
    ),
}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory, vocabulary):
    folder = tmp_path_factory.mktemp("tokenizer")
    Tokenizer(vocabulary).save(folder)
    return folder


@pytest.fixture
def load(tmp_path, tokenizer, monkeypatch):
    """Returns a function (files, options) -> the data of a run."""
    import shlex

    def read(files, options):
        monkeypatch.chdir(tmp_path)
        for name, text in files.items():
            (tmp_path / name).write_bytes(text.encode())
        argv = ["--data.train", next(iter(files)), "--data.tokenizer"]
        argv += [str(tokenizer), *shlex.split(options)]
        settings = parse_settings(build_parser(), FinetuningSettings, argv)
        return settings, load_data(settings)

    return read


@pytest.mark.parametrize("name", FILES)
def test_tables_as_published(load, name):
    files, options, expected = FILES[name]
    settings, data = load(files, options)
    train = data.kind.read(settings.data.train, settings.data)
    found = [
        (*texts, label)
        for texts, label in zip(train.inputs(), train.labels, strict=True)
    ]
    assert found[: len(expected)] == expected
    assert len(data.train) == len(found) == 2
    # What was found by looking is told before training.
    assert any(f"{train.path}: " in line for line in data.account())


def test_conll_2003(load):
    text = "-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\nis VBZ I-VP O\n\n"
    text += "-DOCSTART- -X- -X- O\n\nBonn NNP I-NP I-LOC\n\n"
    _, data = load({"eng.train": text}, "--task token_labelling")
    assert data.num_examples == 2
    assert data.kind.labels == ["O", "B-LOC", "I-LOC", "B-ORG", "I-ORG"]


@pytest.mark.parametrize("version", ["1.1", "v2.0"])
def test_squad(load, version):
    question = {
        "id": "a",
        "question": "Who?",
        "answers": [{"text": "Ann", "answer_start": 0}],
    }
    questions = [question]
    if version == "v2.0":
        question["is_impossible"] = False
        plausible = [{"text": "left", "answer_start": 4}]
        questions.append(
            {
                "id": "b",
                "question": "Why?",
                "answers": [],
                "is_impossible": True,
                "plausible_answers": plausible,
            }
        )
    paragraph = {"qas": questions, "context": "Ann left."}
    text = json.dumps(
        {
            "data": [{"title": "T", "paragraphs": [paragraph]}],
            "version": version,
        }
    )
    name = f"train-v{version.strip('v')}.json"
    _, data = load({name: text}, "--task question_answering")
    assert data.num_examples == len(questions)
