import gzip
import json
import os
import subprocess
import sys

import pytest

from tfbert.errors import UserError
from tfbert.text import tokenizer_settings
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import SPECIAL_TOKENS, read_vocabulary
from tfrecords.storage.manifest import Manifest
from trainers import command, records, vocab
from trainers.files import exit_status

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


def test_cased(corpus, tmp_path):
    tokens = run(corpus, tmp_path / "vocab.txt", "--cased")
    assert {"T", "##ï"} <= set(tokens)


def test_the_case_travels_with_the_vocabulary(corpus, tmp_path, capsys):
    output = tmp_path / "vocab.txt"
    run(corpus, output, "--cased")
    argv = ["--input", str(corpus), "--vocab", str(output), "--max_length"]
    argv += ["16", "--processes", "1", "--output"]
    records.main([*argv, str(tmp_path / "r")])
    assert "Building cased rows" in capsys.readouterr().out
    assert Manifest.read(tmp_path / "r").tokenizer == {"lowercase": False}
    assert tokenizer_settings.read_case(tmp_path) is False
    with pytest.raises(UserError, match="for cased text.*give --cased"):
        records.main([*argv, str(tmp_path / "s"), "--lowercase", "true"])
    with pytest.raises(UserError, match="--cased and --lowercase true"):
        run(corpus, tmp_path / "x.txt", "--cased", "--lowercase", "true")
    # Another case beside it would be lost.
    with pytest.raises(UserError, match="do_lower_case false of another"):
        run(corpus, tmp_path / "uncased.txt")
    # Replaced, it is what the new one is; extended, what the old one was.
    run(corpus, output, "--overwrite")
    assert tokenizer_settings.read_case(tmp_path) is True
    with pytest.raises(UserError, match="for uncased text.*leave --cased"):
        records.main([*argv, str(tmp_path / "s"), "--cased"])
    cased = tmp_path / "old" / "vocab.txt"
    cased.parent.mkdir()
    run(corpus, cased, "--cased")
    more = tmp_path / "old" / "more.txt"
    vocab.main(
        [
            *("--input", str(corpus), "--output", str(more)),
            *("--size", "110", "--extend", str(cased)),
        ]
    )
    assert "cased." in capsys.readouterr().out


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
    with pytest.raises(UserError, match="vocab.txt is a file, and a folder"):
        run(corpus, output / "x")
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
    (corpus / "notes.md").write_text("notes")
    run(corpus, tmp_path / "vocab.txt", "--on_bad_text", "skip")
    shown = capsys.readouterr().out
    assert "left out, bad_utf8: 1" in shown
    assert "left out, no_text_file: 1" in shown


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
    assert status == exit_status.USER_ERROR
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not output.exists()


@pytest.fixture
def languages(tmp_path):
    """English, and less of Russian and Chinese."""
    texts = {
        "en": "the cat sat on the mat and the dog sat on the cat. " * 40,
        "ru": "кошка сидит на коврике, собака сидит. " * 5,
        "zh": "猫坐在垫子上。狗坐在猫上。" * 5,
    }
    for name, text in texts.items():
        for part in range(2):
            (tmp_path / f"{name}-{part}.txt").write_text(text, "utf-8")
    return tmp_path


def language_flags(folder, *patterns):
    flags = [f"--language={p.split('-')[0]}={folder}/{p}" for p in patterns]
    return [*flags, "--size", "120"]


def test_languages_are_weighted_and_reported(languages, tmp_path, capsys):
    output = tmp_path / "vocab.txt"
    flags = language_flags(languages, "zh-*.txt", "en-*.txt", "ru-*.txt")
    vocab.main([*flags, "--temperature", "0.5", "--output", str(output)])
    assert {"cat", "кошка", "猫"} <= set(read_vocabulary(output))
    lines = capsys.readouterr().out.splitlines()
    rows = {
        name: line.removeprefix(f"  {name}").split()
        for line in lines
        for name in (
            "language",
            "share of words",
            "share learnt from",
            "character coverage",
            "[UNK] words",
            "pieces per word",
        )
        if line.startswith(f"  {name}")
    }
    assert rows["language"] == ["en", "ru", "zh"]
    words = {"en": 2 * 40 * 14, "ru": 2 * 5 * 8, "zh": 2 * 5 * 13}
    roots = {name: count**0.5 for name, count in words.items()}
    for row, shares in (
        ("share of words", words),
        ("share learnt from", roots),
    ):
        whole = sum(shares.values())
        assert rows[row] == [f"{x / whole:.2%}" for x in shares.values()]
    assert rows["character coverage"] == ["100.0000%"] * 3
    assert rows["[UNK] words"] == ["0.0000%"] * 3
    assert rows["pieces per word"][2] == "1.000"


def in_another_process(runs: list[list[str]]) -> None:
    """Runs the verb with one thread and other hashes of strings."""
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import json, sys; from trainers import vocab\n"
            "for argv in json.loads(sys.argv[1]): vocab.main(argv)",
            json.dumps(runs),
        ],
        env={**os.environ, "RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "7"},
        check=True,
        capture_output=True,
    )


