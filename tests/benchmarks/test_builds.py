"""The comparison of two builds, on builds of a few lines."""

import argparse
import math
import time

import pytest

from benchmarks.builds import __main__ as builds
from benchmarks.builds import machine, made_data
from benchmarks.builds.cases import CASES, NEEDS, STAGE
from benchmarks.builds.checkout import Checkout, Failed, TooLong
from benchmarks.builds.comparison import compare, shown
from benchmarks.builds.prepared import Prepared
from benchmarks.builds.probes.defined import defined

CLI = """
import subprocess, sys, time
from tfbert import WORD

def spin(seconds):
    start = time.process_time()
    while time.process_time() - start < seconds:
        pass

verb = sys.argv[1]
print(WORD, *sys.argv[1:])
if verb == "spin":
    spin(0.2)
    subprocess.run([sys.executable, "-c", "sum(range(10_000_000))"])
elif verb == "fail":
    sys.exit("no such verb")
elif verb == "sleep":
    time.sleep(60)
elif verb == "--help":
    print("  fast  is fast")
    print("  slow  is slow")
elif verb == "slow":
    spin(0.3)
"""


def make_build(tmp_path, name, word, limit=30.0):
    path = tmp_path / f"checkout_{name}"
    for package in ("tfbert", "tfrecords", "trainers"):
        (path / package).mkdir(parents=True)
        (path / package / "__init__.py").touch()
    (path / "tfbert" / "__init__.py").write_text(f"WORD = {word!r}\n")
    (path / "trainers" / "cli.py").write_text(CLI)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Checkout(name, path, scratch, limit)


def test_a_ratio_is_of_medians_and_its_spread_of_turns():
    row = compare("wall s", [2.0, 10.0, 4.0], [1.0, 1.0, 2.0])
    assert (row.before, row.new, row.ratio) == (4.0, 1.0, 0.25)
    assert row.spread == (0.1, 0.5)
    assert row.cells == ["wall s", "4", "1", "0.25", "0.1 to 0.5"]


@pytest.mark.parametrize(
    "before,new",
    [
        ([math.inf], [1.0]),
        ([0.0], [1.0]),
        ([], [1.0]),
        (["bfloat16"], ["float32"]),
    ],
)
def test_what_cannot_be_compared_has_no_ratio(before, new):
    assert compare("figure", before, new).ratio is None


def test_figures_have_three_digits():
    assert shown(None) == "-"
    assert shown(math.inf) == "over the limit"
    assert [shown(x) for x in (12345.6, 12.345, 0.012345)] == [
        "12,346",
        "12.3",
        "0.0123",
    ]


def test_a_command_takes_the_packages_of_its_build(tmp_path):
    for name in ("before", "new"):
        build = make_build(tmp_path, name, name)
        run = build.verb("spin", 1)
        assert run.output == [f"{name} spin 1"]
        # The command and its child.
        assert run.cpu > 0.2 and run.wall > 0.2 and run.peak > 1e6


def test_a_command_that_fails_says_so(tmp_path):
    build = make_build(tmp_path, "new", "w")
    with pytest.raises(Failed, match="(?s)ended with 1.*w fail.*no such verb"):
        build.verb("fail")


def test_a_command_is_ended_at_the_limit(tmp_path):
    build = make_build(tmp_path, "new", "w", limit=0.5)
    start = time.monotonic()
    with pytest.raises(TooLong, match="after 0 s|after 1 s"):
        build.verb("sleep")
    assert time.monotonic() - start < 20


def test_a_folder_without_the_packages_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="no package tfbert"):
        Checkout("new", tmp_path, tmp_path, 1.0)


def test_the_slowest_help_is_found(tmp_path):
    build = make_build(tmp_path, "new", "w")
    assert Prepared(build, tmp_path).slowest_help == "slow"


def test_a_build_without_help_has_no_verbs(tmp_path):
    build = make_build(tmp_path, "new", "w")
    (build.path / "trainers" / "cli.py").write_text("print('none')")
    with pytest.raises(SystemExit, match="lists no verbs"):
        _ = Prepared(build, tmp_path).slowest_help


def test_builds_take_turns(tmp_path, monkeypatch):
    asked = []

    def case(prepared, options):
        asked.append(prepared.build.name)
        return {"wall s": float(len(asked)), f"{prepared.build.name}, s": 1.0}

    monkeypatch.setitem(CASES, "vocab", case)
    both = [
        Prepared(make_build(tmp_path, name, name), tmp_path)
        for name in ("before", "new")
    ]
    turns = builds.measure("vocab", both, argparse.Namespace(turns=2))
    assert asked == ["before", "new"] * 2
    first, second, third = builds.rows_of(turns)
    assert (first.before, first.new, first.ratio) == (2.0, 3.0, 1.5)
    assert first.spread == (4 / 3, 2.0)
    assert (second.name, second.new) == ("before, s", None)
    assert (third.name, third.before) == ("new, s", None)
    assert builds.plain(compare("s", [math.inf], [1.0]))["before"] is None


def test_stages_of_the_demo_are_found():
    rule = "─" * 20
    found = STAGE.search(f"{rule} 3/9  Pretraining: guess {rule}")
    assert found.groups() == ("3", "Pretraining: guess")
    assert STAGE.search("step 3 of 9") is None


def test_what_cases_need_can_be_made():
    assert set(NEEDS) <= set(CASES)
    for needs in NEEDS.values():
        for need in needs:
            assert hasattr(Prepared, need)


def test_names_are_found_wherever_they_are():
    """In the one module that defines them, whatever it is called."""
    config, task = defined("tfbert", "BertConfig", "PretrainingTask")
    assert (config.__name__, task.__name__) == ("BertConfig", "PretrainingTask")
    with pytest.raises(LookupError, match="Nowhere, got none"):
        defined("tfbert", "Nowhere")


def test_what_probes_look_for_is_there():
    for package, names in {
        "tfbert": (
            "learn_vocabulary VocabularySettings WordMixture BertConfig AdamW "
            "PretrainingTask"
        ),
        "tfrecords": (
            "Records Mixture Masking pretraining_batches open_records"
        ),
        "trainers": "TrainingModel",
    }.items():
        assert len(defined(package, *names.split())) == len(names.split())


def test_made_text_is_the_same_each_time(tmp_path):
    texts = []
    for name in "ab":
        (tmp_path / name).mkdir()
        made_data.write(tmp_path / name)
        texts.append((tmp_path / name / "text.txt").read_bytes())
    assert texts[0] == texts[1] and len(texts[0]) > 2e6
    known = set((tmp_path / "a" / "vocab.txt").read_text().split("\n"))
    assert set(texts[0].decode().split()) <= known


def test_commit_of_a_folder_without_git(tmp_path):
    assert machine.commit(tmp_path) == "no git"
