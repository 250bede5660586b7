"""A real Slurm of one node on this machine, with its files in a folder of its own: munged, slurmctld and slurmd."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "srun", "squeue")
PATIENCE = 60  # seconds that each daemon has to answer
# The GPUs are two terminals: Slurm counts and assigns them like any device file, and nothing opens them.
SETTINGS = """
ClusterName=smooseg
SlurmctldHost={host}
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
MinJobAge=600
GresTypes=gpu
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=16000 Gres=gpu:2 State=UNKNOWN
PartitionName=main Nodes=node1 Default=YES MaxTime=INFINITE State=UP
"""


class NoSlurm(Exception):
    """Slurm cannot be started here; the text says why."""


@contextmanager
def slurm(folder: Path) -> Iterator[dict]:
    """Start a Slurm, and stop its daemons afterwards.

    Args:
        folder: Where its files go; a short path, since it holds a socket.

    Yields:
        Environment variables for programs that are to use it.

    Raises:
        NoSlurm: If it cannot be started.
    """
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        raise NoSlurm(f"not installed: {', '.join(missing)}" if missing else "its daemons need root")
    write_settings(folder)
    path = f"{wrap_srun(folder)}{os.pathsep}{os.environ['PATH']}"
    environment, daemons = os.environ | {"SLURM_CONF": f"{folder}/slurm.conf", "PATH": path}, []
    try:
        start(daemons, ["munged", "--foreground", "--force", *munge_files(folder)], environment, folder)
        wait_for((folder / "munge.socket").exists, "munged", folder)
        start(daemons, ["slurmctld", "-D"], environment, folder)
        start(daemons, ["slurmd", "-D", "-N", "node1"], environment, folder)
        wait_for(lambda: "idle" in said(["sinfo", "-h", "-o", "%T"], environment), "slurmd", folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def write_settings(folder: Path) -> None:
    """Write slurm.conf and gres.conf."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    controller, node = free_ports(2)
    values = {"host": socket.gethostname(), "folder": folder, "cores": os.cpu_count()}
    (folder / "slurm.conf").write_text(SETTINGS.format(controller=controller, node=node, **values))
    (folder / "gres.conf").write_text("NodeName=node1 Name=gpu File=/dev/tty[0-1]\n")


def wrap_srun(folder: Path) -> Path:
    """A folder with an srun that knows these settings: Snakemake's job steps drop SLURM_CONF from its environment."""
    wrapper = folder / "bin" / "srun"
    wrapper.parent.mkdir()
    wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper.parent


def munge_files(folder: Path) -> list[str]:
    """Options that keep munged's files in the folder, with a fresh key."""
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    return [f"--{option}={folder}/munge.{name}" for option, name in names.items()]


def start(daemons: list[subprocess.Popen], command: list[str], environment: dict, folder: Path) -> None:
    """Start a daemon whose output goes to the folder."""
    with (folder / f"{command[0]}.out").open("wb") as out:
        daemons.append(subprocess.Popen(command, env=environment, stdout=out, stderr=out))


def wait_for(ready, what: str, folder: Path) -> None:
    """Wait until a daemon answers."""
    deadline = time.monotonic() + PATIENCE
    while not ready():
        if time.monotonic() > deadline:
            raise NoSlurm(f"{what} does not answer: {(folder / f'{what}.out').read_text()[-500:]}")
        time.sleep(0.2)


def said(command: list[str], environment: dict) -> str:
    """Standard output of a command, whatever its exit code."""
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


def free_ports(number: int) -> list[int]:
    """Ports of this machine that nothing listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [some.getsockname()[1] for some in sockets]
    for some in sockets:
        some.close()
    return ports
