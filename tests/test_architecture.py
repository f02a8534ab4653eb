"""docs/architecture.md says what is there: folders, files, names, arrows."""

import ast
import re

import pytest
from floors import FLOORS, VERBS
from source_files import ROOT

PAGE = (ROOT / "docs/architecture.md").read_text()
ANSWERS = re.findall(r"^\| (.+) \| `(\S+\.py)` \| `(\w+)` \|$", PAGE, re.M)


def names_in(tree):
    """The functions, classes and constants that a file defines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))
        elif isinstance(node, ast.AnnAssign):
            yield getattr(node.target, "id", "")


@pytest.mark.parametrize(("question", "path", "name"), ANSWERS)
def test_the_line_that_decides_is_there(question, path, name):
    assert (ROOT / path).is_file(), f"{question}: there is no {path}"
    tree = ast.parse((ROOT / path).read_text())
    assert name in names_in(tree), f"{question}: {path} has no {name}"


def test_there_are_many_questions():
    rows = PAGE.split("## Where is the line")[1].split("\n## ")[0]
    # Each row of the table was understood.
    assert len(ANSWERS) == rows.count("\n|") - 2 >= 30


def test_every_folder_of_a_package_has_its_line():
    folders = {
        f"`{path.parent.relative_to(ROOT)}/`"
        for package in FLOORS
        for path in (ROOT / package).rglob("__init__.py")
    }
    table = PAGE.split("## Who owns what")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| (`\S+/`) \|", table, re.M))
    assert folders <= listed, f"give these a line: {folders - listed}"
    packages = {"`tests/`", "`benchmarks/`", "`findings/`"}
    assert listed <= folders | packages, f"not there: {listed - folders}"


@pytest.mark.parametrize("package", FLOORS)
def test_the_arrows_are_those_that_are_tested(package):
    text = re.search(rf"^{package}: (.*(?:\n {{12}}.*)*)", PAGE, re.M)[1]
    floors = [set(floor.split()) for floor in text.split("<")]
    tested = [{"verbs"} if some == VERBS else some for some in FLOORS[package]]
    assert floors == tested
