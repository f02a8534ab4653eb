"""A Slurm of one controller and two nodes on this machine, for a while.

Everything it writes lies in one folder. The nodes are called 127.0.0.1 and
127.0.0.2, so that their names can be looked up anywhere, and share the host.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol")
NODES = ("127.0.0.1", "127.0.0.2")
CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/linear
SchedulerType=sched/builtin
ReturnToService=2
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
SlurmdParameters=config_overrides
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} "
    "CPUs=2 State=UNKNOWN\n"
)
PARTITION = "PartitionName=all Nodes=ALL Default=YES State=UP\n"


def why_not() -> str | None:
    """Why no Slurm can be started here; None if one can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    missing = [name for name in COMMANDS if not shutil.which(name, path=path)]
    if missing:
        return (
            f"Slurm is not installed (no {', '.join(missing)}; Debian: "
            "apt-get install slurm-wlm munge)"
        )
    if os.geteuid():
        return "only root can start Slurm's daemons"
    return None


@contextlib.contextmanager
def slurm(folder):
    """Runs the daemons; yields the environment for `sbatch` and the like."""
    *ports, controller = _free_ports(len(NODES) + 1)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    folder.chmod(0o755)
    (folder / "state").mkdir()
    host = socket.gethostname()
    text = CONFIGURATION.format(folder=folder, host=host, controller=controller)
    for name, port in zip(NODES, ports, strict=True):
        text += NODE.format(name=name, host=host, port=port)
    (folder / "slurm.conf").write_text(text + PARTITION)
    environment = {
        **os.environ,
        "SLURM_CONF": str(folder / "slurm.conf"),
        "PATH": f"{os.environ['PATH']}:/usr/sbin",
    }
    munge = ["--key-file", key, "--socket", folder / "munge.socket"]
    munge += ["--pid-file", folder / "munge.pid"]
    munge += ["--log-file", folder / "munge.log"]
    munge += ["--seed-file", folder / "munge.seed"]
    commands = [
        ["munged", "-F", "--force", *munge],
        ["slurmctld", "-D", "-i"],
        *(["slurmd", "-D", "-N", name] for name in NODES),
    ]
    daemons = []
    try:
        for command in commands:
            with open(folder / f"{len(daemons)}.out", "wb") as out:
                daemons.append(
                    subprocess.Popen(
                        list(map(str, command)),
                        env=environment,
                        stdout=out,
                        stderr=subprocess.STDOUT,
                    )
                )
            if command[0] == "munged":
                _until(lambda: (folder / "munge.socket").exists())
        _until(lambda: ask(environment, "sinfo", "-hN").count("idle") == 2)
        yield environment
    finally:
        # Tasks outlive the daemons that started them.
        with contextlib.suppress(AssertionError, OSError):
            ask(environment, "scancel", "--signal=KILL", "--user=root")
            ask(environment, "scancel", "--user=root")
            _until(lambda: not ask(environment, "squeue", "-h").strip(), 20)
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            with contextlib.suppress(subprocess.TimeoutExpired):
                daemon.wait(10)
            daemon.kill()


def ask(environment, *command) -> str:
    """What a command of Slurm prints."""
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60
    ).stdout


def _until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("Slurm does not start")
        time.sleep(0.2)


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
