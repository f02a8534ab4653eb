"""environment.json: with what, on what and by which command a run was made."""

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from pathlib import Path

from tfbert import files
from tfbert.file_names import ENVIRONMENT_FILE

PACKAGES = (
    "tfbert",
    "tensorflow",
    "keras",
    "tensorflow-text",
    "numpy",
    "safetensors",
    "tokenizers",
)
# Variables that change where and how fast a run computes. Only these are
# kept: others may hold secrets.
VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "KERAS_BACKEND",
    "OMP_NUM_THREADS",
    "SLURM_JOB_ID",
    "SLURM_JOB_NODELIST",
    "TF_CONFIG",
    "TF_DETERMINISTIC_OPS",
    "TF_ENABLE_ONEDNN_OPTS",
    "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TPU_NAME",
    "XLA_FLAGS",
)
GIT_SECONDS = 5


def describe(devices: bool = True) -> dict:
    """What a reader of the run needs to know about how it was made.

    Args:
      devices: also ask TensorFlow for its devices; that sets it up.

    Returns:
      dict for JSON: "time", "command", "folder", "host", "system", "cpu",
      "memory_bytes", "python", "versions", "devices", "git", "variables".
    """
    return {
        "time": datetime.datetime.now(datetime.UTC).isoformat("T", "seconds"),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "folder": os.getcwd(),
        "host": socket.gethostname(),
        "system": platform.platform(),
        "cpu": _cpu(),
        "memory_bytes": _memory_bytes(),
        "python": platform.python_version(),
        "versions": _versions(),
        "devices": _devices() if devices else [],
        "git": _git(Path(__file__).parent),
        "variables": {k: os.environ[k] for k in VARIABLES if k in os.environ},
    }


def write(run_dir: str | os.PathLike, **extra) -> Path:
    """Writes RUN/environment.json; earlier starts of the run stay listed.

    Args:
      run_dir: folder of the run.
      **extra: JSON values to add, such as strategy="mirrored, 2 replicas".

    Returns:
      path of the file.
    """
    path = Path(run_dir) / ENVIRONMENT_FILE
    now = {**describe(), **extra}
    short = {
        key: now[key] for key in ("time", "host", "command", "git", "versions")
    }
    now["starts"] = [*_earlier_starts(path), short]
    files.write_file(path, json.dumps(now, indent=2) + "\n")
    return path


def _earlier_starts(path: Path) -> list:
    """A broken file must not stop a run from starting again."""
    try:
        starts = json.loads(path.read_text("utf-8"))["starts"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []
    return starts if isinstance(starts, list) else []


def _versions() -> dict[str, str]:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _devices() -> list[dict]:
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = {}
        if device.device_type == "GPU":
            details = tf.config.experimental.get_device_details(device)
        entry = {"name": device.name, "type": device.device_type}
        if "device_name" in details:
            entry["model"] = details["device_name"]
        found.append(entry)
    return found


def _cpu() -> dict:
    model = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text("utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    try:
        usable = len(os.sched_getaffinity(0))
    except AttributeError:
        usable = os.cpu_count()
    return {"model": model, "cores": os.cpu_count(), "usable_cores": usable}


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _git(folder: Path) -> dict | None:
    """Commit of the checkout that this code runs from, if it is one."""

    def ask(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=GIT_SECONDS,
        ).stdout.strip()

    try:
        commit = ask("rev-parse", "HEAD")
        # An installed copy may lie inside another project's checkout.
        if not ask("ls-files", "--", Path(__file__).name):
            return None
        changed = ask("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changed)}
