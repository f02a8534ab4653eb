"""Whatever the docs tell a user to type or to open is there.

Every fenced command `tfbert VERB ...`, `python -m trainers.VERB ...` and
`make TARGET` of README.md, docs/ and the comments that head the config files
is parsed by that verb's own parser (or looked up in the Makefile); Python
blocks are compiled; links and quoted paths are followed.
"""

import importlib
import pathlib
import re
import shlex

import pytest

from tfbert.errors import UserError
from trainers import cli, doctor

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CONFIGS = sorted((ROOT / "trainers/configs").glob("*.yaml"))
SHELL = {"", "sh", "bash", "shell", "console"}
QUOTED_PATH = re.compile(
    r"`((?:tfbert|tfrecords|trainers|tests|docs|benchmarks)/[\w/.-]*)`"
)


def fences(text: str) -> list[tuple[str, int, list[str]]]:
    """Returns (language, line of the first row, rows) of each fenced block."""
    blocks, block = [], None
    for number, row in enumerate(text.split("\n"), 1):
        if row.lstrip().startswith("```"):
            if block is None:
                block = (row.strip().strip("`").lower(), number + 1, [])
            else:
                blocks.append(block)
                block = None
        elif block is not None:
            block[2].append(row)
    return blocks


def joined(rows: list[str], first: int) -> list[tuple[int, str]]:
    """Joins rows that end in a backslash; returns (line number, command)."""
    commands, held, start = [], "", first
    for number, row in enumerate(rows, first):
        if not held:
            start = number
        held += row.strip().removeprefix("$ ")
        if held.endswith("\\"):
            held = held[:-1] + " "
            continue
        commands.append((start, held))
        held = ""
    return commands


def head_comment(text: str) -> list[str]:
    """The rows of the comment that a config file begins with, without `#`."""
    rows = []
    for row in text.split("\n"):
        if not row.startswith("#"):
            break
        rows.append(row.lstrip("#").strip())
    return rows


def words_of(command: str) -> list[str]:
    """Splits a command; leaves out variables set before it and redirections.

    A row that is only a part of a shell script (an open quotation mark) is no
    command of ours: [].
    """
    try:
        words = shlex.split(command, comments=True)
    except ValueError:
        return []
    while words and re.fullmatch(r"\w+=.*", words[0]):
        words = words[1:]
    for stop in ("|", ">", "&&", "&", ";"):
        if stop in words:
            words = words[: words.index(stop)]
    return words


def commands() -> list[tuple[str, list[str]]]:
    """Returns (file:line, words) of each command that is ours to check."""
    found = []
    for page in PAGES:
        for language, first, rows in fences(page.read_text()):
            if language in SHELL:
                found += [
                    (f"{page.relative_to(ROOT)}:{line}", text)
                    for line, text in joined(rows, first)
                ]
    for config in CONFIGS:
        rows = head_comment(config.read_text())
        found += [
            (f"{config.relative_to(ROOT)}:{line}", text)
            for line, text in joined(rows, 1)
            if text.startswith(("tfbert ", "python -m ", "make "))
        ]
    return [
        (place, words)
        for place, text in found
        if (words := words_of(text))
        and (
            words[0] in ("tfbert", "make")
            or " ".join(words).startswith("python -m trainers.")
        )
    ]


def argv_of(words: list[str]) -> list[str]:
    """`python -m trainers.VERB x` and `tfbert VERB x` -> [VERB, x]."""
    if words[0] == "python":
        return [words[2].removeprefix("trainers."), *words[3:]]
    return words[1:]


COMMANDS = commands()


@pytest.mark.parametrize(
    "place,words", COMMANDS, ids=[place for place, _ in COMMANDS]
)
def test_command_is_understood(place, words, monkeypatch):
    monkeypatch.chdir(ROOT)
    if words[0] == "make":
        targets = re.findall(
            r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE
        )
        for word in words[1:]:
            assert "=" in word or word in targets, (
                f"{place}: the Makefile has no target {word!r}"
            )
        return
    verb, *rest = argv_of(words)
    if verb.startswith("-"):
        return
    assert verb in cli.VERBS, f"{place}: there is no verb {verb!r}"
    if "--help" in rest:
        return
    if verb == "doctor" and rest and rest[0] in doctor.VERBS:
        verb, *rest = rest
    parser = importlib.import_module(cli.VERBS[verb][0]).build_parser()
    try:
        parser.parse_args(rest)
    except (UserError, SystemExit) as error:
        pytest.fail(f"{place}: `{shlex.join(words)}`: {error}")


def test_the_readme_is_among_what_is_checked():
    assert any(place.startswith("README.md") for place, _ in COMMANDS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile(page):
    for language, first, rows in fences(page.read_text()):
        if language == "python":
            compile("\n" * (first - 1) + "\n".join(rows), str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    dead = []
    for number, row in enumerate(page.read_text().split("\n"), 1):
        place = f"{page.relative_to(ROOT)}:{number}"
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", row):
            if "://" in target or target.startswith("mailto:"):
                continue
            if not (page.parent / target).exists():
                dead.append(f"{place}: the link {target} leads nowhere")
        for target in QUOTED_PATH.findall(row):
            if not (ROOT / target).exists():
                dead.append(f"{place}: there is no {target}")
    assert not dead, "\n" + "\n".join(dead)


def test_each_script_of_findings_has_its_line():
    page = (ROOT / "findings/README.md").read_text()
    listed = re.findall(r"^\| \[(\S+)\]\(\1\) \|", page, re.MULTILINE)
    scripts = sorted(path.name for path in (ROOT / "findings").glob("*.sh"))
    assert sorted(listed) == scripts


def test_each_page_of_docs_is_named_in_the_readme():
    readme = (ROOT / "README.md").read_text()
    named = set(re.findall(r"\]\((docs/\w+\.md)", readme))
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages <= named, f"name in README.md: {sorted(pages - named)}"


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)
def test_a_config_says_how_it_is_used(config):
    """A config file is an experiment card."""
    head = "\n".join(head_comment(config.read_text()))
    assert "tfbert " in head, (
        f"{config.relative_to(ROOT)}:1: the comment at its head should give "
        "the command, the hardware, the time and the figures to expect"
    )
