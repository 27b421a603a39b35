"""What every process and all data folders of a cluster take, sampled now and then, and whether it has grown.

A leak shows in a process that lives on, so each process is judged by itself, over its own life after a warm-up: what it
took in the first quarter of that against the last."""
import os
import re
import stat
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from harness.cluster import Cluster
from harness.live_files import live_files
from harness.process import Process

PERIOD = 5.0  # seconds between two samples of the processes; at least a hundred in a run, however short
DISK_PERIOD = 60.0  # … and of the disks; at least eight in a run, however short
WARM_UP = 600.0  # seconds of a process's life that are not judged: buffers, caches and the list of 200 jobs fill up
WARM_UP_SHARE = 1 / 6  # of the run, in a short one: too little for memory
QUARTER_MIN = 5  # samples in a quarter: with fewer nothing is judged
DISK_QUARTER_MIN = 2


@dataclass(frozen=True)
class Kind:
    """One thing that is sampled. From the first quarter to the last it may grow by this share and this much, in a run that
    is so long."""
    unit: int
    share: float
    slack: float
    minutes_min: float = 0

    def most(self, first: float) -> float:
        return first * (1 + self.share) + self.slack


# Memory without the page cache. How much there is on the disks depends on which files there are just then: so the disks of
# all workers together are compared with the bytes of the generations that are kept, as a ratio. What is replaced lies there
# for a grace period, which begins anew with each start of a worker: a ratio that only a longer run settles at.
MEMORY = "memory, MiB"
DESCRIPTORS = "descriptors"
KINDS = {MEMORY: Kind(1 << 20, share=0.05, slack=4 << 20, minutes_min=30), DESCRIPTORS: Kind(1, share=0, slack=16)}
DISK = Kind(1, share=0.25, slack=30, minutes_min=20)


@dataclass
class Life:
    """One process: its age at each sample, and what it took then."""
    name: str
    ages: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def warm(self, kind: str, warm_up: float) -> list[float]:
        return [value for age, value in zip(self.ages, self.values[kind], strict=True) if age >= warm_up]


def age_seconds(process: Process) -> float:
    ticks = int(Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[19])
    return float(Path("/proc/uptime").read_text().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def anonymous_bytes(process: Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s+(\d+) kB", status)
    if not found:
        raise ProcessLookupError(f"{process.name} has just ended")
    return int(found[1]) * 1024


def descriptors(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def disk_bytes(folder: Path) -> int:
    """Of the files, without quarantine/, which is for somebody to look at. Not the blocks they take: the folders of an empty
    worker and the half block that each file wastes are a tenth of what so small a cluster holds."""
    total = 0
    for file in live_files(folder, "**/*"):
        if file.is_relative_to(folder / "quarantine"):
            continue
        try:
            status = file.lstat()
        except OSError:  # collected meanwhile
            continue
        if stat.S_ISREG(status.st_mode):
            total += status.st_size
    return total


def quarters(values: list[float], least: int) -> tuple[float, float] | None:
    """The medians of the first and the last quarter; None where a quarter has fewer than `least`."""
    count = len(values) // 4
    if count < least:
        return None
    return statistics.median(values[:count]), statistics.median(values[-count:])


class Sampler:
    """`data` says where the files of a worker are; `owed_bytes` how much must be there, all copies together. Processes are
    sampled by a thread of its own from start() to stop(), disks by whoever calls sample_disks_if_due()."""

    def __init__(self, cluster: Cluster, data: Callable[[int], Path], owed_bytes: Callable[[], int], minutes: float):
        self.cluster, self.data, self.owed_bytes = cluster, data, owed_bytes
        self.minutes = minutes
        self.warm_up = min(WARM_UP, minutes * 60 * WARM_UP_SHARE)
        self.disk_period = min(DISK_PERIOD, minutes * 60 / 8)
        self.period = min(PERIOD, minutes * 60 / 100)
        self.last_disk = time.monotonic()
        self.lives: dict[int, Life] = {}  # by process id
        self.disk_percents: list[float] = []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._sample_processes, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()
        if self.thread.is_alive():
            self.thread.join()

    def _sample_processes(self) -> None:
        while not self.stopping.wait(self.period):
            named = {"coordinator": self.cluster.coordinator, **{f"worker {rank}": worker
                                                                for rank, worker in list(self.cluster.workers.items())}}
            for name, process in named.items():
                try:
                    self._sample(name, process)
                except (FileNotFoundError, ProcessLookupError):  # it was killed just now
                    continue

    def sample_disks_if_due(self) -> None:
        now = time.monotonic()
        if now - self.last_disk >= self.disk_period:
            self.last_disk = now
            if percent := self.disk_percent():
                self.disk_percents.append(percent)

    def disk_percent(self) -> float:
        """Of the bytes of all kept generations, twice."""
        owed = self.owed_bytes()
        return 100 * sum(disk_bytes(self.data(rank)) for rank in self.cluster.ranks) / owed if owed else 0

    def _sample(self, name: str, process: Process) -> None:
        age, memory, files = age_seconds(process), anonymous_bytes(process), descriptors(process)
        life = self.lives.setdefault(process.pid, Life(name))
        life.ages.append(age)
        life.values[MEMORY].append(memory)
        life.values[DESCRIPTORS].append(files)

    def report(self) -> bool:
        """Prints a table; True where nothing has grown, and the coordinator lived long enough to tell."""
        print(f"\nEach process after its first {self.warm_up:.0f} s, medians of the quarters of the rest of its life:\n")
        print("| what | of | lived, s | first quarter | last quarter | may be | most ever |\n|---|---|---|---|---|---|---|")
        rows = [self._row(life, kind) for life in sorted(self.lives.values(), key=lambda it: it.name) for kind in KINDS]
        judged = [row for row in rows if row is not None]
        is_flat = all(judged)
        unjudged = sum(1 for life in self.lives.values() if self._ends(life, MEMORY) is None)
        print(f"\n{unjudged} of {len(self.lives)} processes did not live long enough to be judged.")
        if not any(life.name == "coordinator" and self._ends(life, MEMORY) for life in self.lives.values()):
            print("None of them was a coordinator that did: this run is too short to tell.")
            is_flat = False
        return self._report_disk() and is_flat

    def _ends(self, life: Life, kind: str) -> tuple[float, float] | None:
        return quarters(life.warm(kind, self.warm_up), QUARTER_MIN)

    def _row(self, life: Life, kind: str) -> bool | None:
        """Whether it is flat; None where the process was too young to tell."""
        ends = self._ends(life, kind)
        if ends is None:
            return None
        first, last = ends
        rule = KINDS[kind]
        counts = self.minutes >= rule.minutes_min
        is_flat = last <= rule.most(first) or not counts
        limit = f"{rule.most(first) / rule.unit:.1f}" if counts else "- (too short a run)"
        print(f"| {kind} | {life.name} | {life.ages[-1]:.0f} | {first / rule.unit:.1f} | {last / rule.unit:.1f} | {limit} | "
              f"{max(life.values[kind]) / rule.unit:.1f} |{'' if is_flat else ' GREW'}")
        return is_flat

    def _report_disk(self) -> bool:
        ends = quarters(self.disk_percents, DISK_QUARTER_MIN)
        if ends is None:
            return True
        first, last = ends
        counts = self.minutes >= DISK.minutes_min
        has_grown = counts and last > DISK.most(first)
        limit = f"may be {DISK.most(first):.0f} %" if counts else "too short a run to judge it"
        print(f"The disks held {first:.0f} % of what is kept in the first quarter of the run, {last:.0f} % in the last "
              f"({limit}).{' GREW' if has_grown else ''}")
        return not has_grown
