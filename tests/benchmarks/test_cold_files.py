import pytest

from benchmarks import cold_files


@pytest.mark.parametrize("size", [0, 1, 50_000])
def test_what_was_just_read_is_in_memory(tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(b"x" * size)
    cold_files.forget([path])
    assert 0 <= cold_files.resident_bytes(path)
    path.read_bytes()
    assert cold_files.resident_bytes(path) >= size
