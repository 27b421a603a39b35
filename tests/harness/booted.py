"""systemd as the first process of a host of the netlab, with no units but those a test installs.

It must not touch the machine that the tests run on: it is shown none of Debian's own units (udev,
sysctl, tmpfiles, …), only empty targets of the names that ours ask for, and a journal in memory that hears
nothing of the kernel. Its control groups lie in one of ours, which is removed with it.
"""
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from harness.netlab import Host
from harness.process import Process
from harness.waiting import wait_until

SYSTEMD = "/lib/systemd/systemd"
UNITS = Path("/etc/systemd/system")
TARGETS = ["sysinit", "basic", "network-online", "multi-user", "shutdown", "umount", "network"]
FIRST_TARGET = "multi-user.target"
JOURNAL = """mkdir -p /run/systemd/journald.conf.d
printf '[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\n' >/run/systemd/journald.conf.d/test.conf
printf '[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\nExecStart=/lib/systemd/systemd-journald\n' \
  >/run/systemd/system/systemd-journald.service
"""


class BootedHost:
    """The host has an empty /etc/systemd/system, /usr/local/lib and /var/tmp of its own."""

    def __init__(self, host: Host, log: Path):
        self.host = host
        groups = subprocess.run(["findmnt", "--noheadings", "--output=TARGET", "--types=cgroup2",
                                 "--first-only"], text=True, capture_output=True, check=False).stdout
        if not groups:
            pytest.skip("needs a cgroup2 file system")
        ours = Path("/proc/self/cgroup").read_text().split("0::/", 1)[1].splitlines()[0]
        self.group = Path(groups.strip()) / ours / f"grove-test-{os.getpid()}-{host.pid}"
        host.run(["sh", "-ec", f"mkdir -p {UNITS} /run/systemd/system; "
                  f"for own in {UNITS} /usr/local/lib /var/tmp; do mount -t tmpfs tmpfs $own; done"])
        for name in TARGETS:
            host.run(["sh", "-c", f"printf '[Unit]\\nDescription={name}\\nDefaultDependencies=no\\n' "
                      f">/run/systemd/system/{name}.target"])
        host.run(["sh", "-ec", JOURNAL])
        inside = ("mount -t cgroup2 cgroup2 /sys/fs/cgroup; mount -t proc proc /proc; "
                  f"exec env container=grove-test SYSTEMD_UNIT_PATH=/run/systemd/system:{UNITS} {SYSTEMD} "
                  f"--system --unit={FIRST_TARGET} --log-target=console --show-status=no")
        outside = (f"echo $$ >{self.group}/cgroup.procs; exec unshare --cgroup --pid --mount --fork "
                   f"--kill-child sh -ec {shlex.quote(inside)}")
        self.inside: list[str] = []
        self.group.mkdir()
        self.process: Process = host.start("systemd", ["sh", "-ec", outside], log)
        try:
            init = wait_until(self._first_process, "systemd has begun")
            # Put before a command, this runs it among systemd's processes; systemd knows no others.
            self.inside = ["nsenter", f"--target={init}", "--pid", "--mount", "--cgroup", "--"]
            wait_until(lambda: self.control("is-active", FIRST_TARGET) == "active", "systemd is up")
            self.control("start", "systemd-journald.service")
        except BaseException:
            self.close()
            raise

    def _first_process(self) -> int:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        # Until then it is the shell that mounts what systemd needs.
        return next((int(pid) for pid in children
                     if Path(f"/proc/{pid}/comm").read_text() == "systemd\n"), 0)

    def _private_folders(self) -> list[Path]:
        """What running services have of this machine's /tmp."""
        mounts = "".join(Path(f"/proc/{pid}/mountinfo").read_text()
                         for file in self.group.glob("system.slice/grove-*/cgroup.procs")
                         for pid in file.read_text().split())
        return [Path(path) for path in set(re.findall(r"/tmp/systemd-private-[^/ ]+", mounts))]

    def control(self, *arguments: str) -> str:
        return self.host.run([*self.inside, "systemctl", *arguments], check=False).stdout.strip()

    def shown(self, unit: str, field: str) -> str:
        return self.control("show", "--value", f"--property={field}", unit)

    def main_pid(self, unit: str) -> int:
        """The service's process, by this machine's number. `systemctl` tells the inner one."""
        # cgroup.procs reads as the reader's own namespace counts.
        file = self.group / "system.slice" / unit / "cgroup.procs"
        pids = file.read_text().split() if file.exists() else []
        return int(pids[0]) if pids else 0

    def close(self) -> None:
        if self.inside:
            private = self._private_folders()
            self.control("stop", "grove-*")
            wait_until(lambda: not any(map(Path.exists, private)), "systemd has removed units' own /tmp")
        self.process.kill()

        def is_removed() -> bool:
            for folder, _, _ in os.walk(self.group, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:  # something in it has not ended yet
                    return False
            return not self.group.exists()
        wait_until(is_removed, f"{self.group} is removed")
