import gzip
import json
import os
import subprocess
import sys

import pytest

from tfbert.errors import UserError
from tfbert.tokenization import Tokenizer
from tfbert.vocabulary import SPECIAL_TOKENS, read_vocabulary
from trainers import command, vocab

TEXT = "The cat sat on the mat.\n\nA dog, the dog! Cats and dogs; naïve.\n"


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "corpus"
    folder.mkdir()
    (folder / "a.txt").write_text(TEXT * 3, "utf-8")
    with gzip.open(folder / "b.txt.gz", "wt", encoding="utf-8") as stream:
        stream.write("More cats and more dogs.\n" * 3)
    line = json.dumps({"text": "jsonl jsonl", "id": 1}) + "\n"
    (folder / "c.jsonl").write_text(line, "utf-8")
    return folder


def run(corpus, output, *more):
    vocab.main(
        ["--input", str(corpus), "--output", str(output), "--size", "100"]
        + [str(value) for value in more]
    )
    return read_vocabulary(output)


def test_learns_writes_and_reports(corpus, tmp_path, capsys):
    output = tmp_path / "vocab.txt"
    tokens = run(corpus, output)
    assert tuple(tokens[:5]) == SPECIAL_TOKENS
    assert {"the", "cat", "dog", "jsonl", "more"} <= set(tokens)
    tokenizer = Tokenizer(output)
    assert tokenizer.tokens(tokenizer(["The dog"])) == [["the", "dog"]]
    shown = capsys.readouterr().out
    for wanted in ("character coverage", "[UNK] words", "pieces per word"):
        assert wanted in shown
    assert f"Wrote {output}" in shown


def test_same_bytes_for_any_order_and_number_of_threads(corpus, tmp_path):
    first = tmp_path / "first.txt"
    run(corpus, first)
    names = sorted(corpus.iterdir(), reverse=True)
    second = tmp_path / "second.txt"
    subprocess.run(
        [sys.executable, "-m", "trainers.vocab", "--size", "100"]
        + ["--output", str(second), "--input", *map(str, names)],
        env={**os.environ, "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )
    assert first.read_bytes() == second.read_bytes()


def test_cased(corpus, tmp_path):
    tokens = run(corpus, tmp_path / "vocab.txt", "--cased")
    assert {"T", "##ï"} <= set(tokens)


def test_exclude(corpus, tmp_path):
    output = tmp_path / "vocab.txt"
    tokens = run(corpus, output, "--exclude", corpus / "c.jsonl")
    assert "jsonl" not in tokens
    with pytest.raises(UserError, match="leaves out every file"):
        run(corpus, tmp_path / "none.txt", "--exclude", corpus)


def test_output_in_use(corpus, tmp_path):
    output = tmp_path / "vocab.txt"
    output.write_text("precious")
    with pytest.raises(UserError, match="--overwrite"):
        run(corpus, output)
    assert output.read_text() == "precious"
    run(corpus, output, "--overwrite")
    with pytest.raises(UserError, match="is there already"):
        run(corpus, tmp_path)


def test_not_utf8(corpus, tmp_path):
    (corpus / "bad.txt").write_bytes(b"fine\nbad \xff\n")
    output = tmp_path / "vocab.txt"
    with pytest.raises(UserError, match=r"bad.txt, line 2.*not UTF-8"):
        run(corpus, output)
    assert not output.exists()
    run(corpus, output, "--on_bad_text", "skip")


def test_skipped_lines_are_counted(corpus, tmp_path, capsys):
    (corpus / "bad.txt").write_bytes(b"fine\nbad \xff\n")
    run(corpus, tmp_path / "vocab.txt", "--on_bad_text", "skip")
    assert "rejected lines, bad_utf8" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        (None, 100, "no text found"),
        ("", 100, "holds no words"),
        ("some text", 6, "6 tokens"),
        ("some text with letters", 12, "has no room"),
    ],
)
def test_mistakes_end_with_one_message(tmp_path, capsys, text, size, message):
    source = tmp_path / "text.txt"
    if text is not None:
        source.write_text(text)
    output = tmp_path / "vocab.txt"
    argv = ["--input", str(source), "--output", str(output)]
    status = command.run(vocab.main, [*argv, "--size", str(size)])
    assert status == command.STATUS_USER_ERROR
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not output.exists()


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as exit:
        vocab.main(["--help"])
    assert exit.value.code == 0
    assert "tfbert vocab --input" in capsys.readouterr().out
