"""A small export of every kind, for all tests of serving."""

import pytest
from every_kind import servables

from tfbert.serving.package import signatures


@pytest.fixture(scope="session")
def kinds():
    """Kind -> what is saved of it."""
    return servables()


@pytest.fixture(scope="session")
def exports(kinds, tmp_path_factory):
    """Kind -> the folder of its SavedModel."""
    folders = {}
    for kind, servable in kinds.items():
        folders[kind] = tmp_path_factory.mktemp(kind)
        servable.save(folders[kind])
    return folders


@pytest.fixture(scope="session")
def inputs(exports):
    """Kind -> signature -> its inputs."""
    return {
        kind: signatures.read_signatures(folder)
        for kind, folder in exports.items()
    }
