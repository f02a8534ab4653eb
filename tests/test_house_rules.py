"""The architecture's rules. Each finding says file:line and the cure."""

import ast
import configparser
import fnmatch
import importlib.metadata
import re
import sys
from pathlib import Path

from source_files import (
    MAY_IMPORT,
    ROOMS,
    ROOT,
    imports,
    listed_files,
    module_level_imports,
    report,
    sources,
    where,
)

TOP_LEVEL = {
    *ROOMS,
    "docs",
    "findings",
    ".ci",
    ".gitignore",
    "LICENSE",
    "Makefile",
    "README.md",
    "constraints.txt",
    "constraints-2.20.txt",
    "pyproject.toml",
    "setup.cfg",
}
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
NAMELESS = {"utils.py", "helpers.py", "common.py", "misc.py"}
# Proves a conversion with the code that will read it, where that is installed;
# the one file that may import peers.
RUNS_PEERS = "tfbert/converters/peers.py"
# `python trainers/x.py` puts trainers/ first on the path, where these would
# hide the standard library's.
SHADOWING = {"logging.py", "inspect.py", "tokenize.py", "types.py", "random.py"}


def setup_cfg() -> configparser.ConfigParser:
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    return settings


def test_imports_go_one_way():
    findings = []
    for path in sources():
        room = path.relative_to(ROOT).parts[0]
        if room not in MAY_IMPORT:
            continue
        allowed = {room, *MAY_IMPORT[room]}
        for module, line in imports(ast.parse(path.read_text())):
            target = module.split(".")[0]
            if module.startswith("."):
                findings.append(
                    f"{where(path, line)}: relative import; write the full name"
                )
            elif target in ROOMS - allowed:
                findings.append(
                    f"{where(path, line)}: {room} imports {module}. Imports go "
                    "tfbert <- tfrecords <- trainers: move the code down, or "
                    "hand the thing in as an argument."
                )
    report(findings)


def test_the_product_does_not_import_its_peers():
    peers = {
        *("official", "tf_keras", "keras_nlp", "keras_hub", "kagglehub"),
        *("transformers", "torch"),
    }
    findings = [
        f"{where(path, line)}: imports {module}, a peer that we measure "
        "against; only tests and benchmarks may"
        for path in sources()
        if path.relative_to(ROOT).parts[0] in MAY_IMPORT
        and path.relative_to(ROOT).as_posix() != RUNS_PEERS
        for module, line in imports(ast.parse(path.read_text()))
        if module.split(".")[0] in peers
    ]
    report(findings)


def test_the_encoder_does_not_need_tensorflow():
    """It runs on Keras' other backends: keras.ops, no tf.* (decision 1)."""
    findings = []
    for path in [
        ROOT / "tfbert/__init__.py",
        ROOT / "tfbert/config.py",
        ROOT / "tfbert/encoder.py",
        *(ROOT / "tfbert/layers").rglob("*.py"),
    ]:
        tree = ast.parse(path.read_text())
        for module, line in module_level_imports(tree):
            if module.split(".")[0] in {"tensorflow", "tensorflow_text"}:
                findings.append(
                    f"{where(path, line)}: imports {module}; use keras.ops"
                )
    report(findings)


def test_files_are_short():
    report(
        [
            f"{where(path, MAX_FILE_LINES + 1)}: {lines} lines, "
            f"{MAX_FILE_LINES} is the ceiling; split it by what it does"
            for path in sources()
            if (lines := path.read_text().count("\n")) > MAX_FILE_LINES
        ]
    )


def test_functions_are_short():
    findings = []
    for path in sources():
        if path.relative_to(ROOT).parts[0] == "tests":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                findings.append(
                    f"{where(path, node.lineno)}: {node.name} has {lines} "
                    f"lines, {MAX_FUNCTION_LINES} is the ceiling; take a step "
                    "out of it and give the step a name"
                )
    report(findings)


def test_every_file_has_a_telling_name():
    findings = [
        f"{where(path)}: a room without a name; move its contents to the "
        "files that use them"
        for path in sources()
        if path.name in NAMELESS
    ]
    findings += [
        f"{where(path)}: hides the standard library's module; rename it"
        for path in sources()
        if path.parent == ROOT / "trainers" and path.name in SHADOWING
    ]
    report(findings)


def test_no_stray_rooms():
    top = {name.split("/")[0] for name in listed_files()}
    report(
        [
            f"{name}:1: not in the plan of the house (docs/architecture.md); "
            "move it into a room"
            for name in sorted(top - TOP_LEVEL)
        ]
    )


def test_data_files_are_installed():
    """A file beside the code that is not packaged is missed by users only."""
    settings = setup_cfg()
    packaged = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, patterns in settings["options.package_data"].items()
        for pattern in patterns.split()
    ]
    report(
        [
            f"{name}:1: not in setup.cfg's [options.package_data]; add it"
            for name in listed_files()
            if name.split("/")[0] in MAY_IMPORT
            and not name.endswith(".py")
            and not any(
                fnmatch.fnmatch(name, pattern)
                and name.count("/") == pattern.count("/")
                for pattern in packaged
            )
        ]
    )


def test_the_packages_alone_are_installed():
    """A package all the same, so that no peer's `benchmarks` hides it."""
    assert (ROOT / "benchmarks/__init__.py").is_file()
    include = setup_cfg()["options.packages.find"]["include"].split()
    for room in ROOMS:
        installed = any(fnmatch.fnmatch(room, pattern) for pattern in include)
        assert installed == (room in MAY_IMPORT), room


