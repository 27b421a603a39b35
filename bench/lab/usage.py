"""What some commands cost, host by host: time, CPU, memory, bytes on the cables.

CPU is what /proc and wait4 charge to the processes of a host; the kernel's work for a packet is charged to
whoever runs when it is done. `others` is what the rest of the machine used: a figure taken beside it is no figure.
"""
import os
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from lab.cables import Lab

SAMPLES_SECONDS = 0.25
TICKS = os.sysconf("SC_CLK_TCK")


Program = tuple[str, str]  # host, name of the program


@dataclass
class Usage:
    seconds: float = 0
    cpu: dict[str, float] = field(default_factory=dict)        # host: seconds
    rss_mib: dict[Program, float] = field(default_factory=dict)  # VmHWM of the largest such process
    anonymous_mib: dict[Program, float] = field(default_factory=dict)  # ... and without page cache
    sent: dict[str, int] = field(default_factory=dict)         # host: bytes on its cable
    received: dict[str, int] = field(default_factory=dict)
    idle: float = 0                                            # share of all cores
    others: float = 0                                          # CPU seconds outside the lab
    finished: list[float] = field(default_factory=list)        # seconds, of each command

    @property
    def workers(self) -> list[str]:
        return [host for host in self.cpu if host != "coord"]

    def peak(self, what: dict[Program, float], hosts: Sequence[str], programs: Sequence[str]) -> float:
        """The largest of these programs' processes on these hosts."""
        return max((mib for (host, program), mib in what.items() if host in hosts and program in programs),
                   default=0)


def memory_of(pid: int) -> tuple[str, float, float]:
    """A process's program, VmHWM and RssAnon in MiB; zeros once it has ended."""
    try:
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    except OSError:
        return "", 0, 0
    peak, anonymous = (int(lines.get(name, "0 kB").split()[0]) / 1024 for name in ("VmHWM", "RssAnon"))
    return lines["Name"].strip(), peak, anonymous


def cpu_seconds(pid: int) -> float:
    """Of a process and of its children that ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS


def machine_seconds() -> tuple[float, float]:
    """Of all cores since boot: busy, idle."""
    fields = [int(word) / TICKS for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return sum(fields) - idle, idle


class Meter:
    """`with Meter(lab) as meter: meter.run(…)`; then `meter.usage`."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self.usage = Usage()
        self._clients: dict[str, float] = defaultdict(float)
        self._ours = {os.readlink(f"/proc/{host.pid}/ns/net"): name for name, host in lab.hosts.items()}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def run(self, commands: Sequence[Sequence[str | Path]], host: str = "coord") -> None:
        """Runs the commands at once and waits for all of them; any that fails ends the benchmark."""
        clients = [self.lab.host(host).popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                   for command in commands]
        with ThreadPoolExecutor(len(clients)) as threads:
            self.usage.finished += threads.map(self._wait, clients, [host] * len(clients))

    def _wait(self, client: subprocess.Popen, host: str) -> float:
        said = client.stdout.read().decode(errors="replace")
        _, status, used = os.wait4(client.pid, 0)
        client.returncode = os.waitstatus_to_exitcode(status)
        if client.returncode:
            raise SystemExit(f"{' '.join(map(str, client.args))}: {client.returncode}\n{said}")
        with self._lock:
            self._clients[host] += used.ru_utime + used.ru_stime
        return time.monotonic() - self._began

    def __enter__(self) -> "Meter":
        for pid in self._pids():
            with suppress(OSError):  # it may have ended meanwhile
                Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM begins anew
        self._cpu = self._cpu_by_process()
        self._carried = self.lab.carried()
        self._busy, self._idle = machine_seconds()
        self._sampler.start()
        self._began = time.monotonic()
        return self

    def __exit__(self, *reason: object) -> None:
        usage = self.usage
        usage.seconds = time.monotonic() - self._began
        self._stop.set()
        self._sampler.join()
        busy, idle = machine_seconds()
        busy, idle = busy - self._busy, idle - self._idle
        cpu = dict.fromkeys(self.lab.hosts, 0.0)
        for (name, pid), seconds in self._cpu_by_process().items():
            cpu[name] += seconds - self._cpu.get((name, pid), 0.0)
        usage.cpu = {name: seconds + self._clients[name] for name, seconds in cpu.items()}
        usage.idle = idle / max(busy + idle, 0.01)
        usage.others = busy - sum(usage.cpu.values())
        for name, (sent, received) in self.lab.carried().items():
            usage.sent[name] = sent - self._carried[name][0]
            usage.received[name] = received - self._carried[name][1]

    def _pids(self) -> dict[int, str]:
        """Each process of the lab with its host, without those that hold the namespaces."""
        holders = {host.pid for host in self.lab.hosts.values()}
        found = {}
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in holders:
                try:
                    host = self._ours.get(os.readlink(f"/proc/{name}/ns/net"))
                except OSError:  # it has ended
                    continue
                if host:
                    found[int(name)] = host
        return found

    def _cpu_by_process(self) -> dict[tuple[str, int], float]:
        return {(host, pid): cpu_seconds(pid) for pid, host in self._pids().items()}

    def _sample(self) -> None:
        usage = self.usage
        while True:
            for pid, host in self._pids().items():
                program, peak, anonymous = memory_of(pid)
                for kept, value in ((usage.rss_mib, peak), (usage.anonymous_mib, anonymous)):
                    kept[host, program] = max(kept.get((host, program), 0), value)
            if self._stop.wait(SAMPLES_SECONDS):
                return
