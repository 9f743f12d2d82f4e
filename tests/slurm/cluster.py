"""A Slurm cluster of one controller and two nodes on loopback, for the time of a test; nothing of the system's changes.

Needs Debian's slurm-wlm and munge, and root. No accounting, no cgroups: proctrack/linuxproc, task/none. A requeued job
waits as long as credentials live (cred_expire), here 20 seconds in place of 120.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel", "srun")
_CONFIG = """\
ClusterName=aam
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=20
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ReturnToService=2
KillWait=10
GresTypes=gpu
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=128 RealMemory=65536 Gres=gpu:4 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=128 RealMemory=65536 Gres=gpu:4 State=UNKNOWN
PartitionName=main Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP
"""
_GRES = "NodeName=n[1-2] Name=gpu File={folder}/gpu[0-3]\n"  # devices that nobody opens


class NotReady(Exception):
    """The daemons are there and do not come up; says what they wrote."""


@dataclass
class Cluster:
    """A running cluster.

    Attributes:
        folder: with configuration, state and logs.
        environment: in which Slurm's commands mean this cluster.
    """

    folder: Path
    environment: dict[str, str]

    def call(self, *words: str, cwd: Path | None = None) -> str:
        """Run one of Slurm's commands and give what it prints."""
        done = subprocess.run(words, env=self.environment, cwd=cwd, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def submit(self, script: Path, cwd: Path, *options: str) -> str:
        """Submit a job; return its id."""
        return self.call("sbatch", "--parsable", *options, str(script), cwd=cwd).strip().split(";")[0]

    def job(self, job: str) -> dict[str, str]:
        """What the controller knows of a job."""
        shown = self.call("scontrol", "--oneliner", "show", "job", job)
        return dict(pair.split("=", 1) for pair in shown.split() if "=" in pair)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Start the daemons, wait until both nodes are idle; at the end stop them by their pids and remove their files."""
    folder = Path(tempfile.mkdtemp(prefix="aam-slurm-"))  # short: a socket's path is limited
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    environment["SLURM_CONF"] = str(folder / "slurm.conf")
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        host = socket.gethostname().split(".")[0]
        config = _CONFIG.format(host=host, ports=_free_ports(3), folder=folder)
        (folder / "slurm.conf").write_text(config, "utf-8")
        (folder / "gres.conf").write_text(_GRES.format(folder=folder), "utf-8")
        for number in range(4):
            (folder / f"gpu{number}").touch()
        for name in ("state", "munge", "spool-n1", "spool-n2"):
            (folder / name).mkdir(mode=0o755)
        key = folder / "munge" / "key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o600)
        munge = [f"--{name}={folder / 'munge' / name}" for name in ("socket", "key-file", "pid-file", "seed-file")]
        munge[1] = f"--key-file={key}"
        daemons.append(_start(folder, environment, "munged", "--foreground", "--force", *munge))
        _wait(lambda: (folder / "munge" / "socket").exists(), 20, "munged", folder)
        daemons.append(_start(folder, environment, "slurmctld", "-D", "-i"))
        daemons += [_start(folder, environment, "slurmd", "-D", "-N", node) for node in ("n1", "n2")]
        running = Cluster(folder, environment)
        _wait(lambda: _idle_nodes(running) == 2, 120, "the nodes", folder)
        try:
            yield running
        finally:
            running.call("scancel", "--user", "root")
            _wait(lambda: not running.call("squeue", "--noheader"), 60, "the end of all jobs", folder)
    finally:
        for daemon in reversed(daemons):
            _stop(daemon)
        shutil.rmtree(folder, ignore_errors=True)


def _start(folder: Path, environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    with (folder / f"{words[0]}{words[-1] if words[-1].startswith('n') else ''}.out").open("wb") as log:
        return subprocess.Popen(words, env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=folder)


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(20)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait(20)


def _idle_nodes(running: Cluster) -> int:
    done = subprocess.run(
        ["scontrol", "show", "node"], env=running.environment, capture_output=True, text=True, timeout=60
    )
    return len(re.findall(r"State=IDLE\b(?!\+)", done.stdout))


def _wait(there: Callable[[], bool], seconds: float, what: str, folder: Path) -> None:
    end = time.monotonic() + seconds
    while not there():
        if time.monotonic() > end:
            logs = "\n".join(
                f"== {path.name}\n{path.read_text(errors='replace')[-1500:]}"
                for path in sorted([*folder.glob("*.log"), *folder.glob("*.out")])
            )
            raise NotReady(f"{what}: not ready within {seconds:.0f} s\n{logs}")
        time.sleep(0.2)


def _free_ports(n: int) -> list[int]:
    sockets = [socket.socket() for _ in range(n)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports
