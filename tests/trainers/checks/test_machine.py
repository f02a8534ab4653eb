import importlib.metadata

import pytest

from trainers.checks import machine
from trainers.checks.findings import Findings
from trainers.distributed.members import Cluster


def test_versions_are_compared_with_what_was_asked_for(monkeypatch):
    wanted = [
        "numpy>=1.26",
        "keras<1",
        "no-such-package-at-all>=2",
        'torch>=99; extra == "peers"',
    ]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: wanted)
    findings = Findings()
    machine.check_versions(findings)
    first, second = map(str, findings.mistakes)
    assert "wanted keras <1, got 3" in first and "pip install" in first
    assert "wanted no-such-package-at-all >=2, got none" in second


def test_what_is_installed_here_is_what_was_asked_for():
    findings = Findings()
    machine.check_versions(findings)
    assert not findings.mistakes
    assert f"tensorflow {importlib.metadata.version('tensorflow')}" in str(
        findings.all[0]
    )


@pytest.mark.parametrize(
    "installed,said",
    [
        # Does not import at all.
        ({"tensorflow-text": "2.21.0"}, "!=2.21.0"),
        # Built for another TensorFlow: its operations are not found.
        (
            {"tensorflow": "2.21.0", "tensorflow-text": "2.20.1"},
            "wanted tensorflow-text 2.21 beside tensorflow 2.21.0, got 2.20.1",
        ),
        ({"tensorflow": "2.22.0"}, "got 2.22.0"),
    ],
)
def test_versions_that_cannot_work_are_named(monkeypatch, installed, said):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda n: installed.get(n) or real(n)
    )
    findings = Findings()
    machine.check_versions(findings)
    assert said in "\n".join(map(str, findings.mistakes))


class Runtime:
    devices, precision = None, "float32"


def devices_found(monkeypatch, gpus=(), details=None, **settings):
    """What is said of a machine with these GPUs and settings."""
    config = machine.tf.config
    monkeypatch.setattr(config, "list_physical_devices", lambda _: list(gpus))
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda _: details or {}
    )
    runtime = Runtime()
    vars(runtime).update(settings)
    findings = Findings()
    machine.check_devices(findings, runtime)
    return [str(finding) for finding in findings.all if finding.kind != "fine"]


class GPU:
    name = "/physical_device:GPU:0"


OLD = {"device_name": "Old GPU", "compute_capability": (7, 0)}


def test_an_old_gpu_and_bfloat16(monkeypatch):
    found = devices_found(monkeypatch, [GPU], OLD, precision="bfloat16")
    assert "got Old GPU with 7.0; take" in found[0]
    new = {"device_name": "New GPU", "compute_capability": (9, 0)}
    assert not devices_found(monkeypatch, [GPU], new, precision="bfloat16")
    assert not devices_found(monkeypatch, [GPU], OLD, precision="float16")


def test_more_devices_than_there_are(monkeypatch):
    found = devices_found(monkeypatch, [GPU], OLD, devices=2)
    assert "wanted runtime.devices up to 1" in found[0]
    found = devices_found(monkeypatch, devices=10_000)
    assert found[0].startswith("advice") and "logical CPUs" in found[0]


def test_gpus_that_tensorflow_does_not_see(monkeypatch):
    glob = machine.Path.glob
    monkeypatch.setattr(
        machine.Path,
        "glob",
        lambda path, pattern: (
            [path / "nvidia0"] if str(path) == "/dev" else glob(path, pattern)
        ),
    )
    found = devices_found(monkeypatch)
    assert "wanted the 1 GPUs of this machine" in found[0]
    # Who hides them on purpose wants none.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not devices_found(monkeypatch)


CLUSTER = Cluster(("a:1", "b:1", "c:1"), 2, "TF_CONFIG", "a:1001")


@pytest.mark.parametrize(
    "settings,cluster,kind,replicas",
    [
        ({}, None, "one_device", 1),
        ({"devices": 4}, None, "mirrored", 4),
        ({}, CLUSTER, "multi_worker", 3),
        ({"strategy": "one_device"}, CLUSTER, "one_device", 1),
        # How many cores it has is not known from here.
        ({"tpu": "local"}, None, "tpu", 1),
    ],
)
def test_the_replicas_that_a_run_would_have(
    monkeypatch, settings, cluster, kind, replicas
):
    monkeypatch.delenv("TPU_NAME", raising=False)
    monkeypatch.setattr(
        machine.tf.config, "list_physical_devices", lambda _: []
    )
    runtime = Runtime()
    vars(runtime).update({"strategy": "auto", "tpu": None, **settings})
    planned = machine.planned_distribution(runtime, cluster)
    assert (planned.kind, planned.num_replicas) == (kind, replicas)
    assert planned.is_chief == (cluster is None or kind == "one_device")


def test_the_memory_is_that_of_the_gpu_if_there_is_one(monkeypatch):
    assert machine._memory() > 1 << 30  # The host's.
    monkeypatch.setattr(
        machine.tf.config, "list_logical_devices", lambda _: ["GPU:0"]
    )
    for memory in (16 << 30, None):
        monkeypatch.setattr(machine, "smallest_gpu", lambda m=memory: m)
        assert machine._memory() == memory


@pytest.mark.parametrize(
    "installed,said",
    [
        ({"tensorflow-tpu": "2.20.0", "tensorflow-text": "2.20.1"}, None),
        ({"tensorflow": "2.20.0", "tensorflow-tpu": "2.20.0"}, "got both"),
        ({}, "wanted tensorflow"),
    ],
)
def test_tensorflow_for_tpus_is_tensorflow(installed, said, monkeypatch):
    real = importlib.metadata.version

    def version(name):
        if name.startswith("tensorflow") and "serving" not in name:
            known = {"tensorflow-text": "2.20.1", **installed}
            if name not in known:
                raise importlib.metadata.PackageNotFoundError(name)
            return known[name]
        return real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    findings = Findings()
    machine.check_versions(findings)
    texts = [str(mistake) for mistake in findings.mistakes]
    assert not texts if said is None else any(said in text for text in texts)
