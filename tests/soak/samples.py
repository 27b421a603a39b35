"""What every process and data folder of a cluster takes, sampled now and then, and whether it has grown."""
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.cluster import Cluster
from harness.process import Process

PERIOD = 60.0  # seconds between two samples; at least MIN_SAMPLES in a run, however short
QUARTER_MIN = 2


@dataclass(frozen=True)
class Kind:
    """One thing that is sampled. It may grow by this factor and this much between the first quarter of a run and the last,
    where the run is so long."""
    unit: int
    factor: float
    slack: float
    minutes_min: float = 0


# Memory without the page cache. How much there is on the disks depends on which files there are just then: so the disks of
# all workers together are compared with the bytes of the generations that are kept, as a ratio. What is replaced lies there
# for a grace period, which begins anew with each start of a worker: a ratio that only a longer run settles at.
KINDS = {"memory, MB": Kind(1 << 20, 1.25, 8 << 20), "descriptors": Kind(1, 1.25, 16),
         "disk, % of what is kept": Kind(1, 1.25, 30, minutes_min=20)}


def anonymous_bytes(process: Process) -> int:
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) * 1024


def descriptors(process: Process) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))


def disk_bytes(folder: Path) -> int:
    """Without quarantine/, which is for somebody to look at."""
    total = 0
    for file in folder.rglob("*"):
        if file.is_relative_to(folder / "quarantine"):
            continue
        try:
            total += file.lstat().st_blocks * 512
        except OSError:  # collected meanwhile
            continue
    return total


class Sampler:
    """`data` says where the files of a worker are; `owed_bytes` how much must be there, all copies together."""

    def __init__(self, cluster: Cluster, data: Callable[[int], Path], owed_bytes: Callable[[], int], minutes: float):
        self.cluster, self.data, self.owed_bytes = cluster, data, owed_bytes
        self.minutes = minutes
        self.period = min(PERIOD, minutes * 60 / (8 * QUARTER_MIN))
        self.last = time.monotonic()
        self.samples: dict[tuple[str, str], list[float]] = {}

    def sample_if_due(self) -> None:
        if time.monotonic() - self.last < self.period:
            return
        self.last = time.monotonic()
        processes = {f"worker {rank}": worker for rank, worker in self.cluster.workers.items()}
        for name, process in {"coordinator": self.cluster.coordinator, **processes}.items():
            self._note("memory, MB", name, anonymous_bytes(process))
            self._note("descriptors", name, descriptors(process))
        if percent := self.disk_percent():
            self._note("disk, % of what is kept", "all workers", percent)

    def disk_percent(self) -> float:
        """Of the bytes of all kept generations, twice."""
        owed = self.owed_bytes()
        return 100 * sum(disk_bytes(self.data(rank)) for rank in self.cluster.ranks) / owed if owed else 0

    def _note(self, kind: str, name: str, value: float) -> None:
        self.samples.setdefault((kind, name), []).append(value)

    def report(self) -> bool:
        """Prints a table; True where nothing has grown from the first quarter to the last."""
        count = max(map(len, self.samples.values()), default=0)
        quarter = count // 4
        if quarter < QUARTER_MIN:
            print(f"\n{count} samples are too few to tell what grows: give it more minutes")
            return True
        print(f"\n| median of {quarter} samples | of | first quarter | last quarter | may be |\n|---|---|---|---|---|")
        is_flat = True
        for (kind, name), values in sorted(self.samples.items()):
            rule = KINDS[kind]
            first, last = statistics.median(values[:quarter]), statistics.median(values[-quarter:])
            most = first * rule.factor + rule.slack
            counts = self.minutes >= rule.minutes_min
            has_grown = counts and last > most
            is_flat = is_flat and not has_grown
            print(f"| {kind} | {name} | {first / rule.unit:.1f} | {last / rule.unit:.1f} | "
                  f"{f'{most / rule.unit:.1f}' if counts else '- (too short a run)'} |{' GREW' if has_grown else ''}")
        return is_flat