@pytest.mark.long
def test_same_bytes_for_any_order_and_number_of_threads(
    corpus, languages, tmp_path
):
    old = tmp_path / "old.txt"
    old.write_text("\n".join([*SPECIAL_TOKENS, "a", "##t", "на"]), "utf-8")
    forwards = language_flags(languages, "ru-*.txt", "en-*.txt", "zh-*.txt")
    backwards = language_flags(
        languages, "zh-1.txt", "en-1.txt", "zh-0.txt", "ru-*.txt", "en-0.txt"
    )
    files = sorted(map(str, corpus.iterdir()), reverse=True)
    one = ["--size", "100", "--input"]
    extend = ["--extend", str(old)]
    pairs = [
        ([*one, str(corpus)], [*one, *files]),
        (forwards, backwards),
        ([*extend, *forwards], [*extend, *backwards]),
    ]
    outputs = [
        [tmp_path / f"{number}-{side}.txt" for side in range(2)]
        for number in range(len(pairs))
    ]
    for (argv, _), (output, _) in zip(pairs, outputs, strict=True):
        vocab.main([*argv, "--output", str(output)])
    in_another_process(
        [
            [*argv, "--output", str(output)]
            for (_, argv), (_, output) in zip(pairs, outputs, strict=True)
        ]
    )
    for first, second in outputs:
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "got neither"),
        (["--input=en-0.txt", "--language=ru=ru-0.txt"], "got both"),
        (["--language", "en-0.txt"], "wanted NAME=FILES"),
        (["--language", "=en-0.txt"], "wanted NAME=FILES"),
        (["--language", "en="], "wanted NAME=FILES"),
        (
            ["--language=en=*-*.txt", "--language=ru=ru-0.txt"],
            "ru-0.txt is named for two languages, en and ru",
        ),
        (["--language=en=en-0.txt", "--temperature=2"], "temperature is 2.0"),
        (["--language=en=en-0.txt", "--language=no=none.txt"], "language no"),
    ],
)
def test_mistakes_with_languages(
    languages, monkeypatch, capsys, flags, message
):
    monkeypatch.chdir(languages)
    (languages / "none.txt").write_text("\n")
    argv = [*flags, "--output", "vocab.txt"]
    assert command.run(vocab.main, argv) == exit_status.USER_ERROR
    assert message in capsys.readouterr().err
    assert not (languages / "vocab.txt").exists()


def test_extend(corpus, tmp_path, capsys):
    old = tmp_path / "old.txt"
    before = run(corpus, old, "--exclude", corpus / "c.jsonl")
    output = tmp_path / "new.txt"
    after = run(corpus, output, "--extend", old, "--size", len(before) + 8)
    assert after[:-8] == before
    assert after[-8:-4] == ["j", "l", "##j", "##l"]
    assert after[-1] == "jsonl"
    shown = capsys.readouterr().out
    assert f"the first {len(before)} as they were" in shown
    for wanted in ("[UNK] words, before", "pieces per word, before"):
        assert wanted in shown
    with pytest.raises(UserError, match="ask for more than"):
        run(corpus, tmp_path / "x.txt", "--extend", old, "--size", len(before))


def test_the_old_vocabulary_is_read_once(corpus, tmp_path, reads):
    old = tmp_path / "old.txt"
    before = run(corpus, old)
    reads.clear()
    size = len(before) + 1
    run(corpus, tmp_path / "new.txt", "--extend", old, "--size", size)
    assert reads.count("old.txt") == 1


def test_help_has_an_example(capsys):
    with pytest.raises(SystemExit) as exit:
        vocab.main(["--help"])
    assert exit.value.code == 0
    assert "tfbert vocab --input" in capsys.readouterr().out


def test_counts_go_on_after_a_kill(languages, tmp_path, capsys, monkeypatch):
    from tfbert.vocabulary import saved_counts, word_counts

    monkeypatch.setattr(word_counts, "_BATCH_BYTES", 1)
    monkeypatch.setattr(saved_counts, "SECONDS", 0.0)
    flags = language_flags(languages, "en-*.txt", "zh-*.txt")
    wanted, found = tmp_path / "wanted.txt", tmp_path / "found.txt"
    vocab.main([*flags, "--output", str(wanted)])
    with monkeypatch.context() as patch:
        patch.setattr(vocab, "WordMixture", None)  # Counted, not learnt.
        with pytest.raises(TypeError):
            vocab.main([*flags, "--output", str(found)])
    assert sorted(p.name for p in tmp_path.glob("found*")) == [
        "found.txt.counts-0",
        "found.txt.counts-1",
    ]
    with pytest.raises(UserError, match="another on_bad_text: error, not"):
        vocab.main([*flags, "--output", str(found), "--on_bad_text", "skip"])
    capsys.readouterr()
    # What is learnt of the counts may be otherwise.
    vocab.main([*flags, "--output", str(found)])
    assert "Going on with" in capsys.readouterr().out
    assert found.read_bytes() == wanted.read_bytes()
    assert [p.name for p in tmp_path.glob("found*")] == ["found.txt"]
