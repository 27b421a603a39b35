"""scripts/install_service.sh: the units it writes, as systemd reads them (issue 4).

The machine is a namespace with a /etc/systemd of its own. What is asked of systemd is seen by a stand-in
for `systemctl` that notes it and runs the program once; what comes of it, by a real systemd that runs the
units in that namespace. `systemd-analyze` is always the real one.
"""
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT, require_grove
from harness.booted import UNITS, BootedHost
from harness.netlab import Host, Netlab
from harness.ssh_hosts import SshHosts, lines_of
from harness.waiting import wait_until

SYSTEMCTL = """#!/bin/bash
echo "$*" >>{folder}/asked
unit="${{@: -1}}"
pid="$(cat "{folder}/pids/$unit" 2>/dev/null)"
case "$*" in
  *is-active*) kill -0 "$pid" 2>/dev/null ;;
  restart*|*disable*) [[ -z "$pid" ]] || kill "$pid" ;;&
  restart*) while [[ -n "$pid" && -e "/proc/$pid" ]]; do sleep 0.01; done
            setsid $(sed --quiet 's/^ExecStart=//p' "{units}/$unit") >>{folder}/log 2>&1 </dev/null &
            echo $! >"{folder}/pids/$unit" ;;
esac
"""


class Machine:
    def __init__(self, folder: Path, host: Host):
        self.folder, self.host = folder, host
        self.home = folder / "root"
        for name in ("units", "lib", "bin", "pids", "root/.config/grove"):
            (folder / name).mkdir(parents=True)
        (folder / "bin/systemctl").write_text(SYSTEMCTL.format(folder=folder, units=UNITS))
        (folder / "bin/systemctl").chmod(0o755)
        self.config = self.home / ".config/grove/config.yaml"
        self.write_config("")
        # What is installed must not reach this machine's own folders.
        host.run(["sh", "-ec", f"mkdir -p {UNITS}; mount --bind {folder}/units {UNITS}; "
                  f"mount --bind {folder}/lib /usr/local/lib; mount --bind {self.home} /root"])

    def write_config(self, more: str) -> None:
        self.config.write_text(
            "ckpt_root: /root/checkpoints\nnum_workers: 1\nredundancy: 1\ndevices_config: {workers: "
            f"[{{host: a, ip: 127.0.0.1, rank: 1, port: 5001}}]}}\n{more}")

    def install(self, *options: str) -> subprocess.CompletedProcess:
        return self.host.run(["env", f"PATH={self.folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
                              ROOT / "scripts/install_service.sh", "--program", GROVE, *options],
                             check=False)

    def asked(self) -> list[str]:
        """What systemctl was asked to do since the last look."""
        file = self.folder / "asked"
        lines = file.read_text().splitlines() if file.exists() else []
        file.unlink(missing_ok=True)
        return [line for line in lines if "is-active" not in line]

    def unit(self, name: str) -> Path:
        return self.folder / "units" / name


@pytest.fixture
def machine(tmp_path: Path, make_netlab: Callable[..., Netlab]) -> Machine:
    require_grove()
    return Machine(tmp_path, make_netlab("machine").host("machine"))


def test_a_worker_becomes_a_service(machine: Machine) -> None:
    unit = "grove-worker-1.service"
    done = machine.install("--worker", "1")
    # Anything that systemd-analyze would have to say stands on stderr.
    assert (done.returncode, done.stdout, done.stderr) == (0, f"started as {unit}\n", "")
    assert machine.asked() == ["daemon-reload", f"--quiet enable {unit}", f"restart {unit}"]
    text = machine.unit(unit).read_text()
    assert ("ExecStart=/usr/local/lib/grove/grove worker --rank 1 --config /root/.config/grove/config.yaml "
            "--data /root/.local/share/grove/worker_1\n") in text
    assert "\nRestart=always\n" in text and "\nStartLimitIntervalSec=0\n" in text
    assert not re.search(r"@[A-Z_]+@", text), "a value was not filled in"
    assert (machine.home / ".local/share/grove/worker_1/identity.json").exists()

    assert machine.install("--worker", "1").stdout == f"already running as {unit}\n"
    assert machine.asked() == []
    machine.write_config("reserve: 1 %\n")
    assert machine.install("--worker", "1").stdout == f"started as {unit}\n"
    assert f"restart {unit}" in machine.asked()

    assert machine.install("--worker", "1", "--uninstall").stdout == f"removed {unit}\n"
    assert machine.asked() == [f"--quiet disable --now {unit}", "daemon-reload"]
    assert not machine.unit(unit).exists() and not (machine.folder / "lib/grove").exists()
    assert (machine.home / ".local/share/grove/worker_1/identity.json").exists()
    again = machine.install("--worker", "1", "--uninstall")
    assert (again.returncode, again.stderr) == (
        1, f"install_service: {unit} is not installed here\n")


