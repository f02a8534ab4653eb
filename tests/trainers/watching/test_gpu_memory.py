"""What the driver says, read from a stand-in of its command."""

import os

import pytest

from trainers.watching.gpu_memory import smallest_gpu

GPUS = "0, GPU-aa1, 81920\n1, GPU-bb2, 81920\n2, GPU-cc3, 16384\n"
GIB = 1 << 30


@pytest.fixture
def driver(tmp_path, monkeypatch):
    def say(text):
        command = tmp_path / "nvidia-smi"
        command.write_text(f"#!/bin/sh\ncat <<END\n{text}END\n")
        command.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        monkeypatch.setenv("PATH", path)

    return say


@pytest.mark.parametrize(
    "environment,wanted",
    [
        ({}, 16),
        ({"CUDA_VISIBLE_DEVICES": "0"}, 16),
        ({"CUDA_VISIBLE_DEVICES": "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, 80),
        ({"CUDA_VISIBLE_DEVICES": "GPU-bb"}, 80),
        ({"CUDA_VISIBLE_DEVICES": "GPU-bb2,GPU-cc3"}, 16),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, None),
        ({"CUDA_VISIBLE_DEVICES": ""}, None),
        ({"CUDA_VISIBLE_DEVICES": "MIG-1"}, None),
    ],
)
def test_the_smallest_that_is_seen(environment, wanted, driver):
    driver(GPUS)
    found = smallest_gpu(environment)
    assert found == (wanted and wanted * GIB)


@pytest.mark.parametrize("text", ["", "No devices found\n", "0, a, [N/A]\n"])
def test_what_the_driver_does_not_know(text, driver):
    driver(text)
    assert smallest_gpu({}) is None


def test_no_driver(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert smallest_gpu({}) is None


def test_a_process_takes_memory_as_it_needs_it():
    """So that an evaluation beside a training has some."""
    import trainers.command  # noqa: F401

    assert os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] in ("true", "false")
