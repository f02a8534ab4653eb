"""The shipped sample keeps what its README promises."""

import collections
import csv
import pathlib
import re

import pytest

SAMPLE = pathlib.Path(__file__).parents[2] / "trainers/sample"
SPLITS = ("train", "validation", "test")
RUN = 5
NEAR = 0.1


def rows(split: str) -> list[dict[str, str]]:
    path = SAMPLE / f"authors_{split}.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def runs_of_words(text: str) -> set[str]:
    """Every run of RUN words in `text`."""
    words = re.findall(r"[a-z']+", text.lower())
    return {
        " ".join(words[i : i + RUN])
        for i in range(max(1, len(words) - RUN + 1))
    }


def near_duplicates(texts: list[str]) -> list[tuple[int, int, float]]:
    """Returns (i, j, Jaccard) of all pairs that share NEAR of their runs.

    Exact: an index from run to texts finds every pair with a common run.
    """
    sets = [runs_of_words(text) for text in texts]
    index = collections.defaultdict(list)
    found = []
    for i, own in enumerate(sets):
        common = collections.Counter(j for run in own for j in index[run])
        for j, count in common.items():
            jaccard = count / len(own | sets[j])
            if jaccard >= NEAR:
                found.append((j, i, jaccard))
        for run in own:
            index[run].append(i)
    return found


def test_columns_and_equal_classes():
    sizes = {"train": 300, "validation": 36, "test": 75}
    for split in SPLITS:
        counts = collections.Counter(row["label"] for row in rows(split))
        assert len(counts) == 5
        assert set(counts.values()) == {sizes[split]}
        assert all(row["text"].strip() for row in rows(split))


def test_no_paragraph_or_near_duplicate_in_two_places():
    texts = [row["text"] for split in SPLITS for row in rows(split)]
    assert near_duplicates(texts) == []


def test_the_prose_holds_none_of_the_labelled_paragraphs():
    prose = set()
    for path in (SAMPLE / "prose").glob("*.txt"):
        for line in path.read_text(encoding="utf-8").split("\n"):
            prose |= runs_of_words(line)
    for split in SPLITS:
        for row in rows(split):
            own = runs_of_words(row["text"])
            assert len(own & prose) / len(own) < NEAR, row["text"]


@pytest.mark.parametrize(
    "text,copies",
    [("one two three four five six seven", 1), ("quite another thing", 0)],
)
def test_the_check_finds_a_planted_near_duplicate(text, copies):
    planted = "one two three four five six eight"
    assert len(near_duplicates([planted, text])) == copies


def test_editions_do_not_give_the_author_away():
    """Quotation marks and dashes are written one way in all files."""
    for split in SPLITS:
        for row in rows(split):
            assert not re.search("[“”‘’—–_]", row["text"])


def test_the_prose_is_of_the_promised_size():
    files = list((SAMPLE / "prose").glob("*.txt"))
    size = sum(path.stat().st_size for path in files)
    assert 1_000_000 <= size <= 2_000_000
    assert len(files) == 5
