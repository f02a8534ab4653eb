import pytest

from tfbert.errors import UserError
from tfbert.json_files import parse, read_json, read_value

DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[1]", "wanted a JSON object in .*, got list"),
        (b"\xff", "is not JSON"),
        (DEEP, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "is not JSON"),
    ],
)
def test_files_that_are_no_object(text, message, tmp_path):
    path = tmp_path / "x.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message) as error:
        read_json(path)
    assert str(path) in str(error.value) and len(str(error.value)) < 300


def test_what_is_read(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"é": [1, null]}', "utf-8")
    assert read_json(path) == {"é": [1, None]}
    path.write_text("[2]")
    assert read_value(path) == [2] == parse(b"[2]", "text")
    with pytest.raises(UserError, match="cannot read"):
        read_json(tmp_path / "none.json")
