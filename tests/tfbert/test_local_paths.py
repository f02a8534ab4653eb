"""Addresses are no paths, as given and as pathlib leaves them."""

import os
from pathlib import Path

import pytest

from tfbert import files
from tfbert.errors import UserError
from tfbert.local_paths import has_scheme, local_path

ADDRESSES = ["gs://bucket/run", "memory://x", "s3://b", "file:///tmp/x"]
PATHS = ["runs/run", "/tmp/a:b/c", "C:/runs", "a=gs://b", "", "12:/x"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_refused(address):
    assert has_scheme(address)
    for given in (address, Path(address)):
        with pytest.raises(UserError, match="in runtime.run_dir, got .*mount"):
            local_path(given, "runtime.run_dir")


@pytest.mark.parametrize("path", PATHS)
def test_a_path_is_itself(path):
    assert not has_scheme(path)
    assert local_path(path, "output") == Path(path)


@pytest.mark.parametrize("address", ADDRESSES)
def test_nothing_is_written_to_a_folder_named_like_a_scheme(
    address, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="wanted a path of this machine"):
        files.write_file(f"{address}/file", "text")
    with (
        pytest.raises(UserError, match="wanted a path of this machine"),
        files.folder(Path(address) / "folder"),
    ):
        pass
    assert os.listdir(tmp_path) == []
