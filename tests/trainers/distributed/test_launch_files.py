"""The launch files of docs/launch do what they say, as far as no cluster goes.

YAML is parsed, commands are given to our own parsers, and scripts run with
stand-ins for `srun`, `tfbert` and the like.
"""

import json
import os
import pathlib
import re
import subprocess

import pytest
import yaml

from trainers import pretrain
from trainers.distributed.members import find_cluster
from trainers.distributed.processes import FINAL

ROOT = pathlib.Path(__file__).parents[3]
LAUNCH = ROOT / "docs/launch"


@pytest.fixture
def stand_ins(tmp_path):
    """Makes commands that note their arguments and environment."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def make(**statuses):
        for name, status in statuses.items():
            path = folder / name
            note = tmp_path / name
            path.write_text(
                "#!/bin/bash\n"
                f'printf "%s\\n" "$@" > {note}.argv\n'
                f'printf "%s" "${{TF_CONFIG:-}}" > {note}.tf_config\n'
                f"exit {status}\n"
            )
            path.chmod(0o755)
        return {"PATH": f"{folder}:{os.environ['PATH']}"}

    return make


def bash(script, arguments=(), **environment):
    return subprocess.run(
        ["bash", *script, *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def noted(tmp_path, name):
    path = tmp_path / f"{name}.argv"
    return path.read_text().splitlines() if path.exists() else None


def understood(words, monkeypatch):
    """Whether `tfbert pretrain` takes these options."""
    monkeypatch.chdir(ROOT)
    assert words[0] == "pretrain"
    return pretrain.build_parser().parse_args(words[1:])


def test_the_slurm_script_starts_all_tasks(tmp_path, stand_ins, monkeypatch):
    given = ["--config", "trainers/configs/pretrain_mini_cpu.yaml"]
    script = [str(LAUNCH / "slurm.sbatch")]
    done = bash(script, given, **stand_ins(srun=0, scontrol=0))
    assert done.returncode == 0, done.stderr
    words = noted(tmp_path, "srun")
    at = words.index("tfbert")
    assert {"--distribution=block", "--label"} <= set(words[:at])
    understood(words[at + 1 :], monkeypatch)
    assert noted(tmp_path, "scontrol") is None


@pytest.mark.parametrize("status", [0, 1, *FINAL, 5, 6, 137])
def test_the_slurm_script_starts_again_where_that_helps(
    tmp_path, stand_ins, status
):
    script = [str(LAUNCH / "slurm.sbatch")]
    environment = stand_ins(srun=status, scontrol=0) | {"SLURM_JOB_ID": "7"}
    done = bash(script, **environment)
    assert done.returncode == status
    asked = noted(tmp_path, "scontrol")
    assert asked == (["requeue", "7"] if status in (5, 6, 137, 143) else None)
    (tmp_path / "scontrol.argv").unlink(missing_ok=True)
    # Not for ever.
    bash(script, **environment, SLURM_RESTART_COUNT="20")
    assert noted(tmp_path, "scontrol") is None


def test_the_job_of_kubernetes(tmp_path, stand_ins, monkeypatch):
    text = (LAUNCH / "kubernetes_job.yaml").read_text()
    service, job = yaml.safe_load_all(text)
    assert (service["kind"], job["kind"]) == ("Service", "Job")
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    # Names by which the pods find each other.
    assert service["spec"]["clusterIP"] == "None"
    assert pod["subdomain"] == service["metadata"]["name"]
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert spec["completionMode"] == "Indexed"
    (container,) = pod["containers"]
    (rule,) = spec["podFailurePolicy"]["rules"]
    assert rule["onExitCodes"]["containerName"] == container["name"]
    assert set(rule["onExitCodes"]["values"]) == {s for s in FINAL if s < 100}
    environment = {e["name"]: e["value"] for e in container["env"]}
    workers = int(environment["WORKERS"])
    assert spec["completions"] == spec["parallelism"] == workers
    addresses = []
    for index in range(workers):
        done = bash(
            [*container["command"][1:], *container["args"]],
            **environment,
            **stand_ins(tfbert=0),
            JOB_COMPLETION_INDEX=str(index),
        )
        assert done.returncode == 0, done.stderr
        told = (tmp_path / "tfbert.tf_config").read_text()
        cluster = find_cluster({"TF_CONFIG": told})
        assert cluster.index == index
        addresses.append(cluster.address)
    assert addresses == ["tfbert-0.tfbert:2222", "tfbert-1.tfbert:2222"]
    understood(noted(tmp_path, "tfbert"), monkeypatch)


def test_the_job_of_kubeflow(monkeypatch):
    job = yaml.safe_load((LAUNCH / "kubeflow_tfjob.yaml").read_text())
    assert job["kind"] == "TFJob"
    (kind, workers), *others = job["spec"]["tfReplicaSpecs"].items()
    # Our TF_CONFIG has workers only.
    assert kind == "Worker" and not others
    (container,) = workers["template"]["spec"]["containers"]
    assert container["name"] == "tensorflow"
    command, *words = container["command"]
    assert command == "tfbert"
    understood(words, monkeypatch)
    ports = [port["containerPort"] for port in container["ports"]]
    # What the operator sets.
    told = {
        "cluster": {"worker": [f"tfbert-worker-{i}:2222" for i in range(2)]},
        "task": {"type": "worker", "index": 1},
        "environment": "cloud",
    }
    cluster = find_cluster({"TF_CONFIG": json.dumps(told)})
    assert cluster.monitor == f"tfbert-worker-0:{ports[1]}"


def test_the_script_for_a_tpu_vm(tmp_path, stand_ins, monkeypatch):
    done = bash(
        [str(LAUNCH / "tpu_vm.sh")], **stand_ins(gcloud=0), HOME=str(tmp_path)
    )
    assert done.returncode == 0, done.stderr
    # The last call of gcloud; what it runs on the VM is one argument.
    there = "\n".join(noted(tmp_path, "gcloud"))
    command = re.search(r"tfbert (pretrain(?:.*\\\n)*.*)", there)[1]
    words = command.replace("\\\n", " ").split()
    settings = understood(words, monkeypatch)
    assert settings.runtime.strategy == "tpu"
    assert settings.runtime.tpu == "local"


def test_every_launch_file_is_explained():
    page = (ROOT / "docs/cluster.md").read_text()
    for path in LAUNCH.iterdir():
        assert f"docs/launch/{path.name}" in page
