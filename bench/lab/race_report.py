"""The race's table and plot."""
import os
from pathlib import Path

from lab.contenders import RIVALS, Grove
from lab.race import Bench, Result
from lab.report import CPU_BOUND_IDLE, replace_between, table

# Of grove, by Mb/s, verb and file: times the wire time.
GOALS = {(100, "store", "random"): 1.08, (1000, "store", "random"): 1.15, (100, "store", "BF16"): 0.75,
         (1000, "store", "BF16"): 0.85, (100, "store", "next step"): 0.30, (100, "gather", "random"): 1.06,
         (100, "gather", "BF16"): 0.75}
PROGRAMS = {contender.name: contender.programs for contender in (Grove, *RIVALS)}
HEAD = ["", "file", "by", "time", "× wire", "goal", "CPU: coordinator, all workers",
        "memory (without page cache): coordinator, largest worker", "coordinator's cable: sent, received", "busiest worker's cable: sent, received"]


def row_of(bench: Bench, result: Result) -> list[str]:
    use, programs = result.usage, PROGRAMS[result.who]
    goal = GOALS.get((bench.cable.mbit, result.verb, result.kind)) if result.who == Grove.name else None
    mark = " (CPU-bound)" if use.idle < CPU_BOUND_IDLE else ""
    memory = [f"{use.peak(use.rss_mib, hosts, programs):.0f} ({use.peak(use.anonymous_mib, hosts, programs):.0f})"
              for hosts in (["coord"], use.workers)]
    sent, received = (max(what[host] for host in use.workers) / result.size for what in (use.sent, use.received))
    return [result.verb, result.kind, result.who, f"{use.seconds:.1f} s", f"{result.ratio:.2f}{mark}",
            f"≤ {goal:.2f}" if goal else "",
            f"{use.cpu['coord']:.1f}, {sum(use.cpu[host] for host in use.workers):.1f} s",
            f"{', '.join(memory)} MiB",
            f"{use.sent['coord'] / result.size:.3f}, {use.received['coord'] / result.size:.3f} ×",
            f"{sent:.3f}, {received:.3f} ×"]


def name_of(bench: Bench) -> str:
    return f"race-{bench.cable.mbit:g}" + ("-super" if bench.cable.super_frames else "")


def write_race(bench: Bench, results: list[Result], page: Path) -> None:
    notes = [f"{contender.name}: {contender.note}." for contender in (Grove, *bench.rivals)]
    where = "in memory (tmpfs)" if str(bench.disks).startswith("/dev/shm") else "on the disk"
    mbit = [result.size / result.wire * 8e-6 for result in results]
    others = [result.usage.others / result.usage.seconds / (os.cpu_count() or 1) for result in results]
    head = (f"{bench.workers} workers, {bench.cable}; {bench.size / 1e6:g} MB a file; medians of {bench.runs}. One TCP stream "
            f"carries {min(mbit):.1f} to {max(mbit):.1f} Mb/s. The workers' data is {where}. What is not charged to a host (the "
            f"lab itself, the kernel's share of it, the rest of the machine) took {min(others):.0%} to {max(others):.0%} of the cores.")
    replace_between(page, name_of(bench), "\n\n".join([
        head, table(HEAD, [row_of(bench, result) for result in results]), " ".join(notes),
        f"![Times of the wire, at {bench.cable}](img/{name_of(bench)}.svg)"]))