def test_the_api_becomes_a_service(machine: Machine) -> None:
    done = machine.install("--api")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started as grove-api.service\n", "")
    text = machine.unit("grove-api.service").read_text()
    assert "\nBindPaths=/root/checkpoints /root/shards\n" in text
    assert "\nRestart=always\n" in text
    # A store reads the config afresh, and a restart would cut it off.
    machine.write_config("compression: on\n")
    assert machine.install("--api").stdout == "already running as grove-api.service\n"


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[SshHosts]:
    require_grove()
    made = SshHosts(tmp_path / "hosts", workers=1)
    yield made
    made.close()


@pytest.fixture
def booted_worker(hosts: SshHosts, tmp_path: Path) -> Iterator[BootedHost]:
    """The host to launch a worker on has a systemd that runs."""
    machine = BootedHost(hosts.worker(1), tmp_path / "systemd.log")
    hosts.sshds[1].terminate()
    hosts.start_sshd(1, machine.inside)
    yield machine
    machine.close()


@pytest.fixture
def booted_coord(hosts: SshHosts, tmp_path: Path) -> Iterator[BootedHost]:
    """The machine that launches has a systemd that runs."""
    machine = BootedHost(hosts.coord, tmp_path / "systemd.log")
    hosts.coord_prefix = machine.inside
    yield machine
    machine.close()


def start_again_at_once(machine: BootedHost, unit: str) -> None:
    """Tests have no 5 s for each new start."""
    machine.host.run(["sh", "-ec", f"mkdir {UNITS}/{unit}.d; "
                      f"printf '[Service]\\nRestartSec=100ms\\n' >{UNITS}/{unit}.d/quick.conf"])


def can_write(pid: int, folder: str) -> bool:
    """Root, where that process is; what remains are read-only mounts."""
    probe = subprocess.run(["nsenter", f"--target={pid}", "--mount", "--", "sh", "-c",
                            f"touch {folder}/probe && rm {folder}/probe"], text=True,
                           capture_output=True, check=False)
    assert probe.returncode == 0 or "Read-only file system" in probe.stderr, probe.stderr
    return probe.returncode == 0


