"""What benchmarks import is where they look for it; no one else runs them."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
OURS = ("tfbert", "tfrecords", "trainers", "benchmarks")
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))


def file_of(module: str) -> pathlib.Path | None:
    path = ROOT.joinpath(*module.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return file
    return None


def names_of(file: pathlib.Path) -> set[str]:
    """What a module defines or imports at its top level."""
    found = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        else:
            stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
            found |= {n.id for n in stored if isinstance(n.ctx, ast.Store)}
    return found


@pytest.mark.parametrize(
    "path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_imports_lead_somewhere(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] in OURS:
                    assert file_of(alias.name), alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in OURS:
                file = file_of(node.module)
                assert file, f"line {node.lineno}: no {node.module}"
                for alias in node.names:
                    assert alias.name in names_of(file) or file_of(
                        f"{node.module}.{alias.name}"
                    ), f"line {node.lineno}: no {alias.name} in {node.module}"
