"""Machines to launch a cluster on: hosts of a netlab with a home, a /tmp and a real sshd each.

The machine that launches is `coord`; the workers are `pi-1`, `pi-2`, … What is on a worker's disk lies in
`home(rank)`. Everything runs as root, which is the user that sshd lets in.
"""
import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.binary import GROVE, ROOT
from harness.netlab import Host, Netlab
from harness.process import Process
from harness.waiting import wait_until

SSHD = "/usr/sbin/sshd"
SECONDS = 120


def generate_key(path: Path) -> str:
    """Makes a key pair; returns the public half."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path],
                   check=True)
    return path.with_suffix(".pub").read_text()


def lines_of(done: subprocess.CompletedProcess) -> list[str]:
    """What a launch said became of each worker and of the API."""
    return re.findall(r"^  [✓✗] .*", done.stdout, re.MULTILINE)


class SshHosts:
    def __init__(self, folder: Path, workers: int = 4, **config: object):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ranks = list(range(1, workers + 1))
        self.sshds: dict[int, Process] = {}
        self.standins: dict[int, Path] = {}
        self.config_path = folder / "config.yaml"
        self.ckpt_root = folder / "checkpoints"
        self.ckpt_root.mkdir()
        self.key = generate_key(folder / "user_key")
        self.lab = Netlab("coord", *(f"pi-{rank}" for rank in self.ranks))
        try:
            self.coord = self.lab.host("coord")
            self.coord_prefix: list[str] = []  # put before what is run on coord
            (folder / "coord").mkdir()
            for rank in self.ranks:
                self._make_worker(rank)
            self.settings: dict[str, object] = {
                "ckpt_root": str(self.ckpt_root), "n_chunks": workers, "num_workers": workers,
                "redundancy": min(2, workers), "keep_shards": False,
                "devices_config": {"workers": [
                    {"host": f"pi-{rank}", "ip": self.worker(rank).address, "rank": rank,
                     "port": 5000 + rank} for rank in self.ranks]}, **config}
            self.write_config()
            self._write_ssh_config()
        except BaseException:
            self.close()
            raise

    def worker(self, rank: int) -> Host:
        return self.lab.host(f"pi-{rank}")

    def home(self, rank: int) -> Path:
        return self.folder / f"pi-{rank}/root"

    def data(self, rank: int) -> Path:
        return self.home(rank) / f".local/share/grove/worker_{rank}"

    def _make_worker(self, rank: int) -> None:
        host, home = self.worker(rank), self.home(rank)
        (home / ".sshd").mkdir(parents=True)
        (self.folder / f"pi-{rank}/tmp").mkdir()
        (self.folder / f"pi-{rank}/standins").mkdir()
        self.standins[rank] = self.folder / f"pi-{rank}/standins"
        generate_key(home / ".sshd/host_key")
        (home / ".sshd/authorized_keys").write_text(self.key)
        # What stands in for programs of this machine comes first in the path of a session.
        (home / ".sshd/config").write_text(
            "Port 22\nHostKey /root/.sshd/host_key\nAuthorizedKeysFile /root/.sshd/authorized_keys\n"
            "PidFile none\nUsePAM no\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nPermitRootLogin yes\nStrictModes no\n"
            "MaxStartups 100\n"
            f"SetEnv PATH=/opt/standins:{os.defpath}:/usr/sbin:/sbin HOME=/root\n")
        # sshd lets nobody in whose account is locked, as root's is on many machines.
        host.run(["sh", "-ec", "mkdir -p /run/sshd /run/opt/standins; "
                  "sed 's/^root:[^:]*/root:*/' /etc/shadow >/run/shadow; "
                  "mount --bind /run/shadow /etc/shadow; "
                  f"mount --bind '{self.standins[rank]}' /run/opt/standins; "
                  "mount --rbind /run/opt /opt; "
                  f"mount --bind '{self.folder}/pi-{rank}/root' /root; "
                  f"mount --bind '{self.folder}/pi-{rank}/tmp' /tmp"])
        self.start_sshd(rank)

    def start_sshd(self, rank: int, prefix: Sequence[str] = ()) -> None:
        log = self.folder / f"sshd_{rank}.{len(self.sshds)}.log"
        self.sshds[rank] = self.worker(rank).start(
            f"sshd of pi-{rank}", [*prefix, SSHD, "-D", "-e", "-f", "/root/.sshd/config"], log)
        self.sshds[rank].wait_for_log("Server listening")

    def _write_ssh_config(self) -> None:
        known = "".join(f"{self.worker(rank).address} "
                        + (self.home(rank) / ".sshd/host_key.pub").read_text()
                        for rank in self.ranks)
        (self.folder / "known_hosts").write_text(known)
        hosts = "".join(f"Host pi-{rank}\n  HostName {self.worker(rank).address}\n"
                        for rank in self.ranks)
        (self.folder / "ssh_config").write_text(
            f"{hosts}Host *\n  User root\n  IdentityFile \"{self.folder}/user_key\"\n"
            f"  IdentitiesOnly yes\n  UserKnownHostsFile \"{self.folder}/known_hosts\"\n"
            "  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  RequestTTY yes\n")

    def stand_in(self, rank: int, name: str, script: str) -> None:
        """On that host, `name` is this bash script."""
        file = self.standins[rank] / name
        file.write_text(f"#!/bin/bash\n{script}\n")
        file.chmod(0o755)

    def write_config(self, **changes: object) -> None:
        self.settings |= changes
        self.config_path.write_text(
            "".join(f"{key}: {json.dumps(value)}\n" for key, value in self.settings.items()))

    # --- what is done on coord ---

    def on_coord(self, *command: str | Path, seconds: float = SECONDS, check: bool = True
                 ) -> subprocess.CompletedProcess:
        return self.coord.run([*self.coord_prefix, *command], seconds=seconds, check=check,
                              env=self.coord_environment())

    def coord_environment(self) -> dict[str, str]:
        environment = os.environ | {"HOME": str(self.folder / "coord"), "TMUX_TMPDIR": "/run",
                                    "GROVE_CONFIG": str(self.config_path)}
        environment.pop("TMUX", None)
        return environment

    def launch_command(self, *options: str | Path, program: Path = GROVE) -> list[str | Path]:
        """scripts/launch.sh with the program under test instead of one that it builds."""
        return ["bash", ROOT / "scripts/launch.sh", "--program", program, "--ssh-config",
                self.folder / "ssh_config", *options]

    def launch(self, *options: str | Path, program: Path = GROVE) -> subprocess.CompletedProcess:
        done = self.on_coord(*self.launch_command(*options, program=program), check=False)
        if kept := re.search(r"in full is in (/tmp/grove-launch\.\w+)$", done.stdout):
            shutil.rmtree(kept[1])
        return done

    def take_api_port(self) -> Process:
        """Another program has the API's port until it is killed."""
        other = self.coord.start("another program", [
            "/usr/bin/python3", "-c", "import socket\n"
            "listener = socket.create_server(('127.0.0.1', 8000))\nprint('ready', flush=True)\n"
            "while True: listener.accept()[0].close()"], self.folder / "other_program.log")
        other.wait_for_log("ready")
        return other

    def grove(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        return self.on_coord(GROVE, *arguments, check=False)

    # --- what is seen on a host ---

    def grove_pids(self, host: Host, session: str) -> list[int]:
        """The processes that a session keeps running."""
        environment = os.environ | ({"TMUX_TMPDIR": "/run"} if host is self.coord else {})
        pane = host.run(["tmux", "display-message", "-p", "-t", f"={session}:", "#{pane_pid}"],
                        check=False, env=environment).stdout.strip()
        if not pane:
            return []
        children = Path(f"/proc/{pane}/task/{pane}/children")
        return [int(pid) for pid in children.read_text().split()] if children.exists() else []

    def worker_pid(self, rank: int) -> int:
        return wait_until(lambda: self.grove_pids(self.worker(rank), f"syncps_worker_{rank}"),
                          f"worker {rank} runs")[0]

    def api_pid(self) -> int:
        return wait_until(lambda: self.grove_pids(self.coord, "syncps_api"), "the API runs")[0]

    def sessions(self, host: Host) -> set[str]:
        environment = os.environ | ({"TMUX_TMPDIR": "/run"} if host is self.coord else {})
        return set(re.findall(r"^([^:]+):", host.run(["tmux", "list-sessions"], check=False,
                                                     env=environment).stdout, re.MULTILINE))

    def close(self) -> None:
        self.lab.close()
        shutil.rmtree(self.folder, ignore_errors=True)
