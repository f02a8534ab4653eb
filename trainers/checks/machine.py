"""Versions, devices, cluster, ports, folders, disk and memory."""

import contextlib
import importlib.metadata
import os
import shutil
import socket
import types
from collections.abc import Sequence
from pathlib import Path

import packaging.requirements
import tensorflow as tf

from tfbert.config import BertConfig
from trainers.checks.findings import Findings
from trainers.distributed.members import (
    Cluster,
    check_port_is_free,
    find_cluster,
    split_address,
)
from trainers.distributed.strategies import (
    TPU_VARIABLE,
    Distribution,
    detect_strategy,
)
from trainers.files import environment
from trainers.files.text import size
from trainers.planning.memory_estimate import (
    activation_bytes,
    block_bytes,
    num_parameters,
)
from trainers.planning.precision import LEAST_WIDTH, MARGIN, probe
from trainers.watching.gpu_memory import smallest_gpu

PACKAGE = "tfbert"
# Weights, gradients and the two moments of an optimizer, in float32.
BYTES_PER_PARAMETER = 16
# A checkpoint has no gradients.
BYTES_ON_DISK = 12
# Compute capability of the first GPUs that multiply in bfloat16 (Ampere).
BFLOAT16_CAPABILITY = (8, 0)


def check_versions(findings: Findings) -> None:
    """Every package is there, in a version that was asked for."""
    try:
        wanted = importlib.metadata.requires(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        wanted = []
    before = len(findings.mistakes)
    for text in wanted:
        requirement = packaging.requirements.Requirement(text)
        marker = requirement.marker
        if marker and not marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if version is None or not requirement.specifier.contains(version):
            findings.add(
                "mistake",
                "versions",
                f"wanted {requirement.name} {requirement.specifier}, got "
                f"{version or 'none'}; pip install "
                f"'{requirement.name}{requirement.specifier}'",
            )
    if _version("tensorflow", ()) and _version("tensorflow-tpu", ()):
        findings.add(
            "mistake",
            "versions",
            "wanted tensorflow or tensorflow-tpu, got both, which have files "
            "of the same names; pip uninstall both, and pip install the one "
            "that is wanted",
        )
    if len(findings.mistakes) == before:
        _check_one_line(findings)
    if len(findings.mistakes) == before:
        found = environment.describe(devices=False)["versions"]
        text = ", ".join(f"{name} {v}" for name, v in found.items())
        findings.add("fine", "versions", text)


def _version(
    name: str, instead: Sequence[str] = ("tensorflow-tpu",)
) -> str | None:
    """The version of a package, or of one in its place; None if none is."""
    for package in (name, *(instead if name == "tensorflow" else ())):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(package)
    return None


def _check_one_line(findings: Findings) -> None:
    """TF.Text's operations are built for one minor version of TensorFlow."""
    line, text = _version("tensorflow"), _version("tensorflow-text")
    wanted = line.rsplit(".", 1)[0]
    if not text.startswith(wanted + "."):
        findings.add(
            "mistake",
            "versions",
            f"wanted tensorflow-text {wanted} beside tensorflow {line}, got "
            f"{text}; pip install 'tensorflow-text=={wanted}.*,!=2.21.0'",
        )


def check_devices(findings: Findings, runtime=None) -> None:
    """The devices are seen, and compute well in the precision wanted.

    Args:
      runtime: RuntimeSettings, or None to look at the devices alone.
    """
    gpus = tf.config.list_physical_devices("GPU")
    drivers = sorted(Path("/dev").glob("nvidia[0-9]*"))
    if drivers and not gpus and os.environ.get("CUDA_VISIBLE_DEVICES") != "":
        findings.add(
            "mistake",
            "devices",
            f"wanted the {len(drivers)} GPUs of this machine, TensorFlow sees "
            "none; pip install 'tfbert[gpu]', and look at CUDA_VISIBLE_DEVICES",
        )
        return
    names = [_model_of(gpu) for gpu in gpus]
    cores = environment.describe(devices=False)["cpu"]["usable_cores"]
    shown = ", ".join(names) or f"no GPU; {cores} CPU cores"
    findings.add("fine", "devices", shown)
    if runtime is None:
        return
    if gpus and runtime.devices and runtime.devices > len(gpus):
        findings.add(
            "mistake",
            "devices",
            f"wanted runtime.devices up to {len(gpus)} (the GPUs of this "
            f"host), got {runtime.devices}",
        )
    if not gpus and runtime.devices and runtime.devices > cores:
        findings.add(
            "advice",
            "devices",
            f"runtime.devices is {runtime.devices}, logical CPUs on {cores} "
            "cores; more than the cores only share them",
        )
    _check_precision(findings, runtime.precision, gpus)


def _check_precision(findings: Findings, precision: str, gpus: list) -> None:
    if precision == "float16" and not gpus:
        findings.add(
            "mistake",
            "precision",
            "wanted a GPU for runtime.precision float16, got none; CPUs and "
            "TPUs compute it slowly: take bfloat16, or float32",
        )
    if precision == "auto":
        ratio = probe(768, 3072)
        name = "bfloat16" if ratio >= MARGIN else "float32"
        findings.add(
            "fine",
            "precision",
            f"auto is {name} here for models from {LEAST_WIDTH} wide: "
            f"products in bfloat16 take {1 / ratio:.2g} of float32's time",
        )
    if precision != "bfloat16":
        return
    for gpu in gpus:
        details = tf.config.experimental.get_device_details(gpu)
        capability = details.get("compute_capability", BFLOAT16_CAPABILITY)
        if tuple(capability) < BFLOAT16_CAPABILITY:
            findings.add(
                "mistake",
                "precision",
                f"wanted a GPU of compute capability 8.0 for bfloat16, got "
                f"{_model_of(gpu)} with {capability[0]}.{capability[1]}; take "
                "runtime.precision float16",
            )


def _model_of(gpu) -> str:
    details = tf.config.experimental.get_device_details(gpu)
    return details.get("device_name", gpu.name)


def check_cluster(findings: Findings, runtime=None) -> Cluster | None:
    """The variables name a cluster whose hosts and ports can be used."""
    before = len(findings.mistakes)
    cluster = findings.attempt("cluster", find_cluster)
    if cluster is None:
        if len(findings.mistakes) == before:
            findings.add("fine", "cluster", "none named; one host")
            if runtime and runtime.strategy == "multi_worker":
                findings.add(
                    "mistake",
                    "cluster",
                    "wanted TF_CONFIG or a Slurm step for runtime.strategy "
                    "multi_worker, got neither; set TF_CONFIG on every worker",
                )
        return None
    if len(cluster.workers) > 1 and runtime is not None:
        alone = runtime.strategy in ("one_device", "mirrored")
        if alone:
            findings.add(
                "mistake",
                "cluster",
                f"wanted runtime.strategy auto or multi_worker for the "
                f"{len(cluster.workers)} workers of {cluster.source}, got "
                f"{runtime.strategy}: each would train a model of its own in "
                "one run folder",
            )
    findings.attempt("ports", check_port_is_free, cluster)
    for address in (*cluster.workers, cluster.monitor):
        host, _ = split_address(address)
        try:
            socket.getaddrinfo(host, None)
        except OSError as error:
            findings.add(
                "mistake",
                "cluster",
                f"wanted the address of {host!r} ({cluster.source}: "
                f"{address}), got: {error.strerror}; correct the name",
            )
    if len(findings.mistakes) == before:
        findings.add(
            "fine",
            "cluster",
            f"{len(cluster.workers)} workers by {cluster.source}, this is "
            f"worker {cluster.index}; its port is free",
        )
    return cluster


def planned_distribution(runtime, cluster: Cluster | None) -> Distribution:
    """The distribution that a run would make, without starting it.

    Workers are taken to have as many GPUs as this host. A TPU's cores are not
    known before it is reached: one, so that nothing is said of them.
    """
    tpu = runtime.tpu or os.environ.get(TPU_VARIABLE) or None
    kind = runtime.strategy
    if kind == "auto":
        kind = detect_strategy(cluster, tpu, runtime.devices)
    gpus = len(tf.config.list_physical_devices("GPU"))
    local = runtime.devices or max(gpus, 1)
    workers, worker = 1, 0
    if kind == "multi_worker" and cluster:
        workers, worker = len(cluster.workers), cluster.index
        local = max(gpus, 1)
    replicas = 1 if kind in ("one_device", "tpu") else local * workers
    # Only the number of replicas is asked for.
    strategy = types.SimpleNamespace(num_replicas_in_sync=replicas)
    return Distribution(strategy, kind, worker, workers)


def check_room(
    findings: Findings,
    settings,
    config: BertConfig,
    activations: int,
) -> None:
    """The run folder can be written, disk and memory suffice.

    Args:
      findings: where findings go.
      settings: with a section runtime.
      config: the encoder's shape.
      activations: bytes of a micro-batch, by formula.
    """
    runtime = settings.runtime
    folder = Path(runtime.run_dir).absolute()
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        findings.add(
            "mistake",
            "run folder",
            f"wanted a folder that can be written for {runtime.run_dir}, got "
            f"{folder}; change its permissions, or runtime.run_dir",
        )
        return
    parameters = num_parameters(config)
    kept = runtime.keep_checkpoints + getattr(runtime, "keep_best", 0) + 1
    needed, free = kept * parameters * BYTES_ON_DISK, _free(folder)
    findings.add(
        "fine" if needed < free else "mistake",
        "disk",
        f"{size(needed)} for {kept} checkpoints, {size(free)} free at {folder}"
        if needed < free
        else f"wanted {size(needed)} for {kept} checkpoints, got {size(free)} "
        f"free at {folder}; lower runtime.keep_checkpoints, or give another "
        "runtime.run_dir",
    )
    estimate = parameters * BYTES_PER_PARAMETER + activations
    limit = _memory()
    if limit and estimate > limit:
        findings.add(
            "mistake",
            "memory",
            f"wanted at least {size(estimate)} on a device (an estimate), got "
            f"{size(limit)}; raise optimization.accumulation_steps, or take "
            "runtime.precision bfloat16",
        )
    else:
        there = size(limit) if limit else "unknown how much it has"
        text = f"about {size(estimate)} needed on a device ({there})"
        findings.add("fine", "memory", text)


def activations_of(
    settings,
    config: BertConfig,
    distribution: Distribution,
    sequence_length: int,
    predictions: int = 0,
    largest: tuple[int, int] | None = None,
) -> int:
    """Bytes of a micro-batch's activations, by formula.

    Args:
      settings: with sections optimization and runtime.
      config: the encoder's shape.
      distribution: has num_replicas.
      sequence_length: of rows that are computed whole.
      predictions: of a row.
      largest: places, and pairs of places in attention, of the largest
        micro-batch, where rows are not computed whole.
    """
    runtime, optimization = settings.runtime, settings.optimization
    how = (
        2 if runtime.precision in ("bfloat16", "float16") else 4,
        getattr(runtime, "recompute", False),
    )
    if largest is not None:
        return block_bytes(config, *largest, *how)
    parts = distribution.num_replicas * optimization.accumulation_steps
    rows = max(optimization.batch_size // parts, 1)
    return activation_bytes(config, rows, sequence_length, predictions, *how)


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def _memory() -> int | None:
    """Bytes of the smallest device: a GPU's, if there are any, or the host's.

    None where it is not known.
    """
    if tf.config.list_logical_devices("GPU"):
        return smallest_gpu()
    return environment.describe(devices=False).get("memory_bytes")
