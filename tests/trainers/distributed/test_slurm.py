"""Slurm's variables as a cluster."""

import os
import re
import shutil
import subprocess

import pytest

from tfbert.errors import UserError
from trainers.distributed.members import read_slurm
from trainers.distributed.slurm import (
    FIRST_PORT,
    expand_counts,
    expand_nodes,
    gpus_of_task,
)

STEP = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "2",
    "SLURM_NODEID": "1",
    "SLURM_LOCALID": "0",
    "SLURM_STEP_NUM_TASKS": "3",
    "SLURM_STEP_NODELIST": "node[01,03]",
    "SLURM_STEP_TASKS_PER_NODE": "2,1",
}
LISTS = {
    "a": ["a"],
    "node[01-03,07]": ["node01", "node02", "node03", "node07"],
    "n[8-11]": ["n8", "n9", "n10", "n11"],
    "a[1-2],b,c[3]": ["a1", "a2", "b", "c3"],
    "r[1-2]n[0-1]": ["r1n0", "r1n1", "r2n0", "r2n1"],
    "127.0.0.[1-2]": ["127.0.0.1", "127.0.0.2"],
    "gpu-a[098-101]": ["gpu-a098", "gpu-a099", "gpu-a100", "gpu-a101"],
}


def test_tasks_of_a_node_that_see_all_gpus_share_them_out():
    def task(node, local, on_node="4"):
        return {
            **STEP,
            "SLURM_NODEID": node,
            "SLURM_LOCALID": local,
            "SLURM_GPUS_ON_NODE": on_node,
        }

    # Two tasks on the first node, one on the second.
    assert list(gpus_of_task(task("0", "0"), 4)) == [0, 1]
    assert list(gpus_of_task(task("0", "1"), 4)) == [2, 3]
    assert list(gpus_of_task(task("1", "0"), 4)) == [0, 1, 2, 3]
    # Slurm has bound them: each sees its own.
    assert list(gpus_of_task(task("0", "1"), 2)) == [0, 1]
    # There are none, or Slurm knows of none.
    assert list(gpus_of_task(task("0", "1", "0"), 0)) == []
    assert list(gpus_of_task(STEP | {"SLURM_NODEID": "0"}, 4)) == [0, 1, 2, 3]
    with pytest.raises(UserError, match="the 2 tasks .* got 3 .*--gpus-per-"):
        gpus_of_task(task("0", "0", "3"), 3)


@pytest.mark.parametrize("text", LISTS)
def test_lists_of_nodes(text):
    assert expand_nodes(text) == LISTS[text]


@pytest.mark.skipif(
    not shutil.which("scontrol"), reason="Slurm is not installed"
)
def test_lists_of_nodes_as_scontrol_has_them(tmp_path):
    conf = tmp_path / "slurm.conf"
    conf.write_text("ClusterName=a\nSlurmctldHost=a\nNodeName=a\n")
    for text in LISTS:
        told = subprocess.run(
            ["scontrol", "show", "hostnames", text],
            capture_output=True,
            text=True,
            env={**os.environ, "SLURM_CONF": str(conf)},
        )
        assert told.stdout.split() == expand_nodes(text), told.stderr


@pytest.mark.parametrize(
    "text", ["a[", "a[1-]", "a[3-1]", "a]", "[]", "a[1-99999999]", "a[x]"]
)
def test_what_is_no_list_of_nodes(text):
    with pytest.raises(UserError, match="list of Slurm nodes"):
        expand_nodes(text)


def test_too_many_nodes():
    with pytest.raises(UserError, match="list of Slurm nodes"):
        expand_nodes(",".join(["a[0-60000]"] * 2))


def test_counts():
    assert expand_counts("2(x3),1") == [2, 2, 2, 1]
    with pytest.raises(UserError, match=r"like 2\(x3\),1, got 'two'"):
        expand_counts("two")


def test_a_step_is_a_cluster():
    cluster = read_slurm(STEP)
    first = FIRST_PORT + 32 * 7
    assert cluster.workers == (
        f"node01:{first}",
        f"node01:{first + 1}",
        f"node03:{first + 2}",
    )
    assert cluster.index == 2
    assert cluster.source == "Slurm job 7, step 0"
    # One port for all that is no worker's.
    assert cluster.monitor == f"node01:{first + 31}"
    other = read_slurm({**STEP, "SLURM_JOB_ID": "8"})
    assert not {*other.workers, other.monitor} & {
        *cluster.workers,
        cluster.monitor,
    }
    told = read_slurm({**STEP, "TFBERT_MONITOR": "node01:99"})
    assert told.monitor == "node01:99"


def test_every_port_is_below_those_of_outgoing_connections():
    for job in range(1200):
        cluster = read_slurm({**STEP, "SLURM_JOB_ID": str(job)})
        for address in (*cluster.workers, cluster.monitor):
            assert 12000 <= int(address.rsplit(":", 1)[1]) < 32768


def test_elsewhere_there_is_none():
    assert read_slurm({}) is None
    # The batch script itself, which srun has not started.
    assert read_slurm({"SLURM_JOB_ID": "7", "SLURM_NTASKS": "2"}) is None
    assert read_slurm({**STEP, "SLURM_STEP_NUM_TASKS": "1"}) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"SLURM_PROCID": "3"}, "do not fit together"),
        ({"SLURM_STEP_TASKS_PER_NODE": "2"}, "do not fit together"),
        ({"SLURM_STEP_NODELIST": ""}, "SLURM_STEP_NODELIST is not set"),
        ({"SLURM_JOB_ID": "x"}, "a number in SLURM_JOB_ID, got 'x'"),
        ({"SLURM_NODEID": "0"}, "--distribution=block"),
        (
            {
                "SLURM_STEP_NUM_TASKS": "64",
                "SLURM_STEP_TASKS_PER_NODE": "32(x2)",
            },
            "fewer than 32 tasks on a node",
        ),
    ],
)
def test_what_is_wrong_is_named(changes, message):
    with pytest.raises(UserError, match=re.escape(message)):
        read_slurm({**STEP, **changes})
