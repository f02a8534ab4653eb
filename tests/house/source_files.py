"""Our own files and what they import, for the rules of the house."""

import ast
import pathlib
import subprocess
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).parents[2]
# Who may import whom, besides itself; the rest of the world is free.
MAY_IMPORT = {
    "tfbert": set(),
    "tfrecords": {"tfbert"},
    "trainers": {"tfbert", "tfrecords"},
}
ROOMS = {*MAY_IMPORT, "tests", "benchmarks"}


def listed_files() -> list[str]:
    """The files that git tracks or would track, relative to the root."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: no telling ours from what lies about")
    return [name for name in listing.split("\n") if (ROOT / name).is_file()]


def sources() -> list[pathlib.Path]:
    """Every Python file of ours."""
    return sorted(
        path for room in ROOMS for path in (ROOT / room).rglob("*.py")
    )


def where(path: pathlib.Path, line: int = 1) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yields (dotted module, line) of every import anywhere in `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or ""), node.lineno


def module_level_imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yields the imports that run when the module is imported."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        waiting.extend(ast.iter_child_nodes(node))


def report(findings: list[str]) -> None:
    assert not findings, "\n" + "\n".join(findings)
