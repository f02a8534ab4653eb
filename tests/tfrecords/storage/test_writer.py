import fcntl
import json
import os

import numpy as np
import pytest

from tfbert.errors import UserError
from tfrecords import layout
from tfrecords.storage import writer as shards

LAYOUT = layout.Layout(
    sequence_length=4, label_columns=0, token_bytes=2, rows_per_record=3
)


def written(folder, rows, pieces, rows_per_shard=6):
    folder.mkdir()
    writer = shards.ShardWriter(folder, LAYOUT, rows_per_shard)
    for piece in np.split(rows, pieces):
        writer.write(piece)
    facts = writer.close()
    return facts, {
        path.name: path.read_bytes() for path in sorted(folder.iterdir())
    }


def test_shards_depend_on_the_rows_alone(tmp_path):
    rows = np.arange(20 * 4).reshape(20, 4)
    one = written(tmp_path / "one", rows, [])
    many = written(tmp_path / "many", rows, [1, 2, 2, 9, 13])
    assert one == many
    assert [shard.rows for shard in one[0]] == [6, 6, 6, 2]
    assert [shard.records for shard in one[0]] == [2, 2, 2, 1]
    for shard in one[0]:
        assert shard.bytes == LAYOUT.shard_bytes(shard.rows)
        assert len(one[1][shard.file]) == shard.bytes


def test_shards_hold_whole_records(tmp_path):
    rows = np.zeros((8, 4), int)
    facts, _ = written(tmp_path / "r", rows, [], rows_per_shard=4)
    assert [shard.rows for shard in facts] == [6, 2]


def test_no_rows_no_shards(tmp_path):
    facts, files = written(tmp_path / "r", np.zeros((0, 4), int), [])
    assert facts == [] and files == {}


def test_a_folder_appears_when_it_is_whole(tmp_path):
    output = tmp_path / "deep" / "r"
    with shards.staged_folder(output) as folder:
        (folder / "a").write_text("x")
        (folder / "below").mkdir()
        assert not output.exists()
    assert (output / "a").read_text() == "x"
    assert (output / "below").is_dir()
    assert os.listdir(tmp_path / "deep") == ["r"]


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with shards.staged_folder(tmp_path / "r") as folder:
            (folder / "a").write_text("x")
            raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_what_a_killed_build_left_is_removed(tmp_path):
    left = tmp_path / ".building-r"
    (left / "below").mkdir(parents=True)
    (left / "half.tfrecord").write_text("x")
    with shards.staged_folder(tmp_path / "r") as folder:
        assert folder == left and not list(folder.iterdir())
        (folder / "a").write_text("x")
    assert os.listdir(tmp_path / "r") == ["a"]


def test_an_empty_folder_may_be_the_output(tmp_path):
    (tmp_path / "r").mkdir()
    with shards.staged_folder(tmp_path / "r") as folder:
        (folder / "a").write_text("x")
    assert os.listdir(tmp_path / "r") == ["a"]


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_an_output_in_use_is_refused_and_kept(tmp_path, kind):
    output = tmp_path / "r"
    kept = output / "mine" if kind == "folder" else output
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("precious")
    with pytest.raises(UserError, match="output folder in use: .* exists"):
        with shards.staged_folder(output):
            pass
    assert kept.read_text() == "precious"


def test_the_second_of_two_builds_is_refused(tmp_path):
    with shards.staged_folder(tmp_path / "r") as folder:
        (folder / "a").write_text("x")
        with pytest.raises(UserError, match="another process is writing"):
            with shards.staged_folder(tmp_path / "r"):
                pass
        assert (folder / "a").exists()
    assert os.listdir(tmp_path / "r") == ["a"]


@pytest.mark.parametrize("swap", ["gone", "another"])
def test_a_build_that_ends_between_open_and_lock(tmp_path, monkeypatch, swap):
    """The folder that is held open is no longer the one of that name."""
    lock = fcntl.flock

    def late(descriptor, how):
        os.rename(tmp_path / ".building-r", tmp_path / "elsewhere")
        if swap == "another":
            (tmp_path / ".building-r").mkdir()
        lock(descriptor, how)

    monkeypatch.setattr(shards.fcntl, "flock", late)
    with pytest.raises(UserError, match="another process is writing"):
        with shards.staged_folder(tmp_path / "r"):
            pass


@pytest.mark.parametrize("kind", ["folder", "nowhere", "file"])
def test_links_are_never_followed(tmp_path, kind):
    """Neither that of the folder in the making nor that of the output."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("mine")
    target = {"folder": precious, "nowhere": tmp_path / "nowhere"}
    for name in (".building-r", "r"):
        path = tmp_path / name
        if kind == "file":
            path.write_text("mine")
        else:
            path.symlink_to(target[kind])
        with pytest.raises(UserError, match=f"{name} (is a link|exists)"):
            with shards.staged_folder(tmp_path / "r"):
                pass
        assert (precious / "thesis.txt").read_text() == "mine"
        path.unlink()


@pytest.mark.parametrize("can_go_on", [False, True])
def test_links_inside_what_a_killed_build_left_are_not_followed(
    tmp_path, can_go_on
):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("mine")
    (tmp_path / ".building-r").mkdir()
    (tmp_path / ".building-r" / "held_out").symlink_to(precious)
    (tmp_path / ".building-r" / shards.UNFINISHED_FILE).write_text("{}")
    with shards.staged_folder(tmp_path / "r", can_go_on) as folder:
        (folder / "a").write_text("x")
    assert os.listdir(tmp_path / "r") == ["a"]
    assert os.listdir(precious) == ["thesis.txt"]


def test_what_can_go_on_stays(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with shards.staged_folder(tmp_path / "r", True) as folder:
            (folder / "a").write_text("x")
            (folder / shards.UNFINISHED_FILE).write_text("{}")
            raise ZeroDivisionError
    assert os.listdir(tmp_path) == [".building-r"]
    with shards.staged_folder(tmp_path / "r", True) as folder:
        assert (folder / "a").read_text() == "x"
    assert os.listdir(tmp_path / "r") == ["a"]


@pytest.mark.parametrize("stop", [0, 1, 7, 12, 13, 29])
def test_a_writer_goes_on_where_another_was(tmp_path, stop):
    form = layout.Layout(5, 0, 2, 3)
    rows = np.arange(30 * 5).reshape(30, 5)

    def writer(name):
        (tmp_path / name).mkdir(exist_ok=True)
        return shards.ShardWriter(tmp_path / name, form, 12)

    whole = writer("whole")
    whole.write(rows)
    first = writer("parts")
    first.write(rows[:stop])
    state = json.loads(json.dumps(first.state()))
    # What was written behind it counts for nothing.
    first.write(rows[::-1][:8])
    first.close()
    second = writer("parts")
    second.go_on(state)
    second.write(rows[stop:])
    assert second.close() == whole.close()
    for shard in whole.shards:
        data = (tmp_path / "whole" / shard.file).read_bytes()
        assert (tmp_path / "parts" / shard.file).read_bytes() == data


def test_a_writer_tells_what_is_not_there(tmp_path):
    form = layout.Layout(5, 0, 2, 3)
    writer = shards.ShardWriter(tmp_path, form, 6)
    writer.write(np.arange(9 * 5).reshape(9, 5))
    state = writer.state()
    writer.close()
    for name, message in (("1", "is shorter than"), ("0", "is not what was")):
        path = tmp_path / f"rows-0000{name}.tfrecord"
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(ValueError, match=message):
            shards.ShardWriter(tmp_path, form, 6).go_on(state)
