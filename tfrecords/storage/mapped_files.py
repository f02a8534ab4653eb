"""Files mapped into memory: any number of them, and no descriptor for each.

Python's own `mmap` keeps a descriptor open for every map (before 3.13, and by
default), so a folder of a thousand shards would need as many. Here a file is
closed as soon as it is mapped, and goes on to be readable.

Rows are read at random. Without being told, Linux reads 128 KiB and more
around every page, and for rows of 256 bytes a whole folder many times over;
MADV_RANDOM makes it read the page that is wanted.
"""

import collections
import ctypes
import mmap
import os
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np

_MAX_MAPS = Path("/proc/sys/vm/max_map_count")
_FAILED = ctypes.c_void_p(-1).value

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p,
    ctypes.c_size_t,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_ssize_t,
]
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def mapped(path: str | os.PathLike, advice: int | None = None) -> np.ndarray:
    """A file's bytes, uint8 [bytes], read when they are looked at.

    The map goes when the array and all views of it have gone.

    Args:
      path: of a file that does not shrink meanwhile.
      advice: how it is read, such as `mmap.MADV_RANDOM`.

    Raises:
      OSError: it cannot be opened or mapped.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        if not size:
            return np.zeros(0, np.uint8)
        address = _libc.mmap(
            None, size, mmap.PROT_READ, mmap.MAP_SHARED, descriptor, 0
        )
    finally:
        os.close(descriptor)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    content = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(content, _libc.munmap, address, size).atexit = False
    if advice is not None:
        # Only advice: where it is not taken, reading is right and slower.
        _libc.madvise(address, size, advice)
    data = np.frombuffer(content, np.uint8)
    data.flags.writeable = False
    return data


class Maps(Sequence):
    """Files that are mapped when they are wanted, and kept while there is room.

    All of a process together take at most half of the maps that Linux allows
    it (vm.max_map_count); of more files, those used least lately go.
    """

    _living: weakref.WeakSet = weakref.WeakSet()

    def __init__(
        self, paths: Sequence[str | os.PathLike], advice: int | None = None
    ):
        """`advice`: see `mapped`."""
        self._paths = list(paths)
        self._advice = advice
        self._maps: collections.OrderedDict[int, np.ndarray] = (
            collections.OrderedDict()
        )
        self._lock = threading.Lock()
        self._living.add(self)

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: int) -> np.ndarray:
        """File `number`, uint8 [bytes]."""
        with self._lock:
            if number in self._maps:
                self._maps.move_to_end(number)
                return self._maps[number]
            data = mapped(self._paths[number], self._advice)
            self._maps[number] = data
            while len(self._maps) > most_maps() // len(self._living):
                self._maps.popitem(last=False)
            return data


def most_maps() -> int:
    """How many files this process maps at a time."""
    try:
        return max(1, int(_MAX_MAPS.read_text()) // 2)
    except (OSError, ValueError):
        return 1 << 14
