"""Files that are not in memory, and how much of them is."""

import ctypes
import mmap
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np


def forget(files: Iterable[Path]) -> None:
    """Has the kernel forget what it holds of files' contents."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def resident_bytes(path: Path) -> int:
    """Bytes of a file that are in memory."""
    if not path.stat().st_size:
        return 0
    libc = ctypes.CDLL(None)
    libc.mincore.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p]
    data = np.memmap(path, np.uint8, "r")
    pages = np.zeros(-(-len(data) // mmap.PAGESIZE), np.uint8)
    libc.mincore(data.ctypes.data, len(data), pages.ctypes.data)
    return int((pages & 1).sum()) * mmap.PAGESIZE
