"""Strategies from flags and TF_CONFIG, and what is wrong with them."""

import json
import types

import pytest
import tensorflow as tf

from tfbert.errors import UserError
from trainers.distributed.members import read_tf_config
from trainers.distributed.strategies import Distribution, make_distribution

CLUSTER = {"worker": ["a:1", "b:2"]}
WORKER = {"type": "worker", "index": 0}


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("TF_CONFIG", "TPU_NAME", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)


def test_one_device_is_the_default_on_a_cpu():
    distribution = make_distribution()
    assert distribution.kind == "one_device"
    assert distribution.is_chief and distribution.num_replicas == 1
    assert distribution.describe(32, 4) == (
        "one_device: 1 replica; batch 32 = 1 x 4 micro-batches x 8 rows"
    )


def test_several_devices_are_mirrored_and_get_their_replicas_in_order():
    distribution = make_distribution(devices=2)
    assert distribution.kind == "mirrored" and distribution.num_replicas == 2

    def make(first_replica, local_replicas):
        assert (first_replica, local_replicas) == (0, 2)
        return tf.data.Dataset.range(4)

    step = next(iter(distribution.dataset(make)))
    assert [int(value) for value in step.values] == [0, 1]


def test_a_cluster_of_one_worker_needs_no_strategy(monkeypatch):
    one = {"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}
    one["task"]["index"] = "0"
    monkeypatch.setenv("TF_CONFIG", json.dumps(one))
    cluster = read_tf_config()
    assert (cluster.workers, cluster.index) == (("a:1",), 0)
    assert make_distribution().kind == "one_device"


def test_batch_sizes_must_divide():
    distribution = Distribution(tf.distribute.get_strategy(), "one_device")
    distribution.check_batch_size(12, 4)
    with pytest.raises(UserError, match="nearest are 8 and 12"):
        distribution.check_batch_size(10, 4)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "cluster.worker"),
        ({"cluster": {}}, "cluster.worker, got None"),
        ({"cluster": {"worker": []}}, r"cluster.worker, got \[\]"),
        ({"cluster": {"worker": ["a"]}, "task": WORKER}, r"worker\[0\].*'a'"),
        (
            {"cluster": {"worker": ["a:1", "b:x"]}, "task": WORKER},
            r"cluster.worker\[1\], got 'b:x'",
        ),
        (
            {"cluster": {"worker": ["a:1", "a:1"]}, "task": WORKER},
            "another address for each worker",
        ),
        ({"cluster": CLUSTER}, "task.type"),
        ({"cluster": CLUSTER, "task": {"type": "worker"}}, "task.index"),
        (
            {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
            "task.index from 0 to 1",
        ),
        (
            {"cluster": CLUSTER, "task": {"type": "ps", "index": 0}},
            "task.type 'ps'",
        ),
        (
            {
                "cluster": {**CLUSTER, "chief": ["c:3"]},
                "task": {"type": "worker", "index": 0},
            },
            "chief",
        ),
    ],
)
def test_the_wrong_field_of_tf_config_is_named(monkeypatch, value, message):
    text = value if isinstance(value, str) else json.dumps(value)
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UserError, match=f"TF_CONFIG.*{message}"):
        make_distribution()


def test_multi_worker_without_tf_config_says_what_is_needed():
    with pytest.raises(UserError, match="needs TF_CONFIG"):
        make_distribution("multi_worker")


def test_a_tpu_that_is_not_there(monkeypatch):
    def resolve(tpu):
        assert tpu == "nowhere"
        raise OSError("Name or service not known")

    monkeypatch.setattr(
        tf.distribute.cluster_resolver, "TPUClusterResolver", resolve
    )
    with pytest.raises(UserError, match="wanted a TPU named 'nowhere'.*known"):
        make_distribution(tpu="nowhere")


def test_more_logical_cpus_than_tensorflow_started_with():
    with pytest.raises(UserError, match="wanted 64 logical CPUs"):
        make_distribution(devices=64)


@pytest.mark.parametrize("deterministic", [True, False])
def test_deterministic_operations_are_asked_for(deterministic, monkeypatch):
    from trainers.distributed.strategies import distribution_of
    from trainers.settings.sections import RuntimeSettings

    asked = []
    monkeypatch.setattr(
        tf.config.experimental,
        "enable_op_determinism",
        lambda: asked.append(True),
    )
    runtime = RuntimeSettings(deterministic=deterministic)
    distribution_of(types.SimpleNamespace(runtime=runtime))
    assert asked == [True] * deterministic
