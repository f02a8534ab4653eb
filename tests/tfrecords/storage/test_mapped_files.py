import gc
import mmap
import os
import resource
import subprocess
import sys
import threading

import numpy as np
import pytest

from tfrecords.storage import mapped_files


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / str(number) for number in range(40)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * (5000 + number))
    return paths


def open_files():
    return len(os.listdir("/proc/self/fd"))


def maps_of(folder):
    """Files of a folder that this process maps."""
    with open("/proc/self/maps") as stream:
        return sum(f" {folder}/" in line for line in stream)


def test_a_map_is_the_file_and_holds_no_descriptor(files, tmp_path):
    before = open_files()
    found = [mapped_files.mapped(path, mmap.MADV_RANDOM) for path in files]
    assert open_files() == before
    assert maps_of(tmp_path) == len(files)
    for data, path in zip(found, files, strict=True):
        np.testing.assert_array_equal(
            data, np.frombuffer(path.read_bytes(), np.uint8)
        )
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1
    view = found[3][10:20]
    del found, data
    gc.collect()
    assert maps_of(tmp_path) == 1
    assert (view == 3).all()
    del view
    gc.collect()
    assert not maps_of(tmp_path)


def test_an_empty_file_and_none_at_all(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    assert mapped_files.mapped(tmp_path / "a").shape == (0,)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mapped_files.mapped(tmp_path / "nowhere")
    with pytest.raises(OSError, match="No such device"):
        mapped_files.mapped(tmp_path)


def test_those_used_least_lately_go(files, tmp_path, monkeypatch):
    gc.collect()
    most = 5 * (1 + len(mapped_files.Maps._living))
    monkeypatch.setattr(mapped_files, "most_maps", lambda: most)
    maps = mapped_files.Maps(files)
    for _ in range(2):
        for number, data in enumerate(maps):
            assert (data == number).all()
            assert (maps[0] == 0).all()
        assert maps_of(tmp_path) <= 6
    del data, maps
    gc.collect()
    assert not maps_of(tmp_path)


def test_a_map_that_goes_may_still_be_read(files, monkeypatch):
    """By another thread, which has just been given it."""
    monkeypatch.setattr(mapped_files, "most_maps", lambda: 1)
    maps = mapped_files.Maps(files)
    wrong = []

    def read(start):
        for step in range(2000):
            number = (start + 7 * step) % len(files)
            if not (maps[number] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_most_maps_is_what_linux_says(tmp_path, monkeypatch):
    monkeypatch.setattr(mapped_files, "_MAX_MAPS", tmp_path / "max")
    assert mapped_files.most_maps() == 1 << 14
    (tmp_path / "max").write_text("65530\n")
    assert mapped_files.most_maps() == 32765


SCRIPT = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
import numpy as np
from tfrecords.storage.reader import Records
records = Records(sys.argv[1])
assert len(records.manifest.shards) >= 400
print(len(os.listdir("/proc/self/fd")))
rows = records.rows(np.random.default_rng(0).permutation(records.num_rows))
print(len(os.listdir("/proc/self/fd")), rows[:, 1:3].sum())
"""


def test_64_descriptors_are_enough_for_400_shards(make_records, random_rows):
    rows = random_rows(400, 16)
    records = make_records("r", rows, shards=400, rows_per_record=1)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(records.path)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    before, after, total = map(int, done.stdout.split())
    assert before == after < 64
    assert total == rows[:, 1:3].sum()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64


def test_rows_are_read_without_their_surroundings(tmp_path):
    """Of a file that is not in memory, only the pages that are wanted."""
    path = tmp_path / "rows"
    size = 16 << 20
    path.write_bytes(os.urandom(1 << 20) * (size >> 20))
    pages = range(0, size, size // 64)
    found = {}
    for advice in (None, mmap.MADV_RANDOM):
        forget(path)
        data = mapped_files.mapped(path, advice)
        if resident(path):
            pytest.skip("this file system keeps files in memory")
        assert sum(int(data[page]) for page in pages) >= 0
        found[advice] = resident(path)
        del data  # What is mapped is not forgotten.
    assert found[mmap.MADV_RANDOM] == 64 < found[None]


def forget(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def resident(path):
    """Pages of a file that are in memory."""
    import ctypes

    data = mapped_files.mapped(path)
    pages = (ctypes.c_ubyte * -(-len(data) // mmap.PAGESIZE))()
    address = data.ctypes.data
    libc = ctypes.CDLL(None)
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    assert not libc.mincore(address, len(data), pages)
    return sum(page & 1 for page in pages)
