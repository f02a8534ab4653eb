"""kill -9 while words are counted: the same command goes on, equal bytes."""

import signal

import pytest

KILLED = -signal.SIGKILL
SAVED = "vocab.txt.counts-0"


@pytest.fixture
def learn(faults, tmp_path):
    """A function: folder, faults -> the job of a vocabulary in it."""

    def start(name, **kinds):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        argv = ["--input", faults.data.parent / "text.txt", "--size", 90]
        argv += ["--output", folder / "vocab.txt"]
        return folder, faults.start("vocab", argv, saved_often=[], **kinds)

    return start


@pytest.fixture
def wanted(learn):
    """What is learnt where nothing is killed."""
    folder, job = learn("wanted")
    assert "Going on" not in job.done()
    return (folder / "vocab.txt").read_bytes()


@pytest.mark.faults
@pytest.mark.parametrize(
    ("fault", "goes_on"),
    [
        # Nothing is saved yet.
        ({"die_at_count": [1, "before"]}, False),
        # The first counts are written, and have no name yet.
        ({"die_at_count": [1, "written"]}, False),
        ({"die_at_count": [1, "after"]}, True),
        # Older counts stand while newer ones are written.
        ({"die_at_count": [7, "written"]}, True),
        ({"die_at_count": [20, "after"]}, True),
        # All is counted, and the vocabulary is not there.
        ({"die_at": ["replace", "tokenizer_config", "after"]}, True),
    ],
    ids=["at-first", "unnamed", "named", "newer", "later", "learnt"],
)
def test_killed_while_words_are_counted(learn, wanted, fault, goes_on):
    folder, job = learn("killed", **fault)
    assert job.wait() == KILLED
    assert not (folder / "vocab.txt").exists()
    assert (folder / SAVED).exists() == goes_on
    said = learn("killed")[1].done()
    assert ("Going on with" in said) == goes_on
    assert (folder / "vocab.txt").read_bytes() == wanted
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["tokenizer_config.json", "vocab.txt"]


@pytest.mark.faults
def test_killed_again_and_again(learn, wanted):
    lives = 0
    for count in (3, 1, 12, 2):
        folder, job = learn("killed", die_at_count=[count, "after"])
        assert job.wait() == KILLED
        lives += "Going on with" in job.said
    assert lives == 3
    learn("killed")[1].done()
    assert (folder / "vocab.txt").read_bytes() == wanted
