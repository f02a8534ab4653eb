"""What the tests cost, and the memory that they give back.

TensorFlow has eight logical CPUs, for strategies with several replicas.
"""

import ctypes
import gc
import os
import pathlib
import sys
import time
from collections.abc import Iterator

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import hypothesis
import pytest

FAULTS = pathlib.Path(__file__).parent / "faults"


# How long an example takes to make says how busy the machine is.
hypothesis.settings.register_profile(
    "house",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--cost",
        metavar="FILE",
        help="append what each test cost: CPU seconds of the process and of "
        "the children that it waited for, wall seconds, memory in MB, test",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Starts TensorFlow, but not in the process that only hands out tests."""
    if config.getoption("numprocesses", None):
        return
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0],
        [tf.config.LogicalDeviceConfiguration()] * 8,
    )
    # TensorFlow starts with them now: later requests for fewer must not win.
    tf.config.list_logical_devices()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole processes take long; those of the battery are marked as such."""
    for item in items:
        if FAULTS in item.path.parents:
            item.add_marker("long")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Fixtures count with the test that is the first to want them."""
    file = item.config.getoption("cost")
    cpu, wall = sum(os.times()[:4]), time.monotonic()
    outcome = yield
    if file:
        cpu, wall = sum(os.times()[:4]) - cpu, time.monotonic() - wall
        pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
        memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        with open(file, "a") as rows:
            rows.write(f"{cpu:.2f}\t{wall:.2f}\t{memory:.0f}\t{item.nodeid}\n")
    return outcome


@pytest.fixture(scope="module", autouse=True)
def memory_given_back() -> Iterator[None]:
    """Models hang in circles, and the C library keeps what Python frees.

    TensorFlow keeps the graphs of custom gradients that are not ours, too:
    those of Keras' optimizers and of loaded models.
    """
    yield
    if (ops := sys.modules.get("tensorflow.python.framework.ops")) is not None:
        table = ops.gradient_registry._registry
        for name in [n for n in table if n.startswith("CustomGradient-")]:
            del table[name]
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL("libc.so.6").malloc_trim(0)
