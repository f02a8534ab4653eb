import os

import pytest
import tensorflow as tf

from tfrecords.storage import frames


def write(path, contents):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for content in contents:
            writer.write(content)
    return path


def test_following_damage_is_linear(tmp_path, monkeypatch):
    """However many records are damaged, each is followed a few times."""
    path = write(tmp_path / "r", [b"x" * 30] * 4000)
    data = bytearray(path.read_bytes())
    for number in range(0, 4000, 10):
        data[46 * number] ^= 0xFF
    path.write_bytes(data)
    followed = 0
    follow = frames._follow

    def counted(*arguments):
        nonlocal followed
        found, end = follow(*arguments)
        followed += len(found)
        return found, end

    monkeypatch.setattr(frames, "_follow", counted)
    index, faults = frames.scan_whole(frames.mapped(path), path)
    assert (len(index), len(faults)) == (4000, 400)
    assert followed < 4 * 4000


def test_few_files_are_open(tmp_path):
    def descriptors():
        return len(os.listdir("/proc/self/fd"))

    paths = [
        write(tmp_path / f"{number}", [b"%d" % number]) for number in range(60)
    ]
    before = descriptors()
    files = frames.OpenFiles(paths)
    for data, path in zip(files, paths, strict=True):
        assert data.tobytes() == path.read_bytes()
        assert descriptors() <= before + frames.MOST_OPEN
    # One that was closed meanwhile.
    assert files[0].tobytes() == paths[0].read_bytes()
    del files, data
    assert descriptors() == before
    with pytest.raises(IndexError):
        frames.OpenFiles([])[0]