def test_dependencies_are_what_is_imported():
    # TensorFlow draws its summaries with it; people start it themselves.
    unseen = {"tensorboard"}
    # Imported where they are needed; whoever lacks one is told its extra.
    optional = {"pyarrow": "arrow", "apache-beam": "beam"}
    for name, extra in optional.items():
        assert name in setup_cfg()["options.extras_require"][extra]
    imported = {}
    for path in sources():
        place = path.relative_to(ROOT)
        if place.parts[0] in MAY_IMPORT and place.as_posix() != RUNS_PEERS:
            for module, line in imports(ast.parse(path.read_text())):
                imported.setdefault(module.split(".")[0], where(path, line))
    owners = importlib.metadata.packages_distributions()
    needed = {
        canonical(owners[module][0]): f"{place}: imports {module}"
        for module, place in imported.items()
        if module not in {*ROOMS, *sys.stdlib_module_names} and module in owners
    }
    stated = {
        canonical(re.match(r"[\w.-]+", row)[0])
        for row in setup_cfg()["options"]["install_requires"].split("\n")
        if row
    }
    findings = [
        f"{place}, which setup.cfg's install_requires lacks; add {name}"
        for name, place in needed.items()
        if name not in {*stated, *optional}
    ]
    findings += [
        f"setup.cfg:1: {name} is required and never imported; remove it"
        for name in sorted(stated - set(needed) - unseen)
    ]
    report(findings)


def canonical(distribution: str) -> str:
    """The name as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def is_package(folder: Path) -> bool:
    """Of ours; a folder that a move left behind has no __init__.py."""
    return (
        folder.relative_to(ROOT).parts[0] in {*MAY_IMPORT, "benchmarks"}
        and (folder / "__init__.py").is_file()
    )


def test_tests_mirror_the_packages():
    """tests/a/b tests a/b; tests/faults tests whole processes."""
    findings = []
    for path in (ROOT / "tests").rglob("*"):
        inside = path.relative_to(ROOT / "tests")
        if path.name == "__init__.py":
            findings.append(f"{where(path)}: importlib mode needs none; delete")
        if path.name.startswith("test_") and len(inside.parts) > 1:
            tested = inside.parent
            if tested.as_posix() != "faults" and not is_package(ROOT / tested):
                findings.append(
                    f"{where(path)}: there is no package {tested}/; put it "
                    "where the module stands that it tests"
                )
    report(findings)


def test_python_files_end_no_line_with_a_promise():
    """What is not done belongs to the issue tracker."""
    promise = re.compile(r"#.*\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b")
    report(
        [
            f"{where(path, number)}: do it or delete it"
            for path in sources()
            for number, line in enumerate(path.read_text().split("\n"), 1)
            if promise.search(line)
        ]
    )


def test_tests_that_need_other_libraries_are_in_the_table():
    """`make test-peers` runs the table's, so none is skipped everywhere."""
    page = (ROOT / "docs/checking.md").read_text("utf-8")
    listed = set(re.findall(r"^\| `(tests/[^`]*)`", page, re.MULTILINE))
    conditional = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(
            r"importorskip\(|find_spec\(|_beam is None",
            path.read_text("utf-8"),
        )
        and path.name != "test_house_rules.py"
    }
    report(
        [
            f"{name}:1: needs what may not be there; put it into the table of "
            "docs/checking.md"
            for name in sorted(conditional - listed)
        ]
        + [
            f"docs/checking.md:1: {name} needs no other library; remove it"
            for name in sorted(listed - conditional)
        ]
    )


MAX_CONSTRUCTOR_ARGUMENTS = 8


def arguments(node: ast.ClassDef) -> int:
    """How many a constructor has of its own, `self` and **options aside.

    Of a dataclass that does things, its fields. One that is frozen, or has
    nothing but properties, or is a section of settings, is a table of values
    with names, and may have as many as what it describes.
    """
    methods = [m for m in node.body if isinstance(m, ast.FunctionDef)]
    for method in methods:
        if method.name == "__init__":
            given = method.args
            names = [*given.posonlyargs, *given.args, *given.kwonlyargs]
            return len(names) - 1
    made = [
        d for d in map(ast.unparse, node.decorator_list) if "dataclass" in d
    ]
    acts = any(not m.decorator_list for m in methods)
    section = node.name.endswith(("Settings", "Data"))
    if not made or "frozen=True" in made[0] or section or not acts:
        return 0
    fields = [m for m in node.body if isinstance(m, ast.AnnAssign)]
    return sum("init=False" not in ast.unparse(field) for field in fields)


def test_constructors_are_short():
    findings = []
    for path in sources():
        if path.relative_to(ROOT).parts[0] not in MAY_IMPORT:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.ClassDef) or node.name[0] == "_":
                continue
            ceiling = MAX_CONSTRUCTOR_ARGUMENTS
            if node.name == "TrainingModel":  # What people subclass most.
                ceiling = 6
            if (count := arguments(node)) > ceiling:
                findings.append(
                    f"{where(path, node.lineno)}: {node.name} takes {count} "
                    f"arguments, {ceiling} is the ceiling; group those that "
                    "belong together in a frozen dataclass with defaults"
                )
    report(findings)
