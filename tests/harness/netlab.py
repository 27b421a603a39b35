"""A small Ethernet on this machine: hosts in namespaces of their own, all on one switch.

    with Netlab("coord", "w1", "w2") as lab:
        lab.host("w1").run(["ping", "-c", "1", lab.host("w2").address])
        lab.cut("w1")

Every host has its own network, host name and /run, so that it can run daemons of its own; files are
shared with this machine. A host's namespaces belong to a process that waits on a pipe from us and
have no name anywhere: labs do not meet, and none is left behind even where a test run is killed.
"""
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from harness.binary import ROOT
from harness.process import Process
from harness.waiting import wait_until

Command = Sequence[str | Path]
NOBODY = "02:00:00:00:00:99"  # no card has this address: what is sent to it is dropped
RELAY = ROOT / "bench/lab/far_cable.py"


def require_netlab() -> None:
    """Skips the test where this user may make no namespaces."""
    probe = subprocess.run(["unshare", "--net", "--uts", "--mount", "true"], capture_output=True,
                           text=True, check=False)
    if probe.returncode:
        import pytest  # here, so that bench/ needs no pytest
        pytest.skip(f"needs the right to make network namespaces (root): {probe.stderr.strip()}")


class Namespaces:
    """A network, a host name and a /run, for as long as it is not closed."""

    def __init__(self, name: str):
        self.name = name
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--uts", "--mount", "cat"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, start_new_session=True)
        self._holder.stdin.write(b"\n")
        self._holder.stdin.flush()
        assert self._holder.stdout.readline() == b"\n", f"no namespaces for {name}"
        self.pid = self._holder.pid
        # Put before a command, this runs it here: in the same process, which ends with ours.
        self.prefix = ["setpriv", "--pdeathsig", "KILL", "nsenter", f"--target={self.pid}", "--net",
                       "--uts", "--mount", f"--wd={os.getcwd()}", "--"]
        self.run(["hostname", name])
        self.run(["mount", "-t", "tmpfs", "tmpfs", "/run"])
        # An address is there at once, without a second of looking for others who have it.
        self.run(["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"])
        self.ip("link set lo up")

    def run(self, command: Command, seconds: float = 30, check: bool = True, **options: object
            ) -> subprocess.CompletedProcess:
        done = subprocess.run([*self.prefix, *map(str, command)], text=True, timeout=seconds,
                              capture_output=True, check=False, **options)
        assert done.returncode == 0 or not check, (
            f"{self.name}: {' '.join(map(str, command))}: {done.returncode}\n"
            f"{done.stdout}{done.stderr}")
        return done

    def ip(self, *commands: str) -> None:
        self.run(["ip", "-batch", "-"], input="".join(f"{command}\n" for command in commands))

    def processes(self) -> list[int]:
        """What runs in this network, without the process that holds it."""
        def network(pid: int | str) -> str:
            try:
                return os.readlink(f"/proc/{pid}/ns/net")
            except OSError:  # it has ended
                return ""
        ours = network(self.pid)
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != self.pid
                and network(pid) == ours]

    def close(self) -> None:
        def all_ended() -> bool:
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            return not self.processes()
        try:
            wait_until(all_ended, f"no process is left in {self.name}")
        finally:
            self._holder.stdin.close()
            self._holder.stdout.close()
            self._holder.wait(10)


class Host(Namespaces):
    """`address` is its IPv4 address on `eth0`; it has a link-local IPv6 address too."""

    def __init__(self, name: str, number: int):
        super().__init__(name)
        self.address = f"10.77.0.{number}"
        self.started: list[Process] = []

    def popen(self, command: Command, **options: object) -> subprocess.Popen:
        return subprocess.Popen([*self.prefix, *map(str, command)], **options)

    def start(self, name: str, command: Command, log: Path) -> Process:
        """A process that is expected to run until it is told to end."""
        process = Process(name, [*self.prefix, *map(str, command)], log)
        self.started.append(process)
        return process

    def close(self) -> None:
        for process in self.started:
            process.kill()
        super().close()


class Netlab:
    """The names are the hosts' names and, on the switch, their ports' (15 characters at most)."""

    def __init__(self, *names: str):
        require_netlab()
        self.hosts: dict[str, Host] = {}
        self.relays: list[subprocess.Popen] = []
        self.switch = Namespaces("switch")
        try:
            # Without a querier on the wire, a bridge that snoops may drop mDNS.
            self.switch.ip("link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
                           "link set br0 up")
            for name in names:
                self.add_host(name)
        except BaseException:
            self.close()
            raise

    def add_host(self, name: str) -> Host:
        host = self.hosts[name] = Host(name, len(self.hosts) + 1)
        self.switch.ip(f"link add {name} type veth peer name eth0 netns {host.pid}",
                       f"link set {name} master br0 up")
        # Nobody answers at .254, but programs that ask the kernel for "my address" need a route.
        host.ip("link set eth0 up", f"addr add {host.address}/24 brd + dev eth0",
                "route add default via 10.77.0.254")
        return host

    def host(self, name: str) -> Host:
        return self.hosts[name]

    def cut(self, name: str) -> None:
        """Pulls the host's cable."""
        self.switch.ip(f"link set {name} down")

    def heal(self, name: str) -> None:
        self.switch.ip(f"link set {name} up")

    def cut_towards(self, name: str, other: str) -> None:
        """Half-open: what `name` sends to `other` is lost, what it is sent arrives."""
        self.host(name).ip(f"neigh replace {self.host(other).address} lladdr {NOBODY} dev eth0 nud permanent")

    def heal_towards(self, name: str, other: str) -> None:
        self.host(name).ip(f"neigh del {self.host(other).address} dev eth0")

    def slow(self, name: str, mbit: float) -> None:
        """Both directions of the host's cable."""
        for where, device in [(self.host(name), "eth0"), (self.switch, name)]:
            where.run(["tc", "qdisc", "replace", "dev", device, "root", "tbf", "rate", f"{mbit}mbit", "burst", "16kb",
                       "latency", "200ms"])

    def make_lossy(self, loss: float, delay: float) -> None:
        """All cables lose this share of the packets to a host, and delay them so many seconds."""
        if shutil.which("ethtool") is None:
            import pytest
            pytest.skip("needs ethtool")
        for host in self.hosts.values():  # the relay sees whole frames, with their checksums
            host.run(["ethtool", "-K", "eth0", "tx", "off"])
        relay = subprocess.Popen([*self.switch.prefix, "/usr/bin/python3", str(RELAY), str(delay), str(loss), *self.hosts],
                                 stdout=subprocess.PIPE, text=True)
        self.relays.append(relay)
        assert relay.stdout.readline() == "ready\n", "the relay does not start"
        for name in self.hosts:
            self.switch.ip(f"link set {name} nomaster", f"link set {name}-far master br0 up")

    def close(self) -> None:
        for relay in self.relays:
            relay.kill()
            relay.wait(10)
            relay.stdout.close()
        for namespaces in [*self.hosts.values(), self.switch]:
            namespaces.close()

    def __enter__(self) -> "Netlab":
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()
