"""The rooms of each package: which lie below which, and how many fit."""

import ast
from collections.abc import Iterator

from floors import FLOORS
from source_files import MAY_IMPORT, ROOT, report, sources, where

# Arrows that run back up: verbs that run other verbs, or read their options.
RISING = {
    ("trainers.demo", "trainers.cli"),
    ("trainers.doctor", "trainers.finetune"),
    ("trainers.doctor", "trainers.pretrain"),
    ("trainers.evaluate", "trainers.pretrain"),
}
MAX_MODULES, MAX_FOLDERS = 16, 14
# Words that say nothing of what a file holds.
SILENT = {
    *("opening", "vitals", "pulse", "judge", "marks", "guard", "pace"),
    *("limits", "order", "static", "selection", "entry"),
}


def test_rooms_import_downwards():
    findings = []
    for path in sources():
        package, *rest = path.relative_to(ROOT).parts
        if package not in FLOORS or rest == ["__init__.py"]:
            continue
        floor_of = {
            room: number
            for number, rooms in enumerate(FLOORS[package])
            for room in rooms
        }
        own = rest[0].removesuffix(".py")
        name = ".".join([package, *rest]).removesuffix(".py")
        for module, line in imports_of_names(ast.parse(path.read_text())):
            target = module.split(".")
            if target[0] != package or len(target) == 1 or target[1] == own:
                continue
            if (name, ".".join(target[:2])) in RISING:
                continue
            if floor_of[target[1]] >= floor_of[own]:
                findings.append(
                    f"{where(path, line)}: {package}/{own} imports {module}, "
                    "which lies no lower; move what both share below them, or "
                    "hand it in as an argument"
                )
    report(findings)


def imports_of_names(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """As `imports`, with `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield f"{node.module}.{alias.name}", node.lineno


def test_every_room_has_its_floor():
    for package, floors in FLOORS.items():
        there = {
            path.name.removesuffix(".py")
            for path in (ROOT / package).iterdir()
            if path.suffix == ".py" or (path / "__init__.py").exists()
        }
        placed = [room for rooms in floors for room in rooms]
        assert sorted(placed) == sorted(there - {"__init__"}), package


def test_folders_are_read_at_a_glance():
    findings = []
    for package in MAY_IMPORT:
        for folder in [ROOT / package, *(ROOT / package).rglob("*/")]:
            modules = list(folder.glob("*.py"))
            folders = [f for f in folder.glob("*/") if f.name != "__pycache__"]
            if len(modules) > MAX_MODULES or len(folders) > MAX_FOLDERS:
                findings.append(
                    f"{where(folder)}: {len(modules)} modules and "
                    f"{len(folders)} folders; {MAX_MODULES} and {MAX_FOLDERS} "
                    "are the ceiling: put what belongs together into a folder"
                )
            if modules and not ast.get_docstring(
                ast.parse((folder / "__init__.py").read_text())
            ):
                findings.append(
                    f"{where(folder / '__init__.py')}: no docstring; say what "
                    "comes in and what goes out"
                )
    report(findings)


def test_names_of_files_say_what_is_in_them():
    report(
        [
            f"{where(path)}: {path.stem} says nothing to a stranger"
            for path in sources()
            if path.stem in SILENT
        ]
    )