def test_a_launched_service_runs_confined_and_comes_back(hosts: SshHosts, booted_worker: BootedHost) -> None:
    machine, unit, address = booted_worker, "grove-worker-1.service", hosts.worker(1).address
    disk = hosts.home(1) / "disk"
    disk.mkdir()
    start_again_at_once(machine, unit)
    # It was a session before, whose disk the service takes over.
    assert hosts.launch("--workers", "1", "--data", "/root/disk").returncode == 0
    assert hosts.sessions(hosts.worker(1)) == {"syncps_worker_1"}
    done = hosts.launch("--service", "--workers", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_of(done) == [f"  ✓ rank 1 (pi-1): started as {unit}, answers at {address}:5001"]
    assert hosts.sessions(hosts.worker(1)) == set()
    again = hosts.launch("--service", "--workers", "1")
    assert lines_of(again) == [f"  ✓ rank 1 (pi-1): already running as {unit}, answers at {address}:5001"]

    # Of root's home it sees its data and the config, between them an empty file system in memory. It
    # writes to its data alone.
    pid = machine.main_pid(unit)
    seen = Path(f"/proc/{pid}/root")
    assert sorted(path.name for path in (seen / "root").iterdir()) == [".config", "disk"]
    assert (seen / "root/disk/worker_1/identity.json").exists()
    for folder in ("/", "/etc", "/usr", "/var", "/root/.config/grove"):
        assert not can_write(pid, folder), folder
    assert can_write(pid, "/root/disk/worker_1")
    status = Path(f"/proc/{pid}/status").read_text()
    assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE) and "NoNewPrivs:\t1" in status

    # It is started again: killed, and after its disk was away.
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.main_pid(unit) not in (0, pid), "it runs again", 15)
    disk.rename(hosts.home(1) / "away")
    machine.control("kill", "--signal=KILL", unit)
    wait_until(lambda: machine.shown(unit, "ExecMainStatus") == "226", "it has no data to see", 15)
    assert not disk.exists()
    (hosts.home(1) / "away").rename(disk)
    wait_until(lambda: machine.control("is-active", unit) == "active", "it runs with its disk", 15)

    # One worker is not both a service and a session.
    session = hosts.launch("--workers", "1")
    assert session.returncode == 1
    assert f"{unit} is installed here: use scripts/launch.sh --service" in session.stdout


def test_the_launched_api_runs_confined_and_says_when_it_cannot(hosts: SshHosts,
                                                                booted_coord: BootedHost) -> None:
    machine, unit, command = booted_coord, "grove-api.service", ("--service", "--api-only")
    start_again_at_once(machine, unit)
    assert hosts.launch("--api-only").returncode == 0
    done = hosts.launch(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines_of(done) == [f"  ✓ API: started as {unit}, answers at 127.0.0.1:8000"]
    assert hosts.sessions(hosts.coord) == set()
    pid = machine.main_pid(unit)
    assert lines_of(hosts.launch(*command)) == [f"  ✓ API: already running as {unit}, answers at 127.0.0.1:8000"]
    assert machine.main_pid(unit) == pid

    # It writes to checkpoints and shards alone, and sees nothing beside them.
    for folder in ("/", "/etc", "/usr", "/var", hosts.folder):
        assert not can_write(pid, folder), folder
    for folder in (hosts.ckpt_root, hosts.ckpt_root.with_name("shards")):
        assert can_write(pid, folder), folder
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: machine.main_pid(unit) not in (0, pid), "it runs again", 15)

    # Its port is taken while it is away.
    machine.control("stop", unit)
    other = hosts.take_api_port()
    for _ in range(2):  # between its tries it is no running one
        failed = hosts.launch(*command)
        assert (failed.returncode, lines_of(failed)) == (1, [
            "  ✗ API: install_service: cannot listen on 127.0.0.1:8000: the port is in use; stop the other "
            "program or choose another port"])
    other.kill()
    wait_until(lambda: machine.control("is-active", unit) == "active", "it gets the port by itself", 15)
    assert hosts.launch(*command).returncode == 0


@pytest.mark.parametrize("role", [["--worker", "1"], ["--api"]])
def test_the_units_are_hardened(machine: Machine, role: list[str]) -> None:
    assert machine.install(*role).returncode == 0
    [unit] = (machine.folder / "units").iterdir()
    # systemd's own mark, from 0 (safe) to 10; a unit without any of it has 9.6.
    found = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--threshold=20", unit],
                           text=True, capture_output=True, check=False)
    assert found.returncode == 0, found.stdout[-400:]


def test_what_cannot_be_installed_is_said(machine: Machine) -> None:
    for options, status, said in [
            ([], 2, "--worker N or --api is needed; see --help"),
            (["--worker", "one"], 2, "--worker takes a rank, not one"),
            (["--api", "--config", "/root/missing.yaml"], 1, "/root/missing.yaml is not there; give --config"),
            (["--worker", "1", "--user", "nobody-here"], 1, "there is no user nobody-here here")]:
        done = machine.install(*options)
        assert (done.returncode, done.stderr) == (status, f"install_service: {said}\n")
    assert list((machine.folder / "units").iterdir()) == [] and machine.asked() == []
