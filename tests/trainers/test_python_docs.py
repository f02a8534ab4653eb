"""The programs of docs/python.md and the notebook run as they stand there."""

import ast
import json
import pathlib
import re
import sys
import types

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "docs/examples/quickstart.ipynb"
TITLES = (
    *("Pretrain from lists", "Classify a frame", "Embed", "Fill a mask"),
    *("Own loss", "Own task"),
)
# So that it takes seconds: what is learnt is not looked at.
SHORTER = {
    r"steps=\d+": "steps=2",
    r"epochs=\d+": "steps=2",
    r'preset="tiny"': 'preset="tiny", model={"num_hidden_layers": 1}',
}


def programs(title: str) -> list[str]:
    """The program and its two counterparts under a heading."""
    section = re.split(r"^## ", PAGE, flags=re.M)
    [text] = [part for part in section if part.startswith(title + "\n")]
    return re.findall(r"```python\n(.*?)```", text, re.S)


def shorter(code: str) -> str:
    for pattern, text in SHORTER.items():
        code = re.sub(pattern, text, code)
    return code


class Frame:
    """As much of a pandas frame as the programs need."""

    def __init__(self, rows):
        self.rows = rows
        self.columns = list(rows[0])

    def __getitem__(self, part):
        return Frame(self.rows[part])

    def to_dict(self, orient):
        return self.rows


def read_csv(name):
    lines = pathlib.Path(name).read_text().splitlines()[1:]
    cells = (line.split(",") for line in lines)
    return Frame([{"text": a, "label": b} for a, b in cells])


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a corpus, a labelled file, and what was run there."""
    folder = tmp_path_factory.mktemp("programs")
    words = {"warm": "good", "funny": "good", "dull": "bad", "long": "bad"}
    rows = [
        (f"the {thing} was {word} {n}", label)
        for thing in ("film", "plot", "story", "cast", "end")
        for word, label in words.items()
        for n in range(4)
    ]
    texts = "\n\n".join(text for text, _ in rows)
    (folder / "corpus.txt").write_text(texts)
    table = "".join(f"{text},{label}\n" for text, label in rows)
    (folder / "reviews.csv").write_text("text,label\n" + table)
    return folder


@pytest.mark.long
def test_the_programs_run(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    pandas = types.ModuleType("pandas")
    pandas.read_csv = read_csv
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    for title in TITLES:
        exec(compile(shorter(programs(title)[0]), title, "exec"), {})
    assert (place / "exports/bert/1/saved_model.pb").is_file()
    assert (place / "exports/reviews/1/saved_model.pb").is_file()
    assert "'label':" in capsys.readouterr().out


@pytest.mark.long
def test_the_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    names, shown = {}, []
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        tree = ast.parse(shorter("".join(cell["source"])))
        last = tree.body[-1]
        if isinstance(last, ast.Expr):
            tree.body.pop()
        exec(compile(tree, "cell", "exec"), names)
        if isinstance(last, ast.Expr):
            value = ast.Expression(last.value)
            shown.append(eval(compile(value, "cell", "eval"), names))
    shown = [value for value in shown if value is not None]
    rows, figures, guesses, accuracy, answers, version = shown
    assert rows[0] == 120 and figures["step"] == 2
    assert len(guesses) == 3 and len(accuracy) == 1
    assert {answer["label"] for answer in answers} <= {"good", "bad"}
    assert (version / "saved_model.pb").is_file()


@pytest.mark.long
def test_a_model_made_by_hand_is_fitted_and_exported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/custom_training.md").read_text(encoding="utf-8")
    [code] = [
        block
        for block in re.findall(r"```python\n(.*?)```", page, re.S)
        if '.save("export")' in block
    ]
    exec(compile(code, "custom_training.md", "exec"), {})
    assert (tmp_path / "export/saved_model.pb").is_file()


def test_the_notebook_is_one():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.parametrize("title", TITLES)
def test_the_table_counts_what_is_there(title):
    counts = []
    for program in programs(title):
        lines = [line for line in program.split("\n") if line.strip()]
        imports = [line for line in lines if re.match("(import|from) ", line)]
        counts.append(f"{len(lines)}, {len(imports)}")
    assert len(counts) == 3
    row = f"| {title.lower()} | {' | '.join(counts)} |"
    assert row in PAGE
    assert int(counts[0].split(",")[0]) <= 15
