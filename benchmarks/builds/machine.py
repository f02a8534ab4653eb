"""What the figures were measured on."""

import os
import platform
import subprocess
from pathlib import Path

from benchmarks.builds.checkout import PACKAGES, Checkout

UNITS = ("avx512_bf16", "amx_bf16")

_ABOUT = "benchmarks.builds.probes.about"


def processor() -> tuple[str, dict[str, bool]]:
    """(name, {unit of bfloat16: whether the processor has it})."""
    name, flags = platform.processor() or platform.machine(), ""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    for line in text.split("\n"):
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() == "flags":
            flags = value
    return name, {unit: unit in flags.split() for unit in UNITS}


def commit(path: Path) -> str:
    """The commit of a checkout, with + where files differ from it."""

    def git(*words) -> str:
        return subprocess.run(
            ["git", "-C", str(path), *words],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()

    try:
        number = git("rev-parse", "--short", "HEAD")
        changed = git("status", "--porcelain", "--", *PACKAGES)
    except (OSError, subprocess.CalledProcessError):
        return "no git"
    return number + ("+" if changed else "")


def describe(before: Checkout, new: Checkout) -> dict:
    """Processor, versions, commits and load.

    Raises:
      SystemExit: the packages that a build's processes import are not its.
    """
    name, units = processor()
    versions = {}
    for build in (before, new):
        run = build.run(_ABOUT)
        lines = dict(line.split("=", 1) for line in run.output if "=" in line)
        for package in PACKAGES:
            if not Path(lines.pop(package)).is_relative_to(build.path):
                raise SystemExit(f"{build.path}: {package} is another one's")
        versions = lines
    return {
        "processor": name,
        "cores": len(os.sched_getaffinity(0)),
        "units": units,
        "load": round(os.getloadavg()[0], 2),
        **versions,
        "before": commit(before.path),
        "new": commit(new.path),
    }


def line(about: dict) -> str:
    """What `describe` gives, for people."""
    units = ", ".join(
        f"{unit}: {'yes' if there else 'no'}"
        for unit, there in about["units"].items()
    )
    return (
        f"{about['processor']} ({units}), {about['cores']} cores, load "
        f"{about['load']}\nTensorFlow {about['tensorflow']}, Keras "
        f"{about['keras']}, Python {about['python']}; before "
        f"{about['before']}, new {about['new']}"
    )
