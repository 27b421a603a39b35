"""scripts/install_service.sh: the units it writes, as systemd reads them (issue 4).

systemd itself runs in no test: `systemctl`, which would ask it, is a stand-in that notes what it was
asked. `systemd-analyze` is the real one. The machine is a namespace with a /etc/systemd of its own.
"""
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.binary import GROVE, ROOT, require_grove
from harness.netlab import Host, Netlab
from harness.ssh_hosts import SshHosts

UNITS = Path("/etc/systemd/system")
# Is active: what was started and not stopped since.
SYSTEMCTL = """#!/bin/bash
echo "$*" >>{folder}/asked
case "$*" in
  *is-active*) test -e "{folder}/active/${{@: -1}}" ;;
  restart*) touch "{folder}/active/${{@: -1}}" ;;
  *disable*) rm --force "{folder}/active/${{@: -1}}" ;;
esac
"""


class Machine:
    def __init__(self, folder: Path, host: Host):
        self.folder, self.host = folder, host
        self.home = folder / "root"
        for name in ("units", "lib", "bin", "active", "root/.config/grove"):
            (folder / name).mkdir(parents=True)
        (folder / "bin/systemctl").write_text(SYSTEMCTL.format(folder=folder))
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


def test_a_launch_makes_services_of_workers(tmp_path: Path) -> None:
    """Here "started" is the stand-in's word; that nothing answers then is what launch.sh has to say."""
    require_grove()
    hosts = SshHosts(tmp_path / "hosts", workers=1)
    try:
        hosts.worker(1).run(["sh", "-ec", "mkdir /root/units /root/lib /root/active; "
                             f"mkdir -p {UNITS}; mount --bind /root/units {UNITS}; "
                             "mount --bind /root/lib /usr/local/lib"])
        hosts.stand_in(1, "systemctl", SYSTEMCTL.format(folder="/root"))
        done = hosts.launch("--service", "--workers", "1")
        assert "restart grove-worker-1.service" in (hosts.home(1) / "asked").read_text()
        assert "--rank 1" in (hosts.home(1) / "units/grove-worker-1.service").read_text()
        assert (done.returncode, hosts.sessions(hosts.worker(1))) == (1, set())
        assert "✗ rank 1 (pi-1): looking for worker 1 failed: it runs, but does not answer at " in done.stdout
        # One worker is not both.
        again = hosts.launch("--workers", "1")
        assert again.returncode == 1
        assert "grove-worker-1.service is installed here: use scripts/launch.sh --service" in again.stdout
    finally:
        hosts.close()


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
