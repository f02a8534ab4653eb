import pytest

from tfbert.errors import UserError
from tfbert.text.tokenizer import Tokenizer
from tfbert.text.vocabulary_files import (
    SPECIAL_TOKENS,
    check_vocabulary,
    read_vocabulary,
    vocabulary_hash,
    vocabulary_text,
)

TOKENS = [*SPECIAL_TOKENS, "a", "##b"]


def write(tmp_path, data: str | bytes):
    path = tmp_path / "vocab.txt"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_read(tmp_path, newline, last):
    text = newline.join(TOKENS) + newline * last
    assert read_vocabulary(write(tmp_path, text)) == TOKENS


def test_only_newlines_end_lines(tmp_path):
    tokens = [*TOKENS, "\u2028", "##\u2028", "\u0085"]
    assert read_vocabulary(write(tmp_path, "\n".join(tokens))) == tokens


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="Cannot read the vocabulary"):
        read_vocabulary(tmp_path / "vocab.txt")


def test_not_utf8(tmp_path):
    data = "\n".join(TOKENS).encode() + b"\nx\xff"
    with pytest.raises(UserError, match=r"line 8: not UTF-8 \(byte 0xFF\)"):
        read_vocabulary(write(tmp_path, data))


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ([*TOKENS, "", "c"], r"line 8: empty.* \[unused8\] in its place"),
        (
            [*TOKENS, "", ""],
            "line 8: empty.* Remove the empty lines",
        ),
        ([*TOKENS, "x\ny"], r"line 8: the token 'x\\ny' has a line break"),
        ([*TOKENS, "b\r"], r"line 8: the token 'b\\r' has a line break"),
        ([*TOKENS, "\n"], r"line 8: the token '\\n' has a line break"),
        ([*TOKENS, "a"], "line 8: the token 'a' is there already on line 6"),
        (["[PAD]", "[UNK]", "a"], r"\[CLS\], \[SEP\], \[MASK\] are missing"),
        ([], "are missing"),
    ],
)
def test_no_vocabulary(tokens, message):
    with pytest.raises(UserError, match=message):
        check_vocabulary(tokens, "vocab.txt")


def test_hash_tells_order_and_content():
    hashes = {
        vocabulary_hash(tokens)
        for tokens in (TOKENS, TOKENS[::-1], TOKENS[:-1], [*TOKENS, "c"])
    }
    assert len(hashes) == 4


@pytest.mark.parametrize("odd", ["\u2028", "a\u2029b", "\x85", "\x0b", "\xa0"])
def test_what_is_written_is_read(tmp_path, odd):
    """Other line separators are part of a token."""
    tokens = [*TOKENS, odd, "end"]
    path = write(tmp_path, vocabulary_text(tokens).encode("utf-8"))
    assert read_vocabulary(path) == tokens
    assert Tokenizer(tokens).vocabulary == tokens


def test_a_line_break_inside_of_a_file(tmp_path):
    data = vocabulary_text([*TOKENS, "a\rb"]).encode()
    with pytest.raises(UserError, match="line 8: .* has a line break"):
        read_vocabulary(write(tmp_path, data))
