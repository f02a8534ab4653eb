import pytest

from tfbert.errors import UserError
from tfbert.vocabulary import (
    SPECIAL_TOKENS,
    check_vocabulary,
    read_vocabulary,
    vocabulary_hash,
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
        ([*TOKENS, "", "c"], "line 8: empty"),
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
