"""Who says whether a vocabulary is for uncased text."""

import json

import pytest

from tfbert.errors import UserError
from tfbert.text.vocabulary_case import (
    check_case,
    check_case_file,
    is_lowercase,
    tokens_and_case,
    write_case,
)
from tfbert.text.vocabulary_files import SPECIAL_TOKENS

MANY = [f"a{number}" for number in range(1000)]
THAI = [chr(0x0E01 + number) for number in range(40)]


def write(folder, tokens, **settings):
    path = folder / "vocab.txt"
    path.write_text("\n".join([*SPECIAL_TOKENS, *tokens]) + "\n")
    if settings:
        text = json.dumps(settings)
        (folder / "tokenizer_config.json").write_text(text)
    return path


@pytest.mark.parametrize(
    "tokens,lowercase",
    [
        (["a", "B"], False),
        (MANY, True),
        # A stray capital, as published uncased vocabularies have.
        ([*MANY, "B"], True),
        ([*MANY, *"ABCDEFGHIJKL"], False),
        # Too few letters to tell, and letters that have no case.
        (["a", "b"], None),
        (THAI * 30, None),
        (["[unused1]", "[UNK]", "a"], None),
    ],
)
def test_tokens_tell_their_case(tokens, lowercase):
    assert is_lowercase(tokens) is lowercase


def test_the_settings_beside_it_count_more(tmp_path):
    path = write(tmp_path, ["a", "B"])
    assert tokens_and_case(path)[1] is False
    write(tmp_path, ["a", "B"], do_lower_case=True)
    assert tokens_and_case(path)[1] is True
    assert tokens_and_case(tmp_path)[1] is True
    other = tmp_path / "other.txt"
    path.rename(other)
    tokens, lowercase = tokens_and_case(other)
    assert lowercase is True and tokens[-2:] == ["a", "B"]


def test_what_is_said_asked_and_taken():
    assert check_case("v", None, None) is True
    for known in (True, False):
        assert check_case("v", known, None) is known
        assert check_case("v", None, known) is known
        assert check_case("v", known, known) is known
    with pytest.raises(UserError, match="v is a vocabulary for uncased text"):
        check_case("v", True, False)
    with pytest.raises(UserError, match="cased text.*give --cased"):
        check_case("v", False, True)


def test_the_case_is_written_once_for_a_folder(tmp_path):
    path = tmp_path / "vocab.txt"
    check_case_file(path, False)
    write_case(path, False)
    file = tmp_path / "tokenizer_config.json"
    assert json.loads(file.read_text()) == {"do_lower_case": False}
    check_case_file(tmp_path / "second.txt", False)
    with pytest.raises(UserError, match="says do_lower_case false of another"):
        check_case_file(tmp_path / "second.txt", True)
    file.write_text('{"do_lower_case": false, "model_max_length": 64}')
    write_case(path, True)
    assert json.loads(file.read_text()) == {
        "do_lower_case": True,
        "model_max_length": 64,
    }
